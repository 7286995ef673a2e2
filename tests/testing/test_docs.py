"""Every block of docs/testing.md is run, and what it prints is what the page says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lookaside_sim.testing.adapters.c_compiler import find_compiler

TEXT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
ROOT = Path(__file__).parents[2]


class Block(NamedTuple):
    """What stands after three backticks, the block, and what it is said to print."""

    kind: str
    text: str
    output: str


BLOCKS = [
    Block(found[0].strip(), found[1], found[2])
    for found in re.findall(
        r"```((?:python|c|sh)[^\n]*)\n(.*?)```(?:\n\nprints\n\n```text\n(.*?)```)?",
        TEXT,
        re.DOTALL,
    )
]


def only(kind: str) -> Block:
    (block,) = (block for block in BLOCKS if block.kind == kind)
    return block


def test_no_block_is_left_out() -> None:
    assert len(BLOCKS) == TEXT.count("```python") + TEXT.count("```c ") + TEXT.count("```sh")
    kinds = {block.kind for block in BLOCKS}
    assert kinds == {"python", "python atheris", "python hypofuzz", "python library",
                     "python process", "python with a process", "c pool.c", "c list.c",
                     "sh"}  # fmt: skip


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "python"])
def test_block(block: Block) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, "testing.md", "exec"), {"__name__": "documented"})
    assert printed.getvalue() == block.output


def run_shell(command: str, folder: Path) -> str:
    """Run a command of the page with this Python and this package, wherever they are."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name, words in (("python", ""), ("lookaside-sim", "-m lookaside_sim")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.skipif(
    find_compiler() is None or shutil.which("cc") is None or os.name != "posix",
    reason="no C compiler, or another shell",
)
def test_the_guide_for_c(tmp_path: Path) -> None:
    for name in ("pool.c", "list.c"):
        (tmp_path / name).write_text(only(f"c {name}").text, "utf-8")
    check, threads, build, sanitize, clang = (block for block in BLOCKS if block.kind == "sh")
    assert run_shell(check.text, tmp_path) == check.output
    raced = run_shell(threads.text, tmp_path)
    assert raced.startswith("pool.c: with 4 threads: ")
    if "data race" in raced:  # and not what it led to, where there is no ThreadSanitizer
        assert re.sub(r"\(.*\)\n", "", raced) == re.sub(r"\(.*\)\n", "", threads.output)
    assert run_shell(build.text, tmp_path) == ""
    library = only("python library")
    (tmp_path / "check_list.py").write_text(library.text, "utf-8")
    assert run_shell("python check_list.py", tmp_path) == library.output
    if has_address_sanitizer(tmp_path):
        assert run_shell(sanitize.text, tmp_path) == sanitize.output
    if shutil.which("clang") is not None and has_address_sanitizer(tmp_path, "clang"):
        assert run_shell(clang.text, tmp_path) == sanitize.output


def has_address_sanitizer(folder: Path, compiler: str = "cc") -> bool:
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    command = (
        f"{compiler} -fsanitize=address {probe} -o {folder / 'probe'} && {folder / 'probe'}"
    )
    return (
        subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0
    )


def test_the_guide_for_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "allocator.py").write_text(only("python process").text, "utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(only("python with a process").text, "testing.md", "exec"), {})

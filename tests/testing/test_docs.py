"""Every Python block of docs/testing.md is run, and what it prints is what the page says."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\nprints\n\n```text\n(.*?)```)?", TEXT, re.DOTALL)
ATHERIS = re.findall(r"```python atheris\n(.*?)```", TEXT, re.DOTALL)


def test_no_block_is_left_out() -> None:
    assert len(BLOCKS) + len(ATHERIS) == TEXT.count("```python")
    assert len(ATHERIS) == 1


@pytest.mark.parametrize(("program", "output"), BLOCKS)
def test_block(program: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "testing.md", "exec"), {"__name__": "documented"})
    assert printed.getvalue() == output


def test_the_atheris_target_takes_any_bytes() -> None:
    (target,) = (program for program, _ in BLOCKS if "def one_input" in program)
    names: dict[str, object] = {}
    exec(compile(target, "testing.md", "exec"), names)
    one_input = names["one_input"]
    assert callable(one_input)
    for data in (b"", b"\x00", bytes(range(256)), b"\xff" * 50):
        one_input(data)
    if importlib.util.find_spec("atheris") is not None:
        # In a process of its own, because atheris ends the one it runs in.
        script = [sys.executable, "-c", target + ATHERIS[0], "-runs=100"]
        subprocess.run(script, check=True, timeout=60)

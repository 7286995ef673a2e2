"""Every block of docs/run.md is run, and prints what stands behind it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
from pathlib import Path

import pytest

from lookaside_sim.cli import main

HAS_ENGINE = None not in map(importlib.util.find_spec, ("unicorn", "elftools"))
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "run.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```console\n\$ lookaside-sim (.*?)\n(.*?)```", PAGE, re.DOTALL)


def test_no_block_is_left_out() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") > 0
    assert len(COMMANDS) == PAGE.count("```console") > 0


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_a_program(program: str, output: str) -> None:
    if ".sys" in program and not HAS_ENGINE:
        pytest.skip("needs the extra drive: unicorn and pyelftools")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "run.md", "exec"), {"__name__": "documented"})
    assert printed.getvalue() == output


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for command, output in COMMANDS:
        if ".sys" in command and not HAS_ENGINE:
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            assert main(shlex.split(command)) == 0
        assert printed.getvalue() == output

"""Every block of docs/advice.md is run, and prints what stands behind it."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from lookaside_sim.cli import main

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "advice.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```console\n\$ lookaside-sim (.*?)\n(.*?)```", PAGE, re.DOTALL)


def test_no_block_is_left_out() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") > 0
    assert len(COMMANDS) == PAGE.count("```console") > 0


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_a_program(program: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "advice.md", "exec"), {"__name__": "documented"})
    assert printed.getvalue() == output


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_a_command(command: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        assert main(shlex.split(command)) == 0
    assert printed.getvalue() == output

"""The document of the shell shows what the shell shows."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from lookaside_sim.cli import main

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "kd.md").read_text("utf-8")
TRANSCRIPTS = re.findall(r"```console\n\$ lookaside-sim (.*?)\n(.*?)```", TEXT, re.DOTALL)
PROGRAMS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", TEXT, re.DOTALL)


def test_no_block_is_left_out() -> None:
    assert len(TRANSCRIPTS) == TEXT.count("```console") == 4
    assert len(PROGRAMS) == TEXT.count("```python") == 1


@pytest.mark.parametrize(("command", "shown"), TRANSCRIPTS)
def test_transcript(
    command: str,
    shown: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    typed = [
        line.removeprefix("kd> ") for line in shown.splitlines() if line.startswith("kd> ")
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(typed)))
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_program(program: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "docs/kd.md", "exec"), {})
    assert printed.getvalue() == output

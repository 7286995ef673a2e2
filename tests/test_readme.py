"""Every block of the README is run, and what it prints is what the README says."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from lookaside_sim.cli import main
from tests.drive.helpers import needs_engine

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"```console\n\$ (.*?)\n(.*?)```", TEXT, re.DOTALL)


def test_no_block_is_left_out() -> None:
    assert len(PROGRAMS) == TEXT.count("```python") == 2
    assert len(COMMANDS) == TEXT.count("```console") == 3


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_python_block(program: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "README.md", "exec"), {})
    assert printed.getvalue() == output


@pytest.mark.parametrize(("index", "code"), [pytest.param(0, 1, marks=needs_engine), (2, 0)])
def test_run_command(
    index: int, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    command, output = COMMANDS[index]
    program, *arguments = shlex.split(command.split("&&")[-1])
    assert program == ".venv/bin/lookaside-sim"
    assert main(arguments) == code
    assert capsys.readouterr().out == output


def test_test_command_is_what_ci_runs() -> None:
    command, output = COMMANDS[1]
    assert output == ""
    assert command in (ROOT / ".ci" / "run").read_text("utf-8")

"""The command itself: version, help, and the module in a process of its own."""

from __future__ import annotations

import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import lookaside_sim
from lookaside_sim import __version__
from lookaside_sim.cli import main
from tests.cli.helpers import HEADER, LIST_OUTPUT, LIST_TRACE, Command, write


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"lookaside-sim {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help(command: Command, arguments: list[str]) -> None:
    code, output, errors = command(*arguments)
    assert (code, errors) == (0, "")
    assert output.startswith(f"usage: {' '.join(['lookaside-sim', *arguments[:-1]])}")


def test_arguments_are_those_of_the_process(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["lookaside-sim", "run", str(write(path, *LIST_TRACE))])
    assert main() == 0
    assert capsys.readouterr().out == LIST_OUTPUT


@pytest.mark.parametrize(("lines", "code"), [(LIST_TRACE, 0), ((), 2)])
def test_the_module_exits_with_the_code(
    path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], code: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["lookaside-sim", "run", str(write(path, *lines))])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(lookaside_sim.__path__[0], run_name="__main__")
    assert caught.value.code == code


def test_an_import_of_the_module_runs_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "lookaside_sim.__main__", raising=False)
    module = importlib.import_module("lookaside_sim.__main__")
    assert module.main is main
    assert capsys.readouterr() == ("", "")


def test_the_module_in_a_process_of_its_own(path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "lookaside_sim", *arguments],
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        return done.returncode, done.stdout, done.stderr

    assert run("run", str(write(path, *LIST_TRACE))) == (0, LIST_OUTPUT, "")
    code, output, errors = run("run", str(write(path, HEADER, HEADER)))
    assert (code, output) == (2, "")
    assert errors.startswith(f"lookaside-sim: {path}, line 2, field 'op': missing: give")
    assert errors.count("\n") == 1

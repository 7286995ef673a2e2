"""The command where nothing is as it should be: one line, the right exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim.cli import EXIT_INTERRUPTED, run
from lookaside_sim.cli.commands import EXIT_BAD_INPUT
from tests.cli.helpers import HEADER, LIST_TRACE, Command, write

STOPPING = (
    HEADER,
    '{"t":0,"op":"alloc","id":1,"size":20,"tag":"tsLL"}',
    '{"t":0,"op":"free","id":1}',
)
NEVER_ALLOCATED = (HEADER, '{"t":0,"op":"free","id":7}')


def shell(line: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_a_closed_output_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl", *LIST_TRACE)
    code, _, error = shell('"$PYTHON" -m lookaside_sim run test.jsonl >&-', tmp_path)
    assert (code, error) == (2, "lookaside-sim: the standard output is closed\n")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl", *LIST_TRACE)
    code, _, error = shell('"$PYTHON" -m lookaside_sim run test.jsonl >/dev/full', tmp_path)
    assert code == 2
    assert error.startswith("lookaside-sim: ")
    assert error.count("\n") == 1


def test_a_terminal_of_ascii_gets_escapes(tmp_path: Path) -> None:
    lines = (line.replace('"small"', '"smäll"') for line in LIST_TRACE)
    write(tmp_path / "test.jsonl", *lines)
    code, output, error = shell(
        '"$PYTHON" -m lookaside_sim run test.jsonl', tmp_path, PYTHONIOENCODING="ascii"
    )
    assert (code, error) == (0, "")
    assert output.startswith('Lookaside "sm\\xe4ll" @')


def test_an_interrupt_is_no_traceback(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "replay", interrupted)
    path = write(tmp_path / "test.jsonl", *LIST_TRACE)
    assert command("run", str(path)) == (EXIT_INTERRUPTED, "", "")


@pytest.mark.parametrize("verb", ["shrink", "pin"])
def test_the_trace_is_not_written_over(verb: str, command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", *STOPPING)
    before = path.read_bytes()
    (tmp_path / "same.jsonl").symlink_to(path)
    for output in (path, tmp_path / "same.jsonl"):
        code, _, error = command(verb, str(path), "-o", str(output))
        assert code == EXIT_BAD_INPUT
        assert "give another file than the trace itself" in error
    assert path.read_bytes() == before


def test_pin_names_its_file(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", *NEVER_ALLOCATED)
    code, _, error = command("pin", str(path))
    assert code == EXIT_BAD_INPUT
    assert error.startswith("lookaside-sim: mine.jsonl, line 2, field 'id'")


def test_shrink_names_its_file(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", *STOPPING)
    code, _, error = command("shrink", str(path))
    assert code == EXIT_BAD_INPUT
    assert error.startswith("lookaside-sim: mine.jsonl: the check raises nothing")


@pytest.mark.parametrize(
    ("number", "source", "says"),
    [
        (1, "check = 5", "5 cannot be called"),
        (2, "import sys; sys.exit('no')", "no"),
        (3, "1 / 0", "division by zero"),
        (4, "def (", "invalid syntax"),
        (5, "raise KeyError", "KeyError"),
    ],
)
def test_a_check_that_is_none(
    number: int,
    source: str,
    says: str,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"no_check_{number}.py").write_text(source, "utf-8")
    path = write(tmp_path / "test.jsonl", *STOPPING)
    code, _, error = command("pin", str(path), "--check", f"no_check_{number}:check")
    assert code == EXIT_BAD_INPUT
    assert error.startswith(f"lookaside-sim: --check no_check_{number}:check: ")
    assert says in error
    assert error.count("\n") == 1


def test_a_check_that_exits(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "exiting_check.py").write_text(
        "import sys\n\n\ndef check(events):\n    sys.exit(3)\n", "utf-8"
    )
    path = write(tmp_path / "test.jsonl", *STOPPING)
    code, _, error = command("shrink", str(path), "--check", "exiting_check:check")
    assert code == EXIT_BAD_INPUT
    assert error.endswith("it exits; give a function that raises when it fails\n")


def test_control_characters_of_a_name_are_escaped(command: Command, tmp_path: Path) -> None:
    code, _, error = command("run", str(tmp_path / "no\x1b[31m"))
    assert code == EXIT_BAD_INPUT
    assert "no\\x1b[31m" in error

"""Progress on a terminal, and readers that go away."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim.cli import main
from tests.cli.helpers import HEADER, Command, write


class Terminal(io.StringIO):
    """A stderr that is shown to somebody."""

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        """What is left in the line, as a terminal shows it."""
        line: list[str] = []
        column = 0
        for character in self.getvalue():
            if character == "\r":
                column = 0
            else:
                assert character != "\n"
                line[column : column + 1] = character
                column += 1
        assert column == 0
        return "".join(line).rstrip()


def run_on(terminal: Terminal, path: Path, seconds: float) -> int:
    """Run a trace with a terminal for stderr, progress due every so many seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lookaside_sim.cli.progress.PROGRESS_SECONDS", seconds)
        patch.setattr(sys, "stderr", terminal)
        return main(["run", str(path)])


def write_long(path: Path, *behind: str) -> Path:
    events = ('{"op":"alloc","id":1,"size":24}', '{"op":"free","id":1}')
    middle = '{"t":120000000,"op":"irql","level":0}'
    return write(path, HEADER, *events * 8_200, middle, *events * 8_200, *behind)


def test_progress_is_shown_on_a_terminal_and_taken_away(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    assert run_on(terminal, write_long(path), 0) == 0
    first = f"{path}: 16,384 events, 0 s simulated"
    second = f"{path}: 32,768 events, 120 s simulated"
    assert terminal.getvalue() == f"\r{first}\r{second}\r{' ' * len(second)}\r"
    assert terminal.shown() == ""
    assert "Events         32,801 in 120 s" in capsys.readouterr().out


def test_progress_is_taken_away_when_the_machine_stops(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    write_long(path, '{"op":"irql","level":9}', '{"op":"alloc","id":1,"size":24}')
    assert run_on(terminal, path, 0) == 1
    assert "16,384 events" in terminal.getvalue()
    assert terminal.shown() == ""
    assert capsys.readouterr().out.startswith("*** STOP: BAD_POOL_CALLER")


def test_progress_is_taken_away_before_an_error(path: Path) -> None:
    terminal = Terminal()
    assert run_on(terminal, write_long(path, "bad"), 0) == 2
    progress, _, error = terminal.getvalue().rpartition("\r")
    assert progress.endswith(" " * 40)
    assert error.startswith(f"lookaside-sim: {path}, line 32803: not a JSON object")
    assert error.count("\n") == 1


def test_no_progress_for_a_quick_run(path: Path) -> None:
    terminal = Terminal()
    assert run_on(terminal, write_long(path), 3600) == 0
    assert terminal.getvalue() == ""


def test_no_progress_where_nobody_looks(
    path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookaside_sim.cli.progress.PROGRESS_SECONDS", 0)
    code, output, errors = command("run", write_long(path))
    assert (code, errors) == (0, "")
    assert "Events         32,801 in 120 s" in output


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    lists = [f'{{"op":"init","list":"l{n}","size":8}}' for n in range(300)]
    path.write_text("\n".join([HEADER, *lists]) + "\n", "utf-8")
    running = subprocess.Popen(
        [sys.executable, "-m", "lookaside_sim", "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == b""
    running.stderr.close()
    assert running.wait() == 141


def test_what_cannot_be_printed_is_escaped(path: Path, command: Command) -> None:
    header = HEADER.replace("a test", "two\\nlines \\ud800")
    write(path, header, '{"op":"init","list":"a\\nb","size":8}')
    code, output, errors = command("run", path)
    assert (code, errors) == (0, "")
    assert "test.jsonl: two\\nlines \\ud800\n" in output
    assert 'Lookaside "a\\nb" @' in output


def test_a_closed_pipe_is_told_by_the_exit_code(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(path, HEADER)
    with (tmp_path / "output").open("w", encoding="utf-8") as output:

        def closed() -> None:
            raise BrokenPipeError

        monkeypatch.setattr(output, "flush", closed, raising=False)
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["run", str(path)]) == 141
        monkeypatch.undo()

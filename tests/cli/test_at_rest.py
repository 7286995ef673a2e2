"""Files that can be read only once."""

from __future__ import annotations

import gzip
import os
import sys
import threading
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest

from lookaside_sim.cli import at_rest, main
from lookaside_sim.cli.at_rest import input_file

LINES = (
    '{"format":"lookaside-trace","version":1,"time_unit":"us"}\n'
    '{"t":0,"op":"alloc","id":1,"size":24}\n'
    '{"t":1,"op":"free","id":1}\n'
)
needs_pipes = pytest.mark.skipif(
    not hasattr(os, "mkfifo"), reason="the system has no named pipes"
)


@pytest.fixture
def pipe(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a named pipe that somebody writes bytes to, once."""

    def make(contents: bytes) -> Path:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        threading.Thread(target=path.write_bytes, args=(contents,), daemon=True).start()
        return path

    return make


def test_a_file_is_read_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text(LINES)
    assert input_file(str(file)) == file
    assert input_file(str(tmp_path / "nothing")) == tmp_path / "nothing"


@needs_pipes
@pytest.mark.parametrize("command", ["run", "sweep", "advise"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pipe_is_read_once(
    pipe: Callable[[bytes], Path],
    capsys: pytest.CaptureFixture[str],
    command: str,
    zipped: bool,
) -> None:
    contents = gzip.compress(LINES.encode()) if zipped else LINES.encode()
    assert main([command, str(pipe(contents))]) == 0
    assert capsys.readouterr().out


def test_a_dash_is_the_standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text(LINES)
    with file.open() as given:
        monkeypatch.setattr(sys, "stdin", given)
        assert main(["run", "-"]) == 0
    assert "standard-input" in capsys.readouterr().out


@needs_pipes
def test_a_pipe_without_an_end_fills_no_disk(
    pipe: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_rest, "MOST_BYTES", 1000)
    with pytest.raises(ArgumentTypeError, match="gives more than 1,000 bytes"):
        input_file(str(pipe(b"x" * 1001)))


@needs_pipes
def test_a_pipe_with_what_fits_is_copied(
    pipe: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_rest, "MOST_BYTES", 1000)
    assert input_file(str(pipe(b"x" * 1000))).read_bytes() == b"x" * 1000


def test_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ArgumentTypeError, match=r"^-: "):
        input_file("-")


@needs_pipes
def test_a_pipe_is_pinned_and_shrunk(
    pipe: Callable[[bytes], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = str(pipe(LINES.encode()))
    assert main(["pin", source]) == 0
    assert "Event('alloc', id=1, size=24" in capsys.readouterr().out
    Path(source).unlink()
    source = str(pipe(LINES.encode()))
    assert main(["shrink", source]) == 2
    assert capsys.readouterr().err == (
        "lookaside-sim: -o: give a file, since what a pipe gives has no name\n"
    )
    Path(source).unlink()
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "checks_of_a_pipe.py").write_text(
        "def none_freed(events):\n    assert all(each.op != 'free' for each in events)\n"
    )
    smaller = tmp_path / "smaller.jsonl"
    source = str(pipe(LINES.encode()))
    check = ["--check", "checks_of_a_pipe:none_freed"]
    assert main(["shrink", source, *check, "-o", str(smaller)]) == 0
    assert capsys.readouterr().out == f"2 events reduced to 2: {smaller}\n"


@needs_pipes
def test_messages_name_a_pipe_as_it_was_given(
    pipe: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(pipe(LINES.encode() + b'{"op":"none"}\n'))
    assert main(["run", source]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"lookaside-sim: {source}, line 4, field 'op': 'none'")
    assert "lookaside-sim-" not in told
    Path(source).unlink()
    source = str(pipe(b"no trace"))
    assert main(["pin", source]) == 2
    assert capsys.readouterr().err.startswith(f"lookaside-sim: {source}, line 1: not a JSON")

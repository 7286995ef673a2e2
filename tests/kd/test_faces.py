"""The faces: a pipe, an argument and a terminal show the same text; menus and the bar."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim import Kernel
from lookaside_sim.cli import main
from lookaside_sim.kd.completion import completions
from lookaside_sim.kd.faces import ask_lines, run_lines
from lookaside_sim.kd.openers import add_opener, open_target
from lookaside_sim.run import Run
from tests.drive.helpers import needs_engine, sys_file
from tests.kd.helpers import live, session

SCRIPT = """\
from lookaside_sim import Kernel

kernel = Kernel()
lookaside = kernel.lookaside_list("mydrv!Requests")
lookaside.initialize(size=64, tag=b"Rqst")
entry = lookaside.allocate()
lookaside.free(entry)
kernel.write(entry, (0xFFFFFFFFC0000120).to_bytes(8, "little"))
lookaside.allocate()
lookaside.allocate()
"""
LINES = ["g", "p-", "!slist mydrv!Requests", "? 1 +", "foo", "", ".echo a; ? 2", "q"]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "late.py"
    path.write_text(SCRIPT, "utf-8")
    return path


def command(script: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "lookaside_sim", "kd", str(script), *arguments]


def expected(script: Path, capsys: pytest.CaptureFixture[str]) -> str:
    arguments = ["kd", str(script)]
    for line in LINES:
        arguments += ["-c", line]
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_an_argument_gives_the_transcript(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = expected(script, capsys).splitlines()
    assert lines[:4] == [
        "Windows 10-1809 Kernel, simulated, 1 procs x64",
        "Seed 0; nothing on",
        "Recording of 6 calls",
        "Time Travel Position: 0:0",
    ]
    assert [line for line in lines if line.startswith("kd>")] == [
        f"kd> {line}".rstrip() if line else "kd> " for line in LINES
    ]
    assert lines[-4:] == [
        "kd> .echo a; ? 2",
        "a",
        "Evaluate expression: 2 = 00000000`00000002",
        "kd> q",
    ]


def test_a_pipe_shows_the_same(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        command(script), input="\n".join(LINES), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout == expected(script, capsys)


def test_a_terminal_shows_the_same(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pty = pytest.importorskip("pty", reason="pseudo-terminals are there on POSIX only")
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        command(script, "--plain"),
        stdin=follower,
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(follower)
    shown = b""
    try:
        # Each line is typed when the prompt is there, as somebody at a keyboard does.
        for line in LINES:
            while not shown.endswith(b"kd> "):
                shown += os.read(leader, 4096)
            os.write(leader, line.encode() + b"\n")
            shown += os.read(leader, 1)
        while True:
            try:
                more = os.read(leader, 4096)
            except OSError:  # how Linux says that nobody is at the other end
                break
            if not more:
                break
            shown += more
    finally:
        child.wait(timeout=60)
        os.close(leader)
    assert child.returncode == 0
    assert shown.decode().replace("\r\n", "\n") == expected(script, capsys)


def test_a_terminal_can_end_or_drop_a_line() -> None:
    _, shell = live()
    typed: list[str | type[BaseException]] = [".echo a", KeyboardInterrupt, ".echo b", EOFError]
    written: list[str] = []

    def ask() -> str:
        line = typed.pop(0)
        if not isinstance(line, str):
            raise line
        return line

    ask_lines(shell, ask, written.append)
    assert written == ["a", "", "b", ""]


def test_lines_from_a_pipe_may_end_in_anything() -> None:
    _, shell = live()
    written: list[str] = []
    run_lines(shell, io.StringIO(".echo a\r\n\n.echo b"), written.append)
    assert written == ["kd> .echo a", "a", "kd> ", "a", "kd> .echo b", "b"]


def test_menus() -> None:
    pytest.importorskip("prompt_toolkit", reason="the extra kd is not installed")
    from prompt_toolkit.document import Document
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    from lookaside_sim.kd.toolkit import Prompt, Words

    shell = session()
    with create_pipe_input() as keys:
        prompt = Prompt(shell, input=keys, output=DummyOutput())
        keys.send_text("p 4\n")
        assert prompt.ask() == "p 4"
    shell.execute("p 4")
    assert prompt.toolbar() == " 4:0 of B:0   nt!ExAllocateFromLookasideListEx "
    found = list(Words(shell).get_completions(Document("!look"), None))  # type: ignore[arg-type]
    assert [(each.text, each.display_meta_text) for each in found] == [
        ("!lookaside", "!lookaside [address [1 | 2 depth]]")
    ]


def test_completion() -> None:
    _, shell = live()
    assert completions(shell, "!pool") == (
        "!pool",
        ["!pool", "!poolfind", "!poolused", "!poolval"],
    )
    assert completions(shell, "g; !lo") == ("!lo", ["!lookaside"])
    assert completions(shell, "dt req") == ("req", ["Requests"])
    assert completions(shell, "db poi(mydrv!r") == ("mydrv!r", ["mydrv!Requests"])
    assert "nt!ExFreePool" in completions(shell, "bp nt!ExF")[1]
    assert "nt!_POOL_HEADER" in completions(shell, "dt nt!_p")[1]


def test_what_cannot_be_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("print('nothing')\n", "utf-8")
    for path, said in (
        (tmp_path / "none.py", "No such file"),
        (tmp_path / "what.xyz", "No such file"),
        (empty, "the script makes no Kernel, and no function takes one"),
    ):
        assert main(["kd", str(path), "-c", "g"]) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert captured.out == ""


def test_runs_traces_and_what_others_add(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "late.lkrun"
    run = open_target(script)
    assert isinstance(run, Run)
    run.save(saved)
    assert main(["kd", str(saved), "-c", "g; k 1"]) == 0
    assert "late.py @ 10: lookaside.allocate()" in capsys.readouterr().out
    trace = tmp_path / "small.jsonl"
    trace.write_text(
        '{"format":"lookaside-trace","version":1,"time_unit":"us","source":"a test"}\n'
        '{"t":0,"op":"alloc","id":1,"size":64}\n{"t":1,"op":"free","id":1}\n'
        '{"t":2,"op":"alloc","id":2,"size":64}\n',
        "utf-8",
    )
    assert main(["kd", str(trace), "--lookaside", "64", "-c", "p 4; x heap*"]) == 0
    printed = capsys.readouterr().out
    assert "nt!ExAllocateFromLookasideListEx(heap-64) -> ffffc900`00001010   *hit*" in printed
    assert printed.endswith("heap-64 = struct _LOOKASIDE_LIST_EX\n")
    image = tmp_path / "machine.LIVE"
    image.write_bytes(b"")
    add_opener(".live", lambda path, settings: Kernel(seed=7, **settings))
    assert main(["kd", str(image), "--sanitizer", "-c", "vertarget"]) == 0
    assert "Seed 7; sanitizer on" in capsys.readouterr().out


@needs_engine
def test_a_compiled_driver(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(sys_file("pairs"))
    assert main(["kd", path, "-c", "x pairs_x64!Give*; ? pairs_x64!Flush - pairs_x64"]) == 0
    printed = capsys.readouterr().out
    assert "pairs_x64!GiveInlined" in printed
    assert printed.splitlines()[3] == "Time Travel Position: 1:0"
    path = str(sys_file("mistakes").parents[4] / "examples" / "drivers" / "queue.sys")
    commands = "g;ba w4 ffffd200`00001024;g-;k"
    assert main(["kd", path, "-c", commands]) == 0
    printed = capsys.readouterr().out
    assert "queue.c @ 27: Request->Status = STATUS_SUCCESS;" in printed
    assert printed.endswith(
        "00 program\n01 queue!Complete [queue.c @ 27]\n02 queue!Serve [queue.c @ 36]\n"
        "03 queue!DriverEntry [queue.c @ 59]\n"
    )


@needs_engine
def test_what_is_no_driver(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "not.sys"
    path.write_bytes(b"MZ")
    assert main(["kd", str(path), "-c", "g"]) == 2
    assert "not.sys: it ends inside the DOS header" in capsys.readouterr().err

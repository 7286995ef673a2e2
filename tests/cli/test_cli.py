"""The command itself: version, help, and the module in a process of its own."""

from __future__ import annotations

import importlib
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lookaside_sim
from lookaside_sim import __version__
from lookaside_sim.cli import main

HEADER = '{"format":"lookaside-trace","version":1,"time_unit":"us","source":"a test"}'


LIST_TRACE = (
    HEADER,
    '{"t":0,"op":"init","list":"small","size":20,"tag":"tsLL"}',
    '{"t":0,"op":"init","list":"paged","size":200,"tag":"tsPP","pool":"PagedPool","flags":1}',
    '{"t":10,"op":"alloc","id":1,"list":"small"}',
    '{"t":11,"op":"alloc","id":2,"list":"small"}',
    '{"t":12,"op":"alloc","id":3,"list":"paged"}',
    '{"t":13,"op":"alloc","id":4,"size":100}',
    '{"t":14,"op":"free","id":1}',
    '{"t":15,"op":"alloc","id":5,"list":"small"}',
    '{"t":16,"op":"free","id":2}',
    '{"t":2000000,"op":"free","id":3}',
    '{"t":2000001,"op":"free","id":4}',
)


LIST_OUTPUT = """\
Lookaside "small" @ 0xfffff80a1d253000  Tag(hex): 0x4c4c7374 "tsLL"
    Type           =       0000  NonPagedPool
    Current Depth  =          1  Max Depth  =          4
    Size           =         20  Max Alloc  =         80
    AllocateMisses =          2  FreeMisses =          0
    TotalAllocates =          3  TotalFrees =          2
    Hit Rate       =         33% Hit Rate   =        100%

Lookaside "paged" @ 0xfffff80a1d253060  Tag(hex): 0x50507374 "tsPP"
    Type           =       0011  PagedPool RaiseIfAllocationFailure
    Current Depth  =          1  Max Depth  =          4
    Size           =        200  Max Alloc  =        800
    AllocateMisses =          1  FreeMisses =          0
    TotalAllocates =          1  TotalFrees =          1
    Hit Rate       =          0% Hit Rate   =        100%

Total NonPaged currently allocated for above lists =       20
Total NonPaged potential for above lists           =       80
Total Paged currently allocated for above lists    =      200
Total Paged potential for above lists              =      800

Trace          test.jsonl: a test
Events         11 in 2 s of balance set manager ticks
Allocate hits  1 of 4 list allocates (25%)
Free hits      3 of 3 list frees (100%)
Pool calls     5 made, 4 saved by the lists (44%)
Held by lists  220 bytes in 2 free entries
Still live     1 allocations; 0 failed

 Tag  Type      Allocs      Frees      Diff       Bytes  Per Alloc
 None Nonp           1          1         0           0          0
 tsLL Nonp           2          0         2          96         48
 tsPP Paged          1          0         1         224        224
"""


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command: its exit code, what it printed, and its errors."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code: object = main([str(each) for each in arguments])
        except SystemExit as stop:
            code = stop.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.jsonl"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


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

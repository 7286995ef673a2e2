"""From a stop to the line that caused it, for the programs of misuse and what stumbles over them."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideList,
    LookasideSimError,
    NtStatusError,
    Verifier,
)
from lookaside_sim.kd import Session
from lookaside_sim.run import record

PROGRAMS = Path(__file__).parents[2] / "examples" / "misuse"
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.py"))
SETTINGS: dict[str, dict[str, Any]] = {
    "x64": {},
    "x86": {"arch": "x86"},
    "verifier": {"verifier": Verifier.standard()},
}
LINES = {
    "deleted_twice": "lookaside.delete()",
    "double_free": "lookaside.free(entry)",
    "entry_leaked": "lookaside.allocate()",
    "initialized_twice": 'lookaside.initialize(size=64, tag=b"Rqst")',
    "interior_free": "lookaside.free(entry + 16)",
    "list_in_freed_memory": "kernel.pool.free(extension)",
    "overrun": 'kernel.write(entry, b"x" * 64 + b"\\0")',
    "paged_at_dispatch": "lookaside.free(lookaside.allocate())",
    "read_after_free": 'print(f"the freed entry still says {kernel.read(entry + 8, 6)!r}")',
    "unload_without_delete": "driver.unload()",
    "write_after_free": 'kernel.write(entry, (0xFFFFF80A91111110).to_bytes(8, "little"))',
}
"""The line to blame, in the programs that something stops for."""


def stumble(kernel: Kernel) -> None:
    """What goes on with a machine: allocates, a flush, a scan of the lists."""
    for each in list(kernel.memory.structures()):
        if isinstance(each, LookasideList):
            for _ in range(3):
                each.allocate()
            each.flush()
    kernel.tick(3)


def stopped(program: Callable[[Kernel], object], **settings: Any) -> Session | None:
    """A shell at the stop that a program leads to; None where nothing stops."""
    kernel = Kernel(**settings)
    with redirect_stdout(StringIO()), kernel:
        try:
            with record(kernel) as run:
                program(kernel)
                stumble(kernel)
        except BugCheck:
            pass
        except (LookasideSimError, NtStatusError):
            # A ring, in which NT would never come back; a touch of the user half, which raises.
            return None
    if kernel.bugcheck is None:
        return None
    shell = Session(run)
    assert "*** Fatal System Error" in shell.execute("g")
    return shell


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_from_each_stop_to_the_line(name: str, setting: str) -> None:
    misuse = runpy.run_path(str(PROGRAMS / f"{name}.py"))["misuse"]
    shell = stopped(misuse, **SETTINGS[setting])
    if shell is None:
        assert setting != "verifier" or name in (
            "foreign_free",
            "used_after_delete",
            "wrong_list_free",
        )
        return
    said = f"{shell.execute('lsa .')}\n{shell.execute('!analyze -v')}"
    assert LINES[name] in said
    assert f"{name}.py @ " in said


def written_after_free(kernel: Kernel) -> None:
    """The link of a free entry is written over."""
    lookaside = kernel.lookaside_list("Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    entry = lookaside.allocate() or 0
    lookaside.free(entry)
    wild = kernel.arch.nonpaged_pool_start + 0x123_4560
    kernel.write(entry, wild.to_bytes(kernel.arch.pointer_size, "little"))  # freed before
    lookaside.allocate()


def test_a_forged_link_is_found_with_breakpoints(arch: str) -> None:
    shell = stopped(written_after_free, arch=arch)
    assert shell is not None
    size = shell.shell.pointer_size
    said = [
        shell.execute(f"ba w{size} Requests.ListHead.Next"),
        shell.execute("g-"),
        shell.execute(f"ba w{size} @$retreg"),
        shell.execute("g-"),
    ]
    assert said[1].splitlines()[-1].endswith("lookaside.allocate()")
    assert said[3].splitlines()[-1].endswith("# freed before")


def overrun(kernel: Kernel) -> None:
    """A write runs over the header of the block behind, which a free stumbles over."""
    header = kernel.arch.pool_header.size
    blocks = [kernel.pool.allocate(0, 64, b"Name") or 0 for _ in range(4)]
    blocks.sort()
    kernel.write(blocks[1], b"x" * (64 + header // 2))  # one name too long
    kernel.pool.free(blocks[1])


def overwritten_entry(kernel: Kernel) -> None:
    """A driver writes over the links of its own list."""
    lookaside = kernel.lookaside_list("Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    link = lookaside.address + kernel.arch.list_entry_offset
    kernel.write(link, b"\x40\x41\x41\xb1")  # a wild pointer
    lookaside.delete()


@pytest.mark.parametrize(
    ("program", "line"), [(overrun, "one name too long"), (overwritten_entry, "a wild pointer")]
)
def test_a_word_that_was_written_over_is_found(
    program: Callable[[Kernel], object], line: str, arch: str
) -> None:
    shell = stopped(program, arch=arch)
    assert shell is not None
    assert line in shell.execute("!analyze -v")
    # And by hand, from an address that the stop names.
    shell = stopped(program, arch=arch)
    assert shell is not None
    word = "@$bug_param3" if program is overrun else "Requests.ListEntry.Flink"
    said = [shell.execute(f"ba w4 {word}"), shell.execute("g-"), shell.execute("g-")]
    assert line in "\n".join(said)


def test_an_exception_that_stops_nothing_is_explained_too() -> None:
    kernel = Kernel()
    with suppress(NtStatusError), record(kernel) as run:
        lookaside = kernel.lookaside_list("Requests")
        lookaside.initialize(size=64, tag=b"Rqst")
        entry = lookaside.allocate() or 0
        lookaside.free(entry)
        kernel.write(entry, (0xC000_0120).to_bytes(8, "little"))  # a status
        lookaside.allocate()
        lookaside.allocate()
    shell = Session(run)
    shell.execute("!tt 100")
    said = shell.execute("!analyze -v")
    assert "EXCEPTION:  nt!ExAllocateFromLookasideListEx(Requests) raises NtStatusError" in said
    assert "# a status" in said
    assert shell.execute("p-; !analyze -v").endswith("The machine runs: no bug check.")

"""``lookaside-sim drive``."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.cli.helpers import Command
from tests.drive.helpers import line_of, needs_engine, sys_file
from tests.fuzz.drivers import run as run_damaged
from tests.helpers import both_machines

pytestmark = needs_engine


@both_machines
def test_a_driver_without_mistakes(command: Command, arch: str) -> None:
    code, out, err = command("drive", sys_file("families", arch), "--call", "Queue 6")
    assert (code, err) == (0, "")
    assert f"families-{arch}.sys at" in out
    assert "  | families: 6 wait at IRQL 0\n" in out
    assert "DriverEntry returned STATUS_SUCCESS (0x00000000)\n" in out
    assert "Queue returned 0xf\n" in out
    assert f'Lookaside "families-{arch}!Packets"' in out
    assert out.endswith("  | families: 0 allocated, 0 freed\nUnloaded\n")


@both_machines
def test_a_stop_is_shown_with_its_stack(command: Command, arch: str) -> None:
    code, out, _ = command(
        "drive", sys_file("mistakes", arch), "--verifier", "--call", "UseAfterFree"
    )
    assert code == 1
    assert "*** STOP: DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL (0xd5)" in out
    assert f"(mistakes.c:{line_of('mistakes.c', 'given')})" in out
    assert f"    mistakes-{arch}!First (mistakes.c:{line_of('mistakes.c', 'read')}) at" in out


def test_what_it_leaves_behind_is_shown(command: Command) -> None:
    code, out, _ = command("drive", sys_file("mistakes"), "--call", "Leak")
    assert code == 1
    assert "Left behind: the 200-byte nonpaged block Leak at" in out
    assert f"mistakes.c:{line_of('mistakes.c', 'leaked')})" in out


def test_what_lies_on_lists_of_the_systems_is_not_left_behind(command: Command) -> None:
    calls = ("--call", "Send 3 77", "--call", "Describe")
    code, out, _ = command("drive", sys_file("objects"), *calls)
    assert (code, out.count("Left behind")) == (0, 0)


def test_a_report_of_the_sanitizer_is_shown(command: Command) -> None:
    code, out, _ = command(
        "drive", sys_file("mistakes"), "--sanitizer", "--call", "EntryFreedTwice"
    )
    assert code == 1
    assert "*** SANITIZER: double-free: list 'mistakes-x64!Small'" in out
    assert "    first allocated in mistakes-x64!EntryFreedTwice" in out


def test_a_driver_may_stop_the_machine(command: Command) -> None:
    code, out, _ = command("drive", sys_file("mistakes"), "--call", "StopMachine 0x1234")
    assert code == 1
    assert "BUG_CHECK_1234 (0x1234) (0x1, 0x2, 0x3, 0x4)" in out


def test_each_allocation_is_made_to_fail(command: Command) -> None:
    name = sys_file("families")
    code, out, _ = command("drive", name, "--fail-each-allocation", "--call", "Queue 2")
    assert code == 0
    first, second, summary = out.splitlines()
    assert first.startswith("Allocation 1, in families-x64!Queue (families.c:")
    assert second.endswith(": the driver goes on, and nothing is left")
    assert summary == "2 allocations refused, one a run: 0 runs leak, 0 stop"
    code, out, _ = command(
        "drive", sys_file("mistakes"), "--fail-each-allocation", "--call", "UseAfterFree"
    )
    assert code == 1
    assert "Allocation 1, in mistakes-x64!UseAfterFree" in out
    assert out.endswith("1 allocations refused, one a run: 0 runs leak, 1 stop\n")


def test_a_driver_that_allocates_nothing_shows_nothing(command: Command) -> None:
    code, out, err = command("drive", sys_file("families"), "--fail-each-allocation")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "nothing was allocated, so there was nothing to refuse" in err


def test_an_import_that_nobody_provides(command: Command, tmp_path: Path) -> None:
    data = sys_file("families").read_bytes()
    path = tmp_path / "unknown.sys"
    path.write_bytes(data.replace(b"DbgPrint\0", b"DbgPaint\0"))
    code, out, _ = command("drive", path)
    assert code == 1
    assert "*** ERROR: DbgPaint of ntoskrnl.exe was called in unknown!DriverEntry" in out
    code, out, _ = command("drive", path, "--unknown=zero")
    assert code == 0
    assert "Imports that nobody provides, and their calls: DbgPaint (2)\n" in out


def test_a_driver_that_does_not_come_back(command: Command) -> None:
    code, out, _ = command("drive", sys_file("mistakes"), "--call", "Forever", "--seconds", "1")
    assert code == 1
    assert "*** ERROR: mistakes-x64!Forever" in out
    assert "did not return within 1 s\n" in out


# --- bad input ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--call", "Nothing"), "symbol 'Nothing'"),
        (("--arch", "x86"), "a driver for x64"),
        (("--call", "Leak x"), "'Leak x'"),
        (("--seconds", "-1"), "seconds=-1.0"),
    ],
)
def test_bad_arguments_are_one_line(
    command: Command, options: tuple[str, ...], what: str
) -> None:
    code, out, err = command("drive", sys_file("mistakes"), *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert what in err


def test_a_file_that_is_not_there(command: Command, tmp_path: Path) -> None:
    code, out, err = command("drive", tmp_path / "none.sys")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "none.sys" in err


def patched(offset: int, form: str, value: int, arch: str = "x64") -> bytes:
    """A driver with one number of its PE header replaced."""
    data = bytearray(sys_file("mistakes", arch).read_bytes())
    start = struct.unpack_from("<I", data, 0x3C)[0]
    struct.pack_into(form, data, start + offset, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "does not begin with MZ"),
        (b"MZ", "it ends inside the DOS header"),
        (b"MZ" + bytes(100), "no PE header"),
        (patched(4, "<H", 0xAA64), "(ARM64): give a driver for x64 or x86"),
        (patched(6, "<H", 97), "it has 97 sections"),
        (patched(24, "<H", 0x10B), "magic is 0x10b"),
        (patched(24 + 16, "<I", 0x7FFF_FFFF), "entry point 0x7fffffff lies outside"),
        (patched(24 + 56, "<I", 0x7FFF_FFFF), "takes 0x7fffffff bytes"),
        (patched(24 + 240 + 12, "<I", 0x7F_F000), "section 0 (.text) lies at 0x7ff000"),
        (patched(24 + 240 + 20, "<I", 0x7F_F000), "section 0 (.text) has bytes 0x7ff000"),
        (
            patched(24 + 240 + 16, "<I", 0x7FFF_FFFF),
            "has bytes 0x400 to 0x800003ff of the file",
        ),
        (patched(24 + 16, "<I", 0), "it has no entry point"),
        (patched(24 + 112 + 8, "<I", 0), "no import table"),
        (patched(24 + 112 + 8, "<I", 0x7FFF_0000), "import table leads to 0x7fff0000"),
        (
            patched(24 + 96 + 40, "<I", 0x7FFF_0000, "x86"),
            "relocation table leads to 0x7fff0000",
        ),
    ],
)
def test_a_hostile_file_is_one_line(
    command: Command, tmp_path: Path, data: bytes, what: str
) -> None:
    path = tmp_path / "hostile.sys"
    path.write_bytes(data)
    code, out, err = command("drive", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("lookaside-sim: hostile.sys: ")
    assert what in err


@pytest.mark.parametrize("part", range(2))
def test_damaged_drivers_end_as_they_should(part: int) -> None:
    for seed in range(15 * part, 15 * part + 15):
        run_damaged(seed)

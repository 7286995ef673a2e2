"""What ntoskrnl exports to compiled code: objects, strings, exceptions, and what a test adds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import BugCheckCode, CompiledCodeError, Kernel, LookasideSimError, ddi
from lookaside_sim.drive.exports_all import __all__ as subjects
from lookaside_sim.drive.registry import EXPORTS
from lookaside_sim.drive.signatures import signatures
from lookaside_sim.memory.regions import Region
from tests.drive.helpers import line_of, loaded, needs_engine, sys_file
from tests.helpers import both_machines, stop_of

pytestmark = needs_engine

LIBRARIES = [Path(f"/usr/i686-w64-mingw32/lib/lib{name}.a") for name in ("ntoskrnl", "hal")]
NM = shutil.which("i686-w64-mingw32-nm")


def decorated() -> dict[str, tuple[bool, int | None]]:
    """Whether each name of mingw-w64's import libraries is fastcall, and its bytes of slots."""
    found: dict[str, tuple[bool, int | None]] = {}
    assert NM is not None
    for library in LIBRARIES:
        listed = subprocess.run(
            [NM, library], capture_output=True, text=True, check=False
        ).stdout
        for symbol in re.findall(r" T (\S+)", listed):
            match = re.fullmatch(r"([_@])(.+)@(\d+)", symbol)
            if match:
                found[match[2]] = match[1] == "@", int(match[3])
            else:
                found[symbol.removeprefix("_")] = False, None
    return found


@pytest.mark.skipif(
    NM is None or not all(each.exists() for each in LIBRARIES),
    reason="needs the import libraries of mingw-w64 for i686",
)
def test_the_slots_of_each_signature_are_those_of_the_import_library() -> None:
    known = decorated()
    checked = 0
    for name, signature in signatures().items():
        if name not in known:
            continue
        is_fastcall, size = known[name]
        wanted = None if signature.is_cdecl else 4 * signature.slots
        assert (signature.is_fastcall, wanted) == (is_fastcall, size), name
        checked += 1
    assert checked > 240


def test_every_signature_is_somebodys() -> None:
    provided = {name for name in signatures() if name in EXPORTS or hasattr(ddi, name)}
    assert signatures().keys() - provided == {"__C_specific_handler"}
    assert EXPORTS.keys() <= signatures().keys()
    assert len(subjects) == 10


# --- objects -----------------------------------------------------------------------------


@both_machines
def test_what_is_queued_runs_when_it_is_told_to(arch: str) -> None:
    kernel, driver = loaded("objects", arch)
    assert driver.start() == 0
    assert driver.call("QueueBoth") == 0  # nothing has run so far
    assert driver.run_queued() == 2
    trace = driver.address_of("Trace")
    noted = [int.from_bytes(kernel.read(trace + 4 * i, 4), "little") for i in range(3)]
    assert noted == [1, 0x100 + 2 + 0x10 + 3, 0x200 + 0 + 7]  # the DPC first, at DISPATCH_LEVEL
    assert driver.run_queued() == 0


@both_machines
def test_a_wait_runs_what_ends_it_and_nobodys_wait_is_an_error(arch: str) -> None:
    _, driver = loaded("objects", arch)
    driver.start()
    assert driver.call("WaitForDpc") == 0
    with pytest.raises(LookasideSimError, match="a wait that nobody can end") as caught:
        driver.call("WaitForNobody")
    assert f"objects-{arch}!WaitForNobody (objects.c:" in caught.value.__notes__[0]


@both_machines
def test_resources_irps_and_mdls(arch: str) -> None:
    kernel, driver = loaded("objects", arch)
    driver.start()
    assert driver.call("UseResource") == 1
    assert driver.call("Send", 3, 77) == 77  # IRP_MJ_READ
    assert driver.call("Send", 4, 1) == 0xC000_0010  # STATUS_INVALID_DEVICE_REQUEST
    assert driver.call("Describe") == 300
    driver.unload()
    # What is left is NT's: an IRP and an MDL that wait for the next one.
    assert sorted(str(each.tag) for each in driver.pool) == ["Irps", "Mdl "]
    kernel.check()


@both_machines
def test_inlined_code_sees_who_runs(arch: str) -> None:
    kernel = Kernel(arch, processors=3)
    driver = kernel.load_image(sys_file("objects", arch))
    driver.start()
    assert driver.call("Processor") == 0
    with kernel.on_processor(2):
        assert driver.call("Processor") == 2
        assert driver.call("Thread", 0) == driver.call("Thread", 1) == kernel.threads.current
    assert driver.call("Thread", 0) == kernel.threads.current


@both_machines
def test_strings_and_formats(arch: str) -> None:
    _, driver = loaded("objects", arch)
    driver.start()
    assert driver.call("Strings") == 0x1F
    pointer = "0000000000001234" if arch == "x64" else "00001234"
    assert driver.log == [
        "objects: Lookaside 42|ansi|wide|long|short|  -42|42   |0002a|0XABC|"
        f"{pointer}|c|-5000000000|%|cut\n",
        "objects: bounded-123456 0\n",
    ]


def test_a_driver_in_cpp_calls_the_exported_pair() -> None:
    kernel, driver = loaded("boxes")
    assert driver.start() == 0
    assert driver.call("Chain", 6) == 6
    (nodes,) = driver.lists
    assert nodes.name == "boxes-x64!Nodes"
    assert (nodes.total_allocates, nodes.allocate_misses, nodes.current_depth) == (6, 6, 4)
    driver.unload()
    kernel.check()


# --- structured exceptions ---------------------------------------------------------------


def test_exceptions_of_imports_and_of_instructions_are_handled() -> None:
    kernel = Kernel(nonpaged_pool_bytes=4 << 20)
    driver = kernel.load_image(sys_file("exceptions"))
    driver.start()
    unwound = driver.address_of("Unwound")
    insufficient = 0xC000_009A
    assert driver.call("CatchFromImport") == insufficient
    assert kernel.read(unwound, 1) == b"\1"  # the __finally block ran
    assert driver.call("CatchThroughList") == insufficient
    assert driver.call("CatchAccess", 0x10) == 0xC000_0005
    assert driver.call("CatchAccess", unwound) == 1
    assert driver.call("CatchRaised", 0xC000_1234) == 0xC000_1234  # by the outer handler
    assert driver.call("CatchRaised", insufficient) == 1  # by the inner one
    assert driver.log == [
        f"exceptions: filter sees {status:08x}\n"
        for status in (insufficient, 0xC000_1234, insufficient)
    ]


def test_a_filter_may_have_the_instruction_run_again() -> None:
    kernel, driver = loaded("exceptions")
    driver.start()
    where = 0x1_0000

    @driver.export("DbgPrint")
    def map_it(text: int) -> None:
        kernel.memory.map(Region(where, 0x1000, contents=b"\x2a"))

    assert driver.call("ReadAgain", where) == 0x2A
    assert driver.call("CatchDivide", 0) == 0xC000_0094
    assert driver.call("CatchDivide", 5) == 20


def test_an_exception_that_nobody_handles_stops_the_machine() -> None:
    _, driver = loaded("exceptions")
    driver.start()
    stop = stop_of(lambda: driver.call("Uncaught"))
    assert stop.code is BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED
    assert stop.parameters[0] == 0xC000_0005
    assert [each.line for each in stop.stack][1] == line_of("exceptions.c", "uncaught")
    assert "STATUS_ACCESS_VIOLATION (0xc0000005) was raised and nobody handles it" in str(stop)


def test_a_stop_is_no_exception_that_a_handler_sees() -> None:
    kernel, driver = loaded("exceptions")
    driver.start()
    stop = stop_of(lambda: driver.call("CatchAccess", kernel.arch.paged_pool_start + 0x100000))
    assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA


# --- what a test adds --------------------------------------------------------------------


@both_machines
def test_a_test_may_provide_an_import(arch: str, tmp_path: Path) -> None:
    data = (Path(__file__).parent / "drivers" / "built" / f"objects-{arch}.sys").read_bytes()
    path = tmp_path / f"new-{arch}.sys"
    path.write_bytes(
        data.replace(b"ExIsResourceAcquiredExclusiveLite", b"ExIsResourceAcquiredDifferently__")
    )
    kernel = Kernel(arch)
    driver = kernel.load_image(path)
    driver.start()
    missing = "ExIsResourceAcquiredDifferently__ of ntoskrnl.exe was called in new-"
    with pytest.raises(CompiledCodeError, match=missing):
        driver.call("UseResource")
    kernel = Kernel(arch)
    driver = kernel.load_image(path)
    driver.start()
    asked = []

    @driver.export("ExIsResourceAcquiredDifferently__")
    def is_acquired(resource: int) -> int:
        asked.append(resource)
        return 5

    assert driver.call("UseResource") == 15
    assert asked == [driver.address_of("Lock")] * 2


@both_machines
def test_a_test_may_replace_an_import(arch: str) -> None:
    _, driver = loaded("families", arch)
    driver.start()
    said: list[int] = []
    driver.export("DbgPrint")(lambda text: said.append(text))
    driver.call("ShowCounts")
    assert len(said) == 1
    assert len(driver.log) == 1  # what DriverEntry said


@pytest.mark.parametrize(
    ("name", "function", "error", "what"),
    [
        ("NoSuchThing", lambda: 0, ValueError, "imports no such routine"),
        ("DbgPrin", lambda: 0, ValueError, "near to it are DbgPrint"),
        ("DbgPrint", lambda: 0, TypeError, "takes the 1 of DbgPrint's arguments"),
        ("DbgPrint", lambda *, text: 0, TypeError, "takes the 1 of DbgPrint's arguments"),
        ("DbgPrint", 5, TypeError, "function 5: give a callable"),
        ("DbgPrint", dict.get, TypeError, "takes the 1 of DbgPrint's arguments"),
    ],
)
def test_an_import_that_cannot_be_provided_is_refused(
    name: str, function: Any, error: type[Exception], what: str
) -> None:
    _, driver = loaded("families")
    with pytest.raises(error, match=what):
        driver.export(name)(function)
    driver.start()
    assert len(driver.log) == 1  # the one that was there


def test_a_routine_that_nobody_knows_needs_a_parameter_for_each_argument(
    tmp_path: Path,
) -> None:
    data = (Path(__file__).parent / "drivers" / "built" / "families-x64.sys").read_bytes()
    path = tmp_path / "unknown.sys"
    path.write_bytes(data.replace(b"DbgPrint\0", b"DbgPaint\0"))
    driver = Kernel().load_image(path)
    with pytest.raises(TypeError, match="a parameter for each argument of DbgPaint"):
        driver.export("DbgPaint")(lambda *arguments: 0)
    painted: list[int] = []
    driver.export("DbgPaint")(lambda text, count: painted.append(text))
    assert driver.start() == 0
    assert driver.symbol_at(painted[0]).startswith("unknown")


def test_imports_may_return_zero(tmp_path: Path) -> None:
    data = (Path(__file__).parent / "drivers" / "built" / "families-x86.sys").read_bytes()
    path = tmp_path / "quiet.sys"
    path.write_bytes(data.replace(b"DbgPrint\0", b"DbgPaint\0"))
    driver = Kernel("x86").load_image(path, unknown="zero")
    assert driver.start() == 0
    assert driver.call("Queue", 2) == 1
    assert driver.missing == {"DbgPaint": 2}
    assert driver.log == []

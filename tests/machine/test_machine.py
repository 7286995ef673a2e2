"""What a machine does by itself where memory is not there: at each IRQL, in each half."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheckCode,
    Irql,
    Kernel,
    LookasideList,
    NtStatus,
    NtStatusError,
    PoolType,
)
from lookaside_sim.memory.touch import EXECUTE
from tests.helpers import (
    allocated,
    both_machines,
    counters,
    new_list,
    nowhere,
    stop_of,
    violation_of,
    write_pointer,
)

USER = 0x1230
"""In the user half, where nothing is mapped."""
LEVELS = range(16)
both_halves = pytest.mark.parametrize("user", [True, False], ids=["user", "system"])
TOUCHES: dict[str, tuple[Callable[[Kernel, int], object], int, int]] = {
    # What the program does: parameter 2 of 0x50, parameter 3 of 0xD1 and 0xA.
    "read": (lambda kernel, at: kernel.read(at, 4), 0, 0),
    "write": (lambda kernel, at: kernel.write(at, b"\1"), 2, 1),
    "execute": (lambda kernel, at: kernel.touch_fault(at, EXECUTE), 0x10, 8),
}


@both_machines
@both_halves
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("touch", TOUCHES)
def test_what_the_program_touches_at_each_irql(
    arch: str, level: int, touch: str, user: bool
) -> None:
    kernel = Kernel(arch)
    where = USER if user else nowhere(kernel)
    kernel.raise_irql(level)
    do, operation, irql_operation = TOUCHES[touch]
    if user and level < Irql.DISPATCH_LEVEL:
        assert violation_of(lambda: do(kernel, where)) == (irql_operation, where)
        assert kernel.bugcheck is None
        return
    stop = stop_of(lambda: do(kernel, where))
    if level < Irql.DISPATCH_LEVEL:
        assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
        assert stop.parameters == (where, operation, 0, 0)
    else:
        assert stop.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
        assert stop.parameters[:3] == (where, level, irql_operation)
        assert stop.parameters[3] != 0  # the code that touched it


NT_TOUCHES: dict[str, tuple[Callable[[Kernel, int], object], int, int]] = {
    "a lock is read": (lambda kernel, at: kernel.spin_locks.acquire_at_dpc_level(at), 0, 0),
    "an SLIST is read": (lambda kernel, at: kernel.slists.pop(at), 0, 0),
    "a lock is written": (lambda kernel, at: kernel.spin_locks.initialize(at), 2, 1),
    "an entry is written": (lambda kernel, at: new_list(kernel).free(at), 2, 1),
}


@both_machines
@both_halves
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("touch", NT_TOUCHES)
def test_what_nts_own_code_touches_at_each_irql(
    arch: str, level: int, touch: str, user: bool
) -> None:
    kernel = Kernel(arch)
    where = USER if user else nowhere(kernel)
    do, operation, irql_operation = NT_TOUCHES[touch]
    kernel.raise_irql(level)
    if user and level < Irql.DISPATCH_LEVEL:
        assert violation_of(lambda: do(kernel, where)) == (irql_operation, where)
        return
    stop = stop_of(lambda: do(kernel, where))
    if level < Irql.DISPATCH_LEVEL:
        assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
        assert stop.parameters == (where, operation, 0, 0)
    else:
        assert stop.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
        assert stop.parameters[:3] == (where, level, irql_operation)


@both_machines
def test_where_the_halves_meet(arch: str) -> None:
    end = {"x64": 0x8000_0000_0000, "x86": 0x8000_0000}[arch]
    kernel = Kernel(arch)
    assert violation_of(lambda: kernel.read(end - 1, 1)) == (0, end - 1)
    start = {"x64": 0xFFFF_8000_0000_0000, "x86": end}[arch]
    stop = stop_of(lambda: kernel.read(start, 1))
    assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA


@pytest.mark.parametrize("level", [0, 1, 2, 15])
@pytest.mark.parametrize(
    "where", [0x8000_0000_0000, 0x4141_4141_4141_4141, 0xFFFF_7FFF_FFFF_FFFF]
)
def test_what_is_not_canonical_is_told_as_the_highest_address(where: int, level: int) -> None:
    kernel = Kernel()
    kernel.raise_irql(level)
    assert violation_of(lambda: kernel.write(where, b"\1")) == (0, 0xFFFF_FFFF_FFFF_FFFF)


def test_an_access_violation_says_where_it_was_raised() -> None:
    driver = Kernel().load_driver("mydrv.sys")
    with pytest.raises(NtStatusError, match="0x1230 was read") as caught, driver:
        driver._drivers.machine.read(USER, 1)
    assert driver.holds(caught.value.code_address)


@both_machines
def test_a_list_goes_on_after_its_user_caught_the_violation(arch: str) -> None:
    kernel = Kernel(arch)
    for address in (None, allocated(kernel, 0x100)):
        lookaside = LookasideList(kernel, "list", address)
        lookaside.initialize(size=64, tag=b"tseT")
        entry = lookaside.allocate()
        lookaside.free(entry)
        assert entry is not None
        write_pointer(kernel, entry, 0x4140)
        assert lookaside.allocate() == entry
        for _ in range(2):
            assert violation_of(lookaside.allocate) == (0, 0x4140)
        assert violation_of(lambda: lookaside.free(0x5000)) == (1, 0x5000)  # noqa: B023
        # The calls are counted; the header is as it was.
        assert counters(lookaside) == (4, 1, 2, 0)
        assert (lookaside.first, lookaside.current_depth) == (0x4140, 0)
        lookaside.free(entry)
        assert lookaside.allocate() == entry


# --- where nobody catches it ------------------------------------------------------------------


def test_a_system_thread_catches_nothing_else() -> None:
    kernel = Kernel()
    with kernel.system_thread():
        with pytest.raises(NtStatusError):
            kernel.read(USER, 1)
        assert kernel.bugcheck is None

    def run() -> None:
        with kernel.system_thread():
            kernel.read(USER, 1)

    stop = stop_of(run)
    assert stop.code is BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED
    assert stop.parameters[0] == NtStatus.STATUS_ACCESS_VIOLATION
    assert stop.parameters[1] != 0
    assert stop.parameters[2:] == (0, 0)
    assert "0x1230 was read" in stop.message


def test_a_dpc_routine_that_raises() -> None:
    kernel = Kernel(nonpaged_pool_bytes=1 << 12)
    raising = PoolType.NonPagedPool | PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE

    def run() -> None:
        with kernel.in_dpc():
            kernel.pool.allocate(raising, 1 << 16, b"tseT")

    stop = stop_of(run)
    assert stop.code is BugCheckCode.KMODE_EXCEPTION_NOT_HANDLED
    assert stop.parameters == (NtStatus.STATUS_INSUFFICIENT_RESOURCES, 0, 0, 0)


def test_a_dpc_routine_that_touches_what_is_not_canonical() -> None:
    kernel = Kernel()

    def run() -> None:
        with kernel.in_dpc():
            kernel.read(1 << 60, 1)

    stop = stop_of(run)
    assert stop.code is BugCheckCode.KMODE_EXCEPTION_NOT_HANDLED
    assert stop.parameters[0] == NtStatus.STATUS_ACCESS_VIOLATION
    assert stop.parameters[1] != 0
    assert stop.parameters[2:] == (0, 0xFFFF_FFFF_FFFF_FFFF)


def test_an_unload_routine_that_raises() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("mydrv.sys")
    driver.on_unload(lambda: kernel.write(USER, b"\1"))
    stop = stop_of(driver.unload)
    assert stop.code is BugCheckCode.SYSTEM_THREAD_EXCEPTION_NOT_HANDLED
    assert driver.holds(stop.parameters[1])


# --- whom it is blamed on -----------------------------------------------------------------------


def test_the_program_is_not_blamed_for_what_nt_touches_after_it() -> None:
    kernel = Kernel()
    block = allocated(kernel, 16)
    kernel.raise_irql(2)
    kernel.read(block, 8)
    kernel.write(block, b"fine")
    stop = stop_of(lambda: kernel.slists.pop(nowhere(kernel)))
    assert stop.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL


def test_a_range_that_begins_in_memory_stops_at_the_first_byte_that_does_not() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    end = lookaside.address + kernel.arch.lookaside_size
    kernel.raise_irql(2)
    stop = stop_of(lambda: kernel.read(end - 4, 8))
    assert stop.parameters[:3] == (end, 2, 0)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_spin_lock_is_touched_at_dispatch_level(level: int) -> None:
    kernel = Kernel()
    kernel.raise_irql(level)
    stop = stop_of(lambda: kernel.spin_locks.acquire(USER))
    assert stop.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert stop.parameters[:3] == (USER, 2, 0)

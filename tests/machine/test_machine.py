"""What a machine stops for by itself: memory that is not there, at each IRQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import BugCheckCode, Irql, Kernel
from lookaside_sim.memory.touch import EXECUTE
from tests.helpers import allocated, both_machines, new_list, stop_of

NOWHERE = 0x1230
LEVELS = range(16)
TOUCHES: dict[str, tuple[Callable[[Kernel], object], int, int]] = {
    # What the program does: parameter 2 of 0x50, parameter 3 of 0xD1 and 0xA.
    "read": (lambda kernel: kernel.read(NOWHERE, 4), 0, 0),
    "write": (lambda kernel: kernel.write(NOWHERE, b"\1"), 2, 1),
    "execute": (lambda kernel: kernel.touch_fault(NOWHERE, EXECUTE), 0x10, 8),
}


@both_machines
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("touch", TOUCHES)
def test_what_the_program_touches_at_each_irql(arch: str, level: int, touch: str) -> None:
    kernel = Kernel(arch)
    kernel.raise_irql(level)
    do, operation, irql_operation = TOUCHES[touch]
    stop = stop_of(lambda: do(kernel))
    if level < Irql.DISPATCH_LEVEL:
        assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
        assert stop.parameters == (NOWHERE, operation, 0, 0)
    else:
        assert stop.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
        assert stop.parameters[:3] == (NOWHERE, level, irql_operation)
        assert stop.parameters[3] != 0  # the code that touched it


NT_TOUCHES: dict[str, tuple[Callable[[Kernel], object], int, int]] = {
    "a lock is read": (lambda kernel: kernel.spin_locks.acquire_at_dpc_level(NOWHERE), 0, 0),
    "an SLIST is read": (lambda kernel: kernel.slists.pop(NOWHERE), 0, 0),
    "a lock is written": (lambda kernel: kernel.spin_locks.initialize(NOWHERE), 2, 1),
    "an entry is written": (lambda kernel: new_list(kernel).free(NOWHERE), 2, 1),
}


@both_machines
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("touch", NT_TOUCHES)
def test_what_nts_own_code_touches_at_each_irql(arch: str, level: int, touch: str) -> None:
    kernel = Kernel(arch)
    do, operation, irql_operation = NT_TOUCHES[touch]
    kernel.raise_irql(level)
    stop = stop_of(lambda: do(kernel))
    if level < Irql.DISPATCH_LEVEL:
        assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
        assert stop.parameters == (NOWHERE, operation, 0, 0)
    else:
        assert stop.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
        assert stop.parameters[:3] == (NOWHERE, level, irql_operation)


def test_the_program_is_not_blamed_for_what_nt_touches_after_it() -> None:
    kernel = Kernel()
    block = allocated(kernel, 16)
    kernel.raise_irql(2)
    kernel.read(block, 8)
    kernel.write(block, b"fine")
    stop = stop_of(lambda: kernel.slists.pop(NOWHERE))
    assert stop.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL


def test_a_range_that_begins_in_memory_stops_at_the_first_byte_that_does_not() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    end = lookaside.address + kernel.arch.lookaside_size
    kernel.raise_irql(2)
    stop = stop_of(lambda: kernel.read(end - 4, 8))
    assert stop.parameters[:3] == (end, 2, 0)

"""Blocks that are left out of order are refused with a sentence, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from lookaside_sim import Kernel, LookasideSimError, SpinLock
from lookaside_sim.kernel import current_kernel

Scopes = Callable[[Kernel], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


def drivers(kernel: Kernel) -> tuple[Any, Any]:
    return kernel.load_driver("one.sys"), kernel.load_driver("two.sys")


def processors(kernel: Kernel) -> tuple[Any, Any]:
    return kernel.on_processor(1), kernel.on_processor(2)


def processes(kernel: Kernel) -> tuple[Any, Any]:
    create = kernel.processes.create
    return kernel.processes.running(create("one")), kernel.processes.running(create("two"))


def kernels(kernel: Kernel) -> tuple[Any, Any]:
    return kernel, Kernel()


BLOCKS = pytest.mark.parametrize("blocks", [drivers, processors, processes, kernels])


def where(kernel: Kernel) -> tuple[object, ...]:
    return kernel.processor, kernel.processes.current, kernel.drivers.current


@BLOCKS
def test_a_block_that_was_not_entered(blocks: Scopes) -> None:
    kernel = Kernel(processors=3)
    one, _ = blocks(kernel)
    before = where(kernel)
    with pytest.raises(LookasideSimError, match="left"):
        one.__exit__(None, None, None)
    assert where(kernel) == before


@BLOCKS
def test_the_outer_of_two_blocks_first(blocks: Scopes) -> None:
    kernel = Kernel(processors=3)
    one, two = blocks(kernel)
    before = where(kernel)
    one.__enter__()
    two.__enter__()
    inside = where(kernel)
    with pytest.raises(LookasideSimError, match="reverse order"):
        one.__exit__(None, None, None)
    assert where(kernel) == inside
    two.__exit__(None, None, None)
    one.__exit__(None, None, None)
    assert where(kernel) == before
    with pytest.raises(LookasideSimError, match="left"):
        one.__exit__(None, None, None)


def test_a_kernel_left_twice_is_none_too_few() -> None:
    kernel = Kernel()
    with kernel:
        with kernel:
            assert current_kernel() is kernel
        assert current_kernel() is kernel


def test_a_spin_lock_that_was_not_entered() -> None:
    kernel = Kernel()
    lock = SpinLock(kernel, "lock")
    lock.acquire()
    with pytest.raises(LookasideSimError, match="'lock' is left and was not entered"):
        lock.__exit__(None, None, None)
    assert lock.owner == 0


def test_a_process_of_another_machine() -> None:
    kernel, other = Kernel(), Kernel()
    with pytest.raises(ValueError, match="one of this machine"):
        kernel.processes.running(other.processes.create("theirs"))
    with pytest.raises(TypeError, match="give a Process"):
        kernel.processes.running("theirs")  # type: ignore[arg-type]


def test_a_lock_that_would_be_waited_for_for_ever_changes_nothing() -> None:
    kernel = Kernel(processors=2)
    lock = SpinLock(kernel, "lock")
    lock.acquire()
    with kernel.on_processor(1):
        with pytest.raises(LookasideSimError, match="spin for ever"):
            lock.acquire()
        assert kernel.irql == 0
    with pytest.raises(ValueError, match="IRQL 99"):
        lock.release(99)
    assert lock.owner == 0
    assert kernel.irql == 2

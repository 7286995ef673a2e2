"""Spin locks: the IRQL they raise to, and the word in memory."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    LookasideSimError,
    SpinLock,
)
from lookaside_sim.machine.calls import Call, InitializeLock
from tests.helpers import allocated, stop_of


def test_a_spin_lock_raises_to_dispatch_level() -> None:
    kernel = Kernel()
    lock = SpinLock(kernel, "lock")
    old = lock.acquire()
    assert (old, kernel.irql, lock.owner) == (0, 2, 0)
    assert kernel.read(lock.address, 8) == (1).to_bytes(8, "little")
    lock.release(old)
    assert (kernel.irql, lock.owner) == (0, None)
    with lock:
        assert kernel.irql == 2
    assert kernel.irql == 0


def test_at_dpc_level_the_irql_stays() -> None:
    kernel = Kernel(processors=2)
    lock = SpinLock(kernel)
    with kernel.raise_irql(2):
        lock.acquire_at_dpc_level()
        with kernel.on_processor(1), pytest.raises(LookasideSimError, match="spin for ever"):
            lock.acquire_at_dpc_level()
        lock.release_from_dpc_level()
    assert kernel.irql == 0


def test_a_lock_taken_or_let_go_twice() -> None:
    kernel = Kernel()
    lock = SpinLock(kernel)
    lock.acquire()
    stop = stop_of(lock.acquire)
    assert (stop.code, stop.parameters) == (
        BugCheckCode.SPIN_LOCK_ALREADY_OWNED,
        (lock.address, 0, 0, 0),
    )
    kernel = Kernel()
    lock = SpinLock(kernel)
    assert stop_of(lambda: lock.release(0)).code is BugCheckCode.SPIN_LOCK_NOT_OWNED


def test_writing_over_a_lock_takes_or_frees_it() -> None:
    kernel = Kernel()
    lock = SpinLock(kernel)
    kernel.write(lock.address, b"\1")
    assert lock.owner == 0
    kernel.write(lock.address, bytes(8))
    assert lock.owner is None


def test_listeners_hear_of_a_lock_that_is_initialized() -> None:
    kernel = Kernel()
    address = allocated(kernel, 16)
    heard: list[Call] = []
    kernel.listen(lambda call: heard.append(call) if call.is_over else None)
    kernel.spin_locks.initialize(address, "mine")
    (call,) = heard
    assert isinstance(call, InitializeLock)
    assert (call.lock, call.name) == (address, "mine")
    assert not kernel.spin_locks.held()


def test_looking_at_a_lock_that_is_gone_does_not_stop_the_machine() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    with driver:
        lock = SpinLock(kernel)
    driver.unload()
    assert lock.owner is None
    assert kernel.spin_locks.owner_of(0x1000) is None
    assert kernel.bugcheck is None

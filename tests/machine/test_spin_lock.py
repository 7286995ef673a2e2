"""Spin locks: the IRQL they raise to, and the word in memory."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    LookasideSimError,
    SpinLock,
    ddi,
)
from tests.helpers import stop_of


def test_a_spin_lock_raises_to_dispatch_level() -> None:
    kernel = Kernel()
    with kernel:
        lock = ddi.KeInitializeSpinLock("lock")
        old = ddi.KeAcquireSpinLock(lock)
        assert (old, ddi.KeGetCurrentIrql(), lock.owner) == (0, 2, 0)
        assert kernel.read(lock.address, 8) == (1).to_bytes(8, "little")
        ddi.KeReleaseSpinLock(lock, old)
        assert (ddi.KeGetCurrentIrql(), lock.owner) == (0, None)
        with lock:
            assert kernel.irql == 2
        assert kernel.irql == 0


def test_at_dpc_level_the_irql_stays() -> None:
    kernel = Kernel(processors=2)
    with kernel:
        lock = ddi.KeInitializeSpinLock()
        old = ddi.KeRaiseIrql(2)
        ddi.KeAcquireSpinLockAtDpcLevel(lock)
        assert ddi.KeGetCurrentProcessorNumber() == 0
        with kernel.on_processor(1), pytest.raises(LookasideSimError, match="spin for ever"):
            lock.acquire_at_dpc_level()
        ddi.KeReleaseSpinLockFromDpcLevel(lock)
        ddi.KeLowerIrql(old)
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

"""Reader/writer and in-stack queued spin locks."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideSimError, ddi
from tests.ddi.helpers import memory


def test_alone_and_shared(current: Kernel) -> None:
    lock = memory(current)
    old = ddi.ExAcquireSpinLockExclusive(lock)
    assert (old, current.irql) == (0, 2)
    with pytest.raises(LookasideSimError, match="would spin for ever"):
        ddi.ExAcquireSpinLockSharedAtDpcLevel(lock)
    ddi.ExReleaseSpinLockExclusive(lock, old)
    assert current.irql == 0
    old = ddi.ExAcquireSpinLockShared(lock)
    ddi.ExAcquireSpinLockSharedAtDpcLevel(lock)
    assert not ddi.ExTryConvertSharedSpinLockExclusive(lock)
    ddi.ExReleaseSpinLockSharedFromDpcLevel(lock)
    assert ddi.ExTryConvertSharedSpinLockExclusive(lock)
    ddi.ExReleaseSpinLockExclusiveFromDpcLevel(lock)
    ddi.ExAcquireSpinLockExclusiveAtDpcLevel(lock)
    ddi.ExReleaseSpinLockExclusive(lock, old)
    ddi.ExReleaseSpinLockShared(lock, ddi.ExAcquireSpinLockShared(lock))
    assert not current.threads.held()
    assert current.read(lock, 4) == bytes(4)


def test_released_by_nobody(current: Kernel) -> None:
    lock = memory(current)
    old = ddi.ExAcquireSpinLockShared(lock)
    with pytest.raises(BugCheck) as stop:
        ddi.ExReleaseSpinLockExclusive(lock, old)
    assert stop.value.code is BugCheckCode.SPIN_LOCK_NOT_OWNED


def test_at_dpc_level_below_it(current: Kernel) -> None:
    with pytest.raises(BugCheck, match="acquired at DPC level, and the IRQL is 0"):
        ddi.ExAcquireSpinLockSharedAtDpcLevel(memory(current))


def test_in_stack_queued(current: Kernel) -> None:
    lock, handle = memory(current), memory(current)
    ddi.KeInitializeSpinLock(lock)
    assert ddi.KeTestSpinLock(lock)
    with current.raise_irql(1):
        ddi.KeAcquireInStackQueuedSpinLock(lock, handle)
        assert current.irql == 2
        here = ddi.KLOCK_QUEUE_HANDLE(handle)
        assert (here.Lock, here.OldIrql) == (lock, 1)
        assert not ddi.KeTestSpinLock(lock)
        assert not ddi.KeTryToAcquireSpinLockAtDpcLevel(lock)
        ddi.KeReleaseInStackQueuedSpinLock(handle)
        assert current.irql == 1
    with current.raise_irql(2):
        ddi.KeAcquireInStackQueuedSpinLockAtDpcLevel(lock, handle)
        ddi.KeReleaseInStackQueuedSpinLockFromDpcLevel(handle)
        assert ddi.KeTryToAcquireSpinLockAtDpcLevel(lock)
        ddi.KeReleaseSpinLockFromDpcLevel(lock)
    assert current.spin_locks.held() == []

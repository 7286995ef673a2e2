"""IRQL and spin lock routines: locks at addresses, results through pointers."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel, SpinLock, ddi
from tests.helpers import allocated, both_machines, read_pointer, stop_of, violation_of

D1 = BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL


@both_machines
def test_a_lock_in_a_pool_block(arch: str) -> None:
    with Kernel(arch) as kernel:
        lock = allocated(kernel, 64) + 24
        old = lock + 16
        kernel.write(lock, b"\xff" * 8)
        ddi.KeInitializeSpinLock(lock)
        assert read_pointer(kernel, lock) == 0
        kernel.raise_irql(1)
        ddi.KeAcquireSpinLock(lock, old)
        assert kernel.read(old, 1) == b"\1"
        assert (read_pointer(kernel, lock), ddi.KeGetCurrentIrql()) == (1, 2)
        ddi.KeReleaseSpinLock(lock, kernel.read(old, 1)[0])
        assert (read_pointer(kernel, lock), ddi.KeGetCurrentIrql()) == (0, 1)
        assert ddi.KeAcquireSpinLockRaiseToDpc(lock) == 1
        ddi.KeReleaseSpinLock(lock, 0)
        assert kernel.irql == 0


def test_a_lock_object_and_a_reference() -> None:
    with Kernel(processors=2) as kernel:
        lock, old = SpinLock(kernel, "mine"), ddi.Ref(7)
        ddi.KeInitializeSpinLock(lock)
        ddi.KeAcquireSpinLock(lock, old)
        assert (repr(old), lock.owner) == ("Ref(0)", 0)
        ddi.KeReleaseSpinLock(lock, old.value)
        ddi.KeRaiseIrql(2, old)
        ddi.KeAcquireSpinLockAtDpcLevel(lock)
        assert ddi.KeGetCurrentProcessorNumber() == 0
        ddi.KeReleaseSpinLockFromDpcLevel(lock)
        ddi.KeLowerIrql(old.value)
        assert ddi.KeRaiseIrqlToDpcLevel() == 0
        ddi.KeAcquireSpinLockAtDpcLevel(lock)
        stop = stop_of(lambda: ddi.KeAcquireSpinLockAtDpcLevel(lock))
    assert stop.parameters == (lock.address, 0, 0, 0)
    assert "'mine'" in str(stop)


def test_the_old_irql_is_stored_by_the_driver_once_it_is_raised() -> None:
    with Kernel() as kernel:
        lock = SpinLock(kernel)
        stop = stop_of(lambda: ddi.KeAcquireSpinLock(lock, 0x1000))
    assert stop.code is D1
    assert stop.parameters[:3] == (0x1000, 2, 1)
    assert lock.owner == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ddi.KeInitializeSpinLock("lock"), TypeError, "SpinLock 'lock': give an addr"),
        (lambda: ddi.KeInitializeSpinLock(-1), ValueError, "SpinLock -1: give 0 to"),
        (lambda: ddi.KeAcquireSpinLockRaiseToDpc(1 << 64), ValueError, "SpinLock"),
        (lambda: ddi.KeRaiseIrql(2, "old"), TypeError, "OldIrql 'old': give an address, or"),  # type: ignore[arg-type]
        (lambda: ddi.KeRaiseIrql(2, 1 << 64), ValueError, "OldIrql"),
        (lambda: ddi.KeRaiseIrql(16, ddi.Ref()), ValueError, "IRQL 16"),
        (lambda: ddi.KeAcquireSpinLock(0x1000, None), TypeError, "OldIrql None"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_argument_changes_nothing(
    call: object, error: type[Exception], message: str
) -> None:
    assert callable(call)
    with Kernel() as kernel:
        with pytest.raises(error, match=message):
            call()
        assert kernel.irql == 0
        assert kernel.bugcheck is None


def test_a_lock_in_memory_that_is_not_there() -> None:
    with Kernel():
        assert violation_of(lambda: ddi.KeInitializeSpinLock(0x1000)) == (1, 0x1000)

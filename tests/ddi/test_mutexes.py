"""Fast and guarded mutexes, and critical regions."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideSimError, Verifier, ddi
from tests.ddi.helpers import memory


def test_a_fast_mutex_raises_the_irql_and_lowers_it(current: Kernel) -> None:
    mutex = memory(current)
    ddi.ExInitializeFastMutex(mutex)
    ddi.ExAcquireFastMutex(mutex)
    assert current.irql == ddi.APC_LEVEL
    assert (ddi.FAST_MUTEX(mutex).Count, ddi.FAST_MUTEX(mutex).Owner) == (
        0,
        current.threads.current,
    )
    assert not ddi.ExTryToAcquireFastMutex(mutex)
    ddi.ExReleaseFastMutex(mutex)
    assert current.irql == ddi.PASSIVE_LEVEL
    assert ddi.ExTryToAcquireFastMutex(mutex)
    ddi.ExReleaseFastMutex(mutex)
    assert not current.threads.held()


def test_the_unsafe_ones_leave_the_irql_alone(current: Kernel) -> None:
    mutex = memory(current)
    ddi.ExInitializeFastMutex(mutex)
    ddi.KeEnterCriticalRegion()
    ddi.ExAcquireFastMutexUnsafe(mutex)
    assert current.irql == 0
    ddi.ExReleaseFastMutexUnsafe(mutex)
    ddi.KeLeaveCriticalRegion()
    assert not ddi.KeAreApcsDisabled()


def test_guarded_mutexes_disable_apcs(current: Kernel) -> None:
    mutex = memory(current)
    ddi.KeInitializeGuardedMutex(mutex)
    ddi.KeAcquireGuardedMutex(mutex)
    assert ddi.KeAreApcsDisabled()
    assert not ddi.KeTryToAcquireGuardedMutex(mutex)
    ddi.KeReleaseGuardedMutex(mutex)
    assert ddi.KeTryToAcquireGuardedMutex(mutex)
    ddi.KeReleaseGuardedMutex(mutex)
    ddi.KeEnterGuardedRegion()
    ddi.KeLeaveGuardedRegion()
    ddi.FsRtlEnterFileSystem()
    ddi.FsRtlExitFileSystem()
    assert not current.threads.regions()


def test_taking_it_twice_is_a_wait_for_oneself(current: Kernel) -> None:
    mutex = memory(current)
    ddi.ExInitializeFastMutex(mutex)
    ddi.ExAcquireFastMutex(mutex)
    with pytest.raises(
        LookasideSimError, match=r"this thread took the fast mutex .*test_taking"
    ):
        ddi.ExAcquireFastMutex(mutex)
    with (
        current.threads.run(current.threads.make()),
        pytest.raises(LookasideSimError, match="another thread took the fast mutex"),
    ):
        ddi.ExAcquireFastMutex(mutex)
    with (
        current.threads.run(current.threads.make()),
        pytest.raises(LookasideSimError, match="released by a thread that does not have it"),
    ):
        ddi.ExReleaseFastMutex(mutex)


def test_a_mutex_that_was_not_initialized(current: Kernel) -> None:
    with pytest.raises(LookasideSimError, match="was it initialized"):
        ddi.ExAcquireFastMutex(memory(current))


def test_above_apc_level(current: Kernel) -> None:
    mutex = memory(current)
    ddi.ExInitializeFastMutex(mutex)
    with current.raise_irql(2), pytest.raises(BugCheck) as stop:
        ddi.ExAcquireFastMutex(mutex)
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert "ExAcquireFastMutex was called at IRQL 2" in str(stop.value)


@pytest.mark.parametrize(
    ("irql", "do", "violation"),
    [
        (2, lambda mutex: ddi.ExAcquireFastMutex(mutex), 0x33),
        (0, lambda mutex: ddi.ExReleaseFastMutex(mutex), 0x34),
        (0, lambda mutex: ddi.ExAcquireFastMutexUnsafe(mutex), 0x39),
        (0, lambda mutex: ddi.ExReleaseFastMutexUnsafe(mutex), 0x3A),
        (0, lambda mutex: ddi.KeLeaveCriticalRegion(), 0x3E),
        (0, lambda mutex: ddi.ExAcquireResourceSharedLite(mutex, True), 0x37),
        (0, lambda mutex: ddi.ExReleaseResourceLite(mutex), 0x38),
        (5, lambda mutex: ddi.KeSetEvent(mutex, 0, False), 0x80),
    ],
)
def test_what_the_verifier_asks_for(arch: str, irql: int, do: object, violation: int) -> None:
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mutex = memory(kernel)
        ddi.ExInitializeFastMutex(mutex)
        with kernel.raise_irql(irql), pytest.raises(BugCheck) as stop:
            do(mutex)  # type: ignore[operator]
    assert stop.value.code is BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION
    assert stop.value.parameters[0] == violation


def test_what_the_verifier_finds_nothing_wrong_with(arch: str) -> None:
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mutex, event = memory(kernel), memory(kernel)
        ddi.ExInitializeFastMutex(mutex)
        with kernel.raise_irql(1):
            for acquire in (ddi.ExAcquireFastMutex, ddi.ExTryToAcquireFastMutex):
                acquire(mutex)
                ddi.ExReleaseFastMutex(mutex)
            ddi.ExAcquireFastMutexUnsafe(mutex)  # APCs are disabled by the IRQL
            ddi.ExReleaseFastMutexUnsafe(mutex)
        ddi.KeEnterCriticalRegion()
        ddi.ExAcquireFastMutexUnsafe(mutex)  # and here by the region
        ddi.ExReleaseFastMutexUnsafe(mutex)
        ddi.KeLeaveCriticalRegion()
        ddi.KeInitializeEvent(event, 0, False)
        with kernel.raise_irql(2):
            ddi.KeSetEvent(event, 0, False)
        assert kernel.bugcheck is None


def test_what_a_violation_of_a_mutex_says(arch: str) -> None:
    for irql, do, parameters, words in (
        (2, ddi.ExAcquireFastMutex, (0x33, 2), "was acquired at IRQL 2"),
        (2, ddi.ExTryToAcquireFastMutex, (0x33, 2), "was acquired at IRQL 2"),
        (2, ddi.ExReleaseFastMutex, (0x34, 2), "was released at IRQL 2"),
    ):
        with Kernel(arch, verifier=Verifier.standard()) as kernel:
            mutex = memory(kernel)
            ddi.ExInitializeFastMutex(mutex)
            with kernel.raise_irql(irql), pytest.raises(BugCheck) as stop:
                do(mutex)
        assert stop.value.parameters == (*parameters, mutex, 0)
        assert f"the fast mutex at {mutex:#x} {words}" in str(stop.value)
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        mutex = memory(kernel)
        with pytest.raises(BugCheck) as stop:
            ddi.ExAcquireFastMutexUnsafe(mutex)
    assert stop.value.parameters == (0x39, 0, 0, mutex)

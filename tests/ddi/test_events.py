"""Events, semaphores, mutexes and waits, and who would have to end a wait."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideSimError,
    NtStatus,
    NtStatusError,
    ddi,
)
from tests.ddi.helpers import memory

HALF_A_SECOND, TWO_SECONDS = ddi.Ref(-5_000_000), ddi.Ref(-20_000_000)


def wait(address: int, timeout: ddi.Ref | int = 0) -> int:
    return ddi.KeWaitForSingleObject(address, ddi.Executive, ddi.KernelMode, False, timeout)


def test_an_event_of_either_kind(current: Kernel) -> None:
    stays, resets = memory(current), memory(current)
    ddi.KeInitializeEvent(stays, ddi.NotificationEvent, False)
    ddi.KeInitializeEvent(resets, ddi.SynchronizationEvent, True)
    assert ddi.KeSetEvent(stays, ddi.IO_NO_INCREMENT, False) == 0
    assert ddi.KeSetEvent(stays, ddi.IO_NO_INCREMENT, False) == 1
    assert wait(stays) == wait(stays) == ddi.STATUS_SUCCESS
    assert wait(resets, ddi.Ref(0)) == ddi.STATUS_SUCCESS
    assert wait(resets, ddi.Ref(0)) == ddi.STATUS_TIMEOUT
    assert ddi.KeResetEvent(stays) == 1
    assert ddi.KeReadStateEvent(stays) == 0
    ddi.KeSetEvent(stays, 0, False)
    ddi.KeClearEvent(stays)
    assert ddi.KeReadStateEvent(stays) == 0
    header = ddi.KEVENT(stays).Header
    assert (header.Type, header.Size, header.WaitListHead.Flink) == (
        0,
        ddi.sizeof(ddi.KEVENT) // 4,
        header.WaitListHead,
    )
    with pytest.raises(ValueError, match="Type 7: give NotificationEvent"):
        ddi.KeInitializeEvent(stays, 7, False)


def test_time_passes_in_a_wait_with_a_timeout(current: Kernel) -> None:
    event = memory(current)
    ddi.KeInitializeEvent(event, 0, False)
    assert wait(event, TWO_SECONDS) == ddi.STATUS_TIMEOUT
    assert current.seconds == 2
    assert wait(event, HALF_A_SECOND) == ddi.STATUS_TIMEOUT
    assert wait(event, ddi.Ref(50_000_000)) == ddi.STATUS_TIMEOUT  # since the boot
    assert current.seconds == 5
    place = memory(current, contents=(-10_000_000 & (1 << 64) - 1).to_bytes(8, "little"))
    ddi.KeDelayExecutionThread(ddi.KernelMode, False, place)
    assert current.seconds == 6


def test_a_wait_that_nobody_can_end_says_who_would_have_to(current: Kernel) -> None:
    event = memory(current)
    ddi.KeInitializeEvent(event, 0, False)
    with pytest.raises(LookasideSimError) as wrong:
        wait(event)
    text = str(wrong.value)
    assert f"the notification event at {event:#x} (last initialized at " in text
    assert "test_events.py" in text
    assert "would have to be ended by KeSetEvent" in text
    assert current.bugcheck is None
    with pytest.raises(LookasideSimError, match="no dispatcher object that was initialized"):
        wait(memory(current, contents=b"\x77"))


def test_a_wait_at_dispatch_level_stops_the_machine(current: Kernel) -> None:
    event = memory(current)
    ddi.KeInitializeEvent(event, 0, False)
    with current.raise_irql(2):
        assert wait(event, ddi.Ref(0)) == ddi.STATUS_TIMEOUT
        ddi.KeSetEvent(event, 0, False)
        assert wait(event) == ddi.STATUS_SUCCESS
        ddi.KeClearEvent(event)
        with pytest.raises(BugCheck) as stop:
            wait(event)
    assert stop.value.code is BugCheckCode.ATTEMPTED_SWITCH_FROM_DPC


def test_several_objects(current: Kernel) -> None:
    one, other = memory(current), memory(current)
    ddi.KeInitializeEvent(one, 1, False)
    ddi.KeInitializeEvent(other, 1, True)

    def wait_for(kind: int) -> int:
        return ddi.KeWaitForMultipleObjects(2, [one, other], kind, 0, 0, False, ddi.Ref(0), 0)

    assert wait_for(ddi.WaitAll) == ddi.STATUS_TIMEOUT
    assert wait_for(ddi.WaitAny) == 1
    assert wait_for(ddi.WaitAny) == ddi.STATUS_TIMEOUT
    ddi.KeSetEvent(one, 0, False)
    ddi.KeSetEvent(other, 0, False)
    pointer = current.arch.pointer_size
    array = memory(
        current,
        contents=one.to_bytes(pointer, "little") + other.to_bytes(pointer, "little"),
    )
    assert (
        ddi.KeWaitForMultipleObjects(2, array, ddi.WaitAll, 0, 0, False, 0, 0)
        == ddi.STATUS_SUCCESS
    )
    assert (ddi.KeReadStateEvent(one), ddi.KeReadStateEvent(other)) == (0, 0)
    with pytest.raises(ValueError, match="Count 3: give 1 to 2"):
        ddi.KeWaitForMultipleObjects(3, [one, other], 0, 0, 0, False, 0, 0)
    with pytest.raises(ValueError, match="WaitType 2"):
        wait_for(2)


def test_a_semaphore_counts(current: Kernel) -> None:
    semaphore = memory(current)
    ddi.KeInitializeSemaphore(semaphore, 1, 2)
    assert wait(semaphore) == 0
    assert wait(semaphore, ddi.Ref(0)) == ddi.STATUS_TIMEOUT
    assert ddi.KeReleaseSemaphore(semaphore, 0, 2, False) == 0
    with pytest.raises(NtStatusError) as raised:
        ddi.KeReleaseSemaphore(semaphore, 0, 1, False)
    assert raised.value.status is NtStatus.STATUS_SEMAPHORE_LIMIT_EXCEEDED
    assert ddi.KeReadStateSemaphore(semaphore) == 2
    with pytest.raises(ValueError, match="0 <= Count <= Limit"):
        ddi.KeInitializeSemaphore(semaphore, 3, 2)


def test_a_mutex_belongs_to_a_thread(current: Kernel) -> None:
    mutex = memory(current)
    ddi.KeInitializeMutex(mutex, 0)
    with pytest.raises(NtStatusError, match="MUTANT_NOT_OWNED"):
        ddi.KeReleaseMutex(mutex, False)
    assert wait(mutex) == wait(mutex) == 0
    assert ddi.KeAreApcsDisabled()
    (held,) = current.threads.held()
    assert (held.kind, held.address, held.count) == ("mutex", mutex, 2)
    assert ddi.KeReleaseMutex(mutex, False) == -1
    assert ddi.KeReleaseMutex(mutex, False) == 0
    assert ddi.KeReadStateMutex(mutex) == 1
    assert not current.threads.held()
    assert not ddi.KeAreApcsDisabled()


def test_what_is_queued_runs_while_somebody_waits(current: Kernel) -> None:
    event = memory(current)
    ddi.KeInitializeEvent(event, 1, False)

    def work() -> None:
        assert current.irql == 0
        ddi.KeSetEvent(event, 0, False)

    current.queues.add("work item", 0x1234, work, ())
    with current.raise_irql(1):
        assert wait(event) == 0
        assert current.irql == 1


def test_a_worker_cannot_take_the_mutex_of_who_waits(current: Kernel) -> None:
    mutex, event = memory(current), memory(current)
    ddi.KeInitializeMutex(mutex, 0)
    ddi.KeInitializeEvent(event, 0, False)
    wait(mutex)
    current.queues.add("work item", 0x1234, wait, (mutex,))
    with pytest.raises(LookasideSimError, match="held by another thread since wait "):
        wait(event)

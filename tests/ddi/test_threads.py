"""System threads: they run while somebody waits, and are signaled when they are over."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideSimError, ddi


def test_an_unload_routine_waits_for_its_thread(current: Kernel) -> None:
    stop = ddi.variable(ddi.KEVENT)
    seen: list[object] = []

    def worker(context: int) -> None:
        seen.append((context, ddi.KeGetCurrentThread() == outside, int(current.irql)))
        ddi.KeWaitForSingleObject(stop, ddi.Executive, ddi.KernelMode, False, 0)
        ddi.PsTerminateSystemThread(0)

    ddi.KeInitializeEvent(stop, ddi.NotificationEvent, False)
    outside, handle, thread = ddi.PsGetCurrentThread(), ddi.Ref(), ddi.Ref()
    assert ddi.PsCreateSystemThread(handle, 0, 0, 0, 0, worker, 0x77) == 0
    ddi.ObReferenceObjectByHandle(handle.value, 0, ddi.PsThreadType, 0, thread, 0)
    ddi.ZwClose(handle.value)
    ddi.KeSetEvent(stop, 0, False)
    assert not seen
    assert ddi.KeWaitForSingleObject(thread.value, 0, 0, False, 0) == 0
    assert seen == [(0x77, False, 0)]
    ddi.ObDereferenceObject(thread.value)
    assert current.references.blocks == 0


def test_a_thread_that_waits_for_who_waits_for_it(current: Kernel) -> None:
    stop, handle, thread = ddi.variable(ddi.KEVENT), ddi.Ref(), ddi.Ref()
    ddi.KeInitializeEvent(stop, ddi.NotificationEvent, False)
    ddi.PsCreateSystemThread(
        handle, 0, 0, 0, 0, lambda context: ddi.KeWaitForSingleObject(stop, 0, 0, False, 0), 0
    )
    ddi.ObReferenceObjectByHandle(handle.value, 0, 0, 0, thread, 0)
    with pytest.raises(LookasideSimError, match="would have to be ended by KeSetEvent"):
        ddi.KeWaitForSingleObject(thread.value, 0, 0, False, 0)


def test_a_routine_that_returns_at_a_raised_irql(current: Kernel) -> None:
    handle = ddi.Ref()
    ddi.PsCreateSystemThread(
        handle, 0, 0, 0, 0, lambda context: ddi.KeRaiseIrql(1, ddi.Ref()), 0
    )
    with pytest.raises(BugCheck) as stop:
        current.queues.run()
    assert stop.value.code is BugCheckCode.WORKER_THREAD_RETURNED_AT_BAD_IRQL


def test_no_memory_for_a_thread() -> None:
    with Kernel(nonpaged_nx_pool_bytes=0):
        assert ddi.PsCreateSystemThread(ddi.Ref(), 0, 0, 0, 0, print, 0) == (
            ddi.STATUS_INSUFFICIENT_RESOURCES
        )


def test_a_copy_of_the_machine_has_threads_of_its_own(current: Kernel) -> None:
    handle = ddi.Ref()
    runs: list[int] = []
    ddi.PsCreateSystemThread(handle, 0, 0, 0, 0, runs.append, 5)
    copy = current.clone()
    with copy:
        assert copy.queues.run() == 1
    assert runs == [5]
    assert len(current.queues.waiting) == 1
    assert not copy.queues.waiting

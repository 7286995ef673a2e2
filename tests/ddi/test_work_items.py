"""Work items: they run when told or while somebody waits, once for each time they are queued."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideSimError, ddi
from tests.ddi.helpers import memory


def test_a_work_item_runs_with_its_device_and_context(current: Kernel) -> None:
    seen: list[tuple[int, ...]] = []
    item = ddi.IoAllocateWorkItem(0x1230)
    ddi.IoQueueWorkItem(item, lambda *given: seen.append(given), ddi.DelayedWorkQueue, 7)
    assert not seen
    assert current.queues.run() == 1
    ddi.IoQueueWorkItemEx(item, lambda *given: seen.append(given), ddi.CriticalWorkQueue, 8)
    current.queues.run()
    assert seen == [(0x1230, 7), (0x1230, 8, item)]
    ddi.IoFreeWorkItem(item)
    assert ddi.IoSizeofWorkItem() == 11 * current.arch.pointer_size


def test_a_work_queue_item_of_the_drivers_own(current: Kernel) -> None:
    seen: list[int] = []
    item = ddi.WORK_QUEUE_ITEM(memory(current))
    ddi.ExInitializeWorkItem(item, seen.append, 9)
    ddi.ExQueueWorkItem(item, ddi.DelayedWorkQueue)
    current.queues.run()
    assert seen == [9]


@pytest.mark.parametrize("free", [True, False])
def test_a_queued_one_is_neither_freed_nor_queued_again(current: Kernel, free: bool) -> None:
    item = ddi.IoAllocateWorkItem(0)
    ddi.IoQueueWorkItem(item, print, 1, 0)
    with pytest.raises(BugCheck, match="queued at test_a_queued_one") as stop:
        ddi.IoFreeWorkItem(item) if free else ddi.IoQueueWorkItem(item, print, 1, 0)
    assert stop.value.code is BugCheckCode.WORKER_INVALID


def test_no_work_item_runs_at_dispatch_level(current: Kernel) -> None:
    item = ddi.IoAllocateWorkItem(0)
    ddi.IoQueueWorkItem(item, lambda *given: None, 1, 0)
    with current.raise_irql(2), pytest.raises(LookasideSimError, match="lower the IRQL"):
        current.queues.run()
    assert current.queues.run() == 1


def test_work_that_queues_itself_without_end(current: Kernel) -> None:
    item = ddi.IoAllocateWorkItem(0)

    def again(device: int, context: int) -> None:
        ddi.IoQueueWorkItem(item, again, 1, 0)

    ddi.IoQueueWorkItem(item, again, 1, 0)
    with pytest.raises(LookasideSimError, match="5 have run and more are queued"):
        current.queues.run(5)


def test_no_memory_for_a_work_item() -> None:
    with Kernel(nonpaged_nx_pool_bytes=0):
        assert ddi.IoAllocateWorkItem(0) == 0

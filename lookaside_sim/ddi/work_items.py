"""Work items; import them from `lookaside_sim.ddi`.

A work item that is queued runs while somebody waits, or when `Queues.run` is called.

Source:
    [doc] the page of each routine (wdm.h); bug check 0xE4. Choice: an IO_WORKITEM is a nonpaged block with the tag
    ``IoWI`` that counts as the driver's.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Code, Pointer, Size, Ulong, code_address
from lookaside_sim.ddi.io_structures import WORK_QUEUE_ITEM
from lookaside_sim.ddi.routine import inlined, routine_up_to
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, PoolTag, PoolType

__all__ = [
    "CriticalWorkQueue",
    "DelayedWorkQueue",
    "ExInitializeWorkItem",
    "ExQueueWorkItem",
    "IoAllocateWorkItem",
    "IoFreeWorkItem",
    "IoQueueWorkItem",
    "IoQueueWorkItemEx",
    "IoSizeofWorkItem",
]

CriticalWorkQueue: Final = 0
DelayedWorkQueue: Final = 1
_TAG: Final = PoolTag(b"IoWI")
_POINTERS: Final = 11
"""Size of an IO_WORKITEM, in pointers. Choice."""


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoAllocateWorkItem(DeviceObject: Pointer) -> int:
    """Make a work item.

    Args:
        DeviceObject: the device, or driver, whose it is.

    Returns:
        Its address, or 0 for NULL.
    """
    kernel = current_kernel()
    size = _POINTERS * kernel.arch.pointer_size
    pool_type = PoolType.NonPagedPoolNx | PoolType.POOL_ZERO_ALLOCATION
    item = kernel.pool.allocate(pool_type, size, _TAG) or 0
    if item:
        kernel.memory.write_pointer(item, DeviceObject)
    return item


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoFreeWorkItem(IoWorkItem: Pointer) -> None:
    """Free a work item.

    Raises:
        BugCheck: WORKER_INVALID for one that is queued.
    """
    _check_not_queued(IoWorkItem, "freed")
    current_kernel().pool.free(IoWorkItem)


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoQueueWorkItem(
    IoWorkItem: Pointer, WorkerRoutine: Code, QueueType: Ulong, Context: Size
) -> None:
    """Queue a work item.

    Args:
        IoWorkItem: the work item.
        WorkerRoutine: called with the device object and the context, at PASSIVE_LEVEL.
        QueueType: such as DelayedWorkQueue; has no effect.
        Context: handed on.

    Raises:
        BugCheck: WORKER_INVALID for one that is queued.
    """
    kernel = current_kernel()
    _check_not_queued(IoWorkItem, "queued")
    device = kernel.memory.read_pointer(IoWorkItem)
    arguments = (code_address(WorkerRoutine), device, Context)
    kernel.queues.add("work item", IoWorkItem, kernel.routines.call, arguments)


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoQueueWorkItemEx(
    IoWorkItem: Pointer, WorkerRoutine: Code, QueueType: Ulong, Context: Size
) -> None:
    """Queue a work item whose routine also gets the work item, behind the context."""
    kernel = current_kernel()
    _check_not_queued(IoWorkItem, "queued")
    device = kernel.memory.read_pointer(IoWorkItem)
    arguments = (code_address(WorkerRoutine), device, Context, IoWorkItem)
    kernel.queues.add("work item", IoWorkItem, kernel.routines.call, arguments)


@routine_up_to(Irql.HIGH_LEVEL)
def IoSizeofWorkItem() -> int:
    """Bytes of an IO_WORKITEM."""
    return _POINTERS * current_kernel().arch.pointer_size


@inlined
def ExInitializeWorkItem(Item: Pointer, Routine: Code, Context: Size) -> None:
    """Fill a WORK_QUEUE_ITEM in.

    Args:
        Item: the structure.
        Routine: called with the context, at PASSIVE_LEVEL.
        Context: handed on.
    """
    here = WORK_QUEUE_ITEM(Item)
    here.WorkerRoutine, here.Parameter = code_address(Routine), Context
    here.List.Flink = 0


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExQueueWorkItem(WorkItem: Pointer, QueueType: Ulong) -> None:
    """Queue a WORK_QUEUE_ITEM.

    Raises:
        BugCheck: WORKER_INVALID for one that is queued.
    """
    kernel = current_kernel()
    _check_not_queued(WorkItem, "queued")
    offset = WORK_QUEUE_ITEM.offset_on
    routine_at = WorkItem + offset(kernel.arch, "WorkerRoutine")
    routine = kernel.memory.read_pointer(routine_at)
    context = kernel.memory.read_pointer(routine_at + kernel.arch.pointer_size)
    kernel.queues.add("work item", WorkItem, kernel.routines.call, (routine, context))


def _check_not_queued(item: int, verb: str) -> None:
    kernel = current_kernel()
    if kernel.queues.holds(item):
        queued = next(each for each in kernel.queues.waiting if each.address == item)
        kernel.machine.stop(
            BugCheckCode.WORKER_INVALID,
            (0, item, 0, 0),
            f"{queued}, was {verb} while it waits to run",
        )

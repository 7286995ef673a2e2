"""The documented routines on events that have names or handles; import them from `lookaside_sim.ddi`.

Source:
    [doc] IoCreateNotificationEvent, IoCreateSynchronizationEvent, ZwSetEvent; Standard Event
    Objects. Choice: a name other than that of a standard event is a new one at each call.
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import (
    Out,
    Ref,
    Size,
    Text,
    store_optional,
    store_pointer,
)
from lookaside_sim.ddi.events import NotificationEvent, SynchronizationEvent
from lookaside_sim.ddi.known_structures import KEVENT
from lookaside_sim.ddi.routine import routine_up_to
from lookaside_sim.ddi.strings import text_of
from lookaside_sim.ddi.types import sizeof
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql, NtStatus
from lookaside_sim.pool.conditions import CONDITIONS, MemoryCondition, memory_condition

__all__ = ["IoCreateNotificationEvent", "IoCreateSynchronizationEvent", "ZwSetEvent"]

_DIRECTORY = "\\KernelObjects\\"


@routine_up_to(Irql.PASSIVE_LEVEL)
def IoCreateNotificationEvent(EventName: Text, EventHandle: Out = 0) -> MemoryCondition | int:
    """Open a notification event by its name, or make one that is signaled.

    Args:
        EventName: UNICODE_STRING with the name, or a text.
        EventHandle: where a handle goes, for `ZwClose`. Without one only a standard event can be
            opened, which is there until the machine ends.

    Returns:
        The event: for one of `lookaside_sim.pool.conditions` what tells whether it is signaled, for
        any other its address; 0 for NULL without memory.

    Raises:
        ValueError: without a handle, a name that is no standard event's.
    """
    name = EventName if isinstance(EventName, str) else text_of(EventName)
    is_wanted = isinstance(EventHandle, Ref) or bool(EventHandle)
    if not is_wanted:
        return memory_condition(current_kernel().pool, name)
    made = _make(name, EventHandle, NotificationEvent)
    if name.removeprefix(_DIRECTORY) in CONDITIONS:
        return memory_condition(current_kernel().pool, name)
    return made


@routine_up_to(Irql.PASSIVE_LEVEL)
def IoCreateSynchronizationEvent(EventName: Text, EventHandle: Out) -> int:
    """Make a synchronization event that is signaled.

    Args:
        EventName: UNICODE_STRING with the name, or a text.
        EventHandle: where a handle goes, for `ZwClose`.

    Returns:
        Its address; 0 for NULL without memory.
    """
    name = EventName if isinstance(EventName, str) else text_of(EventName)
    return _make(name, EventHandle, SynchronizationEvent)


def _make(name: str, handle: Out, type: int) -> int:
    kernel = current_kernel()
    made = kernel.references.make("Event", name, sizeof(KEVENT))
    if made is None:
        store_pointer(handle, 0)
        return 0
    kernel.dispatcher.initialize(made.address, type, sizeof(KEVENT), 1)
    store_pointer(handle, kernel.references.open(made, for_kernel=True))
    return made.address


@routine_up_to(Irql.PASSIVE_LEVEL)
def ZwSetEvent(EventHandle: Size, PreviousState: Out) -> NtStatus:
    """Signal the event that a handle opens.

    Args:
        EventHandle: the handle.
        PreviousState: where it goes whether it was signaled, a LONG; or 0 for NULL.

    Returns:
        STATUS_SUCCESS, STATUS_INVALID_HANDLE or STATUS_OBJECT_TYPE_MISMATCH.
    """
    kernel = current_kernel()
    found = kernel.references.opened(EventHandle)
    if found is None:
        return NtStatus.STATUS_INVALID_HANDLE
    if found.object.kind != "Event":
        return NtStatus.STATUS_OBJECT_TYPE_MISMATCH
    before = kernel.dispatcher.set_state(found.object.address, 1, "set")
    store_optional(PreviousState, before, 4)
    return NtStatus.STATUS_SUCCESS

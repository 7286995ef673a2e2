"""The documented routines on events, semaphores and mutexes; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h). KeReadStateEvent also takes what IoCreateNotificationEvent
    opened.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Boolean, Long, Pointer, Ulong, address_of
from lookaside_sim.ddi.known_structures import KEVENT, KMUTEX, KSEMAPHORE
from lookaside_sim.ddi.routine import routine, routine_up_to
from lookaside_sim.ddi.types import sizeof
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql
from lookaside_sim.pool.conditions import MemoryCondition

__all__ = [
    "IO_NO_INCREMENT",
    "KeClearEvent",
    "KeInitializeEvent",
    "KeInitializeMutex",
    "KeInitializeSemaphore",
    "KeReadStateEvent",
    "KeReadStateMutex",
    "KeReadStateSemaphore",
    "KeReleaseMutex",
    "KeReleaseSemaphore",
    "KeResetEvent",
    "KeSetEvent",
    "NotificationEvent",
    "SynchronizationEvent",
]

NotificationEvent: Final = 0
SynchronizationEvent: Final = 1
IO_NO_INCREMENT: Final = 0

_MUTANT: Final = 2
_SEMAPHORE: Final = 5


@routine
def KeInitializeEvent(Event: Pointer, Type: Ulong, State: Boolean) -> None:
    """Make a KEVENT.

    Args:
        Event: the event, in nonpaged memory.
        Type: NotificationEvent, which stays signaled, or SynchronizationEvent, which one wait
            resets.
        State: whether it is signaled.

    Raises:
        BugCheck: the memory cannot be written.
        ValueError: no EVENT_TYPE.
    """
    if Type not in (NotificationEvent, SynchronizationEvent):
        raise ValueError(f"Type {Type}: give NotificationEvent or SynchronizationEvent")
    current_kernel().dispatcher.initialize(Event, Type, sizeof(KEVENT), int(State))


@routine_up_to(Irql.DISPATCH_LEVEL)
def KeSetEvent(Event: Pointer, Increment: Long, Wait: Boolean) -> int:
    """Signal an event.

    Args:
        Event: the event.
        Increment: for the priority of who waits; has no effect.
        Wait: whether a wait follows at once; has no effect.

    Returns:
        Whether it was signaled, 1 or 0.

    Raises:
        BugCheck: IRQL_NOT_LESS_OR_EQUAL above DISPATCH_LEVEL; in verified code
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x80).
    """
    return current_kernel().dispatcher.set_state(Event, 1, "set")


@routine_up_to(Irql.DISPATCH_LEVEL)
def KeResetEvent(Event: Pointer) -> int:
    """Reset an event; returns whether it was signaled, 1 or 0."""
    return current_kernel().dispatcher.set_state(Event, 0, "reset")


@routine_up_to(Irql.DISPATCH_LEVEL)
def KeClearEvent(Event: Pointer) -> None:
    """Reset an event."""
    current_kernel().dispatcher.set_state(Event, 0, "reset")


def KeReadStateEvent(Event: Pointer | MemoryCondition) -> int:
    """Whether an event is signaled, 1 or 0."""
    if isinstance(Event, MemoryCondition):
        return int(Event.is_set)
    kernel = current_kernel()
    kernel.check_running()
    return kernel.dispatcher.state(address_of("Event", Event))


@routine
def KeInitializeSemaphore(Semaphore: Pointer, Count: Long, Limit: Long) -> None:
    """Make a KSEMAPHORE.

    Args:
        Semaphore: the semaphore.
        Count: how many waits it lets through at first.
        Limit: the most it ever does, 1 or more.

    Raises:
        ValueError: a count below 0 or above the limit.
    """
    if not 0 <= Count <= Limit or not Limit:
        raise ValueError(f"Count {Count}, Limit {Limit}: give 0 <= Count <= Limit, Limit > 0")
    kernel = current_kernel()
    kernel.dispatcher.initialize(Semaphore, _SEMAPHORE, sizeof(KSEMAPHORE), Count)
    at = Semaphore + KSEMAPHORE.offset_on(kernel.arch, "Limit")
    kernel.memory.write(at, Limit.to_bytes(4, "little"))


@routine_up_to(Irql.DISPATCH_LEVEL)
def KeReleaseSemaphore(
    Semaphore: Pointer, Increment: Long, Adjustment: Long, Wait: Boolean
) -> int:
    """Let more waits through.

    Args:
        Semaphore: the semaphore.
        Increment: for the priority of who waits; has no effect.
        Adjustment: how many more.
        Wait: whether a wait follows at once; has no effect.

    Returns:
        The count before.

    Raises:
        NtStatusError: STATUS_SEMAPHORE_LIMIT_EXCEEDED; the count stays.
    """
    return current_kernel().dispatcher.release_semaphore(Semaphore, Adjustment)


def KeReadStateSemaphore(Semaphore: Pointer) -> int:
    """The count of a semaphore."""
    kernel = current_kernel()
    kernel.check_running()
    return kernel.dispatcher.state(address_of("Semaphore", Semaphore))


@routine
def KeInitializeMutex(Mutex: Pointer, Level: Ulong) -> None:
    """Make a KMUTEX that is free.

    Args:
        Mutex: the mutex.
        Level: reserved, 0.
    """
    kernel = current_kernel()
    kernel.threads.forget(Mutex)
    kernel.dispatcher.initialize(Mutex, _MUTANT, sizeof(KMUTEX), 1)


@routine_up_to(Irql.DISPATCH_LEVEL)
def KeReleaseMutex(Mutex: Pointer, Wait: Boolean) -> int:
    """Let a mutex go that the thread waited for.

    Args:
        Mutex: the mutex.
        Wait: whether a wait follows at once; has no effect.

    Returns:
        Its state before; 0 means that it is free now.

    Raises:
        NtStatusError: STATUS_MUTANT_NOT_OWNED: another thread has it, or nobody.
    """
    return current_kernel().dispatcher.release_mutex(Mutex)


def KeReadStateMutex(Mutex: Pointer) -> int:
    """The state of a mutex: 1 where it is free."""
    kernel = current_kernel()
    kernel.check_running()
    return kernel.dispatcher.state(address_of("Mutex", Mutex))

"""The documented waits; import them from `lookaside_sim.ddi`.

Nobody else runs while the program does. A wait runs the work items, DPCs and threads that are
queued, and lets time pass where it has a timeout; a wait that nobody is left to end is an error
that says who would have to.

Source:
    [doc] KeWaitForSingleObject, KeWaitForMultipleObjects, KeDelayExecutionThread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lookaside_sim.ddi.arguments import (
    Boolean,
    Out,
    Pointer,
    Ref,
    Uchar,
    Ulong,
    address_of,
    loaded,
)
from lookaside_sim.ddi.routine import routine
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import NtStatus

__all__ = [
    "Executive",
    "KeDelayExecutionThread",
    "KeWaitForMultipleObjects",
    "KeWaitForMutexObject",
    "KeWaitForSingleObject",
    "KernelMode",
    "UserMode",
    "UserRequest",
    "WaitAll",
    "WaitAny",
]

Executive: Final = 0
UserRequest: Final = 6
KernelMode: Final = 0
UserMode: Final = 1
WaitAll: Final = 0
WaitAny: Final = 1


@routine
def KeWaitForSingleObject(
    Object: Pointer, WaitReason: Ulong, WaitMode: Uchar, Alertable: Boolean, Timeout: Out
) -> int:
    """Wait until a dispatcher object is signaled.

    Args:
        Object: an event, semaphore, mutex, timer or thread.
        WaitReason: such as Executive; has no effect.
        WaitMode: KernelMode or UserMode; has no effect.
        Alertable: whether APCs may end the wait; there are none.
        Timeout: a LARGE_INTEGER, or a `Ref` with one, in 100 ns: below 0 from now on, 0 to look
            only, above 0 since the boot. 0 as the pointer is NULL: wait for ever.

    Returns:
        STATUS_SUCCESS or STATUS_TIMEOUT.

    Raises:
        BugCheck: ATTEMPTED_SWITCH_FROM_DPC for a wait at DISPATCH_LEVEL or above.
        LookasideSimError: nobody can end the wait.
    """
    kernel = current_kernel()
    return kernel.dispatcher.wait([Object], for_all=True, timeout=_timeout(Timeout))


KeWaitForMutexObject = KeWaitForSingleObject


@routine
def KeWaitForMultipleObjects(
    Count: Ulong,
    Object: object,
    WaitType: Ulong,
    WaitReason: Ulong,
    WaitMode: Uchar,
    Alertable: Boolean,
    Timeout: Out,
    WaitBlockArray: Pointer,
) -> int:
    """Wait until one of several objects is signaled, or all of them.

    Args:
        Count: how many.
        Object: a sequence of pointers to them, or the address of an array of pointers.
        WaitType: WaitAll or WaitAny.
        WaitReason: has no effect.
        WaitMode: has no effect.
        Alertable: has no effect.
        Timeout: as for `KeWaitForSingleObject`.
        WaitBlockArray: has no effect; NULL for up to three objects.

    Returns:
        STATUS_SUCCESS, which for WaitAny is STATUS_WAIT_0, the index of another object, or
        STATUS_TIMEOUT.
    """
    if WaitType not in (WaitAll, WaitAny):
        raise ValueError(f"WaitType {WaitType}: give WaitAll or WaitAny")
    kernel = current_kernel()
    pointer = kernel.arch.pointer_size
    addresses: list[int]
    if isinstance(Object, Sequence):
        addresses = [address_of("Object", each) for each in Object]
    else:
        start = address_of("Object", Object)
        addresses = [kernel.memory.read_pointer(start + i * pointer) for i in range(Count)]
    if not 1 <= Count <= len(addresses):
        raise ValueError(f"Count {Count}: give 1 to {len(addresses)}, as many as there are")
    return kernel.dispatcher.wait(
        addresses[:Count], for_all=WaitType == WaitAll, timeout=_timeout(Timeout)
    )


@routine
def KeDelayExecutionThread(WaitMode: Uchar, Alertable: Boolean, Interval: Out) -> NtStatus:
    """Let time pass.

    Args:
        WaitMode: has no effect.
        Alertable: has no effect.
        Interval: a LARGE_INTEGER, or a `Ref` with one, in 100 ns, as a timeout.

    Raises:
        BugCheck: ATTEMPTED_SWITCH_FROM_DPC at DISPATCH_LEVEL or above.
    """
    current_kernel().dispatcher.delay(_timeout(Interval) or 0)
    return NtStatus.STATUS_SUCCESS


def _timeout(place: Out) -> int | None:
    """The timeout behind a pointer, None for NULL."""
    if not isinstance(place, Ref) and not place:
        return None
    number = loaded(place, 8)
    return number - (1 << 64) if number >> 63 else number

"""The documented routines on ERESOURCEs; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine; Introduction to ERESOURCE Routines; bug check 0xE3. [header] ERESOURCE:
    ActiveCount, Flag with ResourceOwnedExclusive. Choice: who shares one is not in memory, but
    known to the machine.
"""

from __future__ import annotations

from typing import Final, NoReturn

from lookaside_sim.ddi.arguments import Boolean, Pointer, Size, address_of
from lookaside_sim.ddi.known_structures import ERESOURCE
from lookaside_sim.ddi.mutexes import KeEnterCriticalRegion, KeLeaveCriticalRegion
from lookaside_sim.ddi.routine import routine, routine_up_to
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, NtStatus

__all__ = [
    "ExAcquireResourceExclusiveLite",
    "ExAcquireResourceSharedLite",
    "ExAcquireSharedStarveExclusive",
    "ExAcquireSharedWaitForExclusive",
    "ExConvertExclusiveToSharedLite",
    "ExDeleteResourceLite",
    "ExEnterCriticalRegionAndAcquireResourceExclusive",
    "ExEnterCriticalRegionAndAcquireResourceShared",
    "ExGetCurrentResourceThread",
    "ExInitializeResourceLite",
    "ExIsResourceAcquiredExclusiveLite",
    "ExIsResourceAcquiredLite",
    "ExIsResourceAcquiredSharedLite",
    "ExReleaseResourceAndLeaveCriticalRegion",
    "ExReleaseResourceForThreadLite",
    "ExReleaseResourceLite",
]

_KIND: Final = "ERESOURCE"
_EXCLUSIVE: Final = 0x80
"""ResourceOwnedExclusive."""


def ExInitializeResourceLite(Resource: Pointer) -> NtStatus:
    """Initialize an ERESOURCE; see `KernelObjects.initialize_resource`."""
    current_kernel().objects.initialize_resource(address_of("Resource", Resource))
    return NtStatus.STATUS_SUCCESS


def ExDeleteResourceLite(Resource: Pointer) -> NtStatus:
    """Delete an ERESOURCE; see `KernelObjects.delete_resource`."""
    current_kernel().objects.delete_resource(address_of("Resource", Resource))
    return NtStatus.STATUS_SUCCESS


@routine_up_to(Irql.APC_LEVEL)
def ExAcquireResourceExclusiveLite(Resource: Pointer, Wait: Boolean) -> bool:
    """Take a resource for one thread alone; that thread may take it again.

    Args:
        Resource: the resource.
        Wait: whether to wait for it.

    Returns:
        Whether it was taken; False only without a wait.

    Raises:
        BugCheck: IRQL_NOT_LESS_OR_EQUAL above APC_LEVEL; in verified code with APCs enabled
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x37).
        LookasideSimError: the wait could not end.
    """
    return _acquire(Resource, exclusive=True, wait=Wait)


@routine_up_to(Irql.APC_LEVEL)
def ExAcquireResourceSharedLite(Resource: Pointer, Wait: Boolean) -> bool:
    """Take a resource together with others; see `ExAcquireResourceExclusiveLite`."""
    return _acquire(Resource, exclusive=False, wait=Wait)


@routine_up_to(Irql.APC_LEVEL)
def ExAcquireSharedStarveExclusive(Resource: Pointer, Wait: Boolean) -> bool:
    """Take a resource together with others, whoever waits for it alone: nobody does here."""
    return _acquire(Resource, exclusive=False, wait=Wait)


@routine_up_to(Irql.APC_LEVEL)
def ExAcquireSharedWaitForExclusive(Resource: Pointer, Wait: Boolean) -> bool:
    """Take a resource together with others, behind those who wait for it alone: nobody does."""
    return _acquire(Resource, exclusive=False, wait=Wait)


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExReleaseResourceLite(Resource: Pointer) -> None:
    """Let a resource go, once.

    Raises:
        BugCheck: RESOURCE_NOT_OWNED; in verified code with APCs enabled
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x38).
    """
    _release(Resource, current_kernel().threads.current)


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExReleaseResourceForThreadLite(Resource: Pointer, ResourceThreadId: Size) -> None:
    """Let a resource go for a thread, given as `ExGetCurrentResourceThread` did."""
    _release(Resource, ResourceThreadId)


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExConvertExclusiveToSharedLite(Resource: Pointer) -> None:
    """Let others share a resource that the thread has alone.

    Raises:
        BugCheck: RESOURCE_NOT_OWNED.
    """
    kernel = current_kernel()
    held = kernel.threads.holding(Resource, kernel.threads.current)
    if held is None or not held.exclusive:
        _not_owned(Resource, kernel.threads.current)
    held.exclusive = False
    _write_state(Resource)


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExIsResourceAcquiredExclusiveLite(Resource: Pointer) -> bool:
    """Whether the current thread has a resource for itself alone."""
    threads = current_kernel().threads
    held = threads.holding(Resource, threads.current)
    return held is not None and held.exclusive


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExIsResourceAcquiredSharedLite(Resource: Pointer) -> int:
    """How often the current thread has a resource, shared or alone."""
    threads = current_kernel().threads
    held = threads.holding(Resource, threads.current)
    return 0 if held is None else held.count


ExIsResourceAcquiredLite = ExIsResourceAcquiredSharedLite


@routine
def ExGetCurrentResourceThread() -> int:
    """The current thread, as owner of resources."""
    return current_kernel().threads.current


@routine_up_to(Irql.APC_LEVEL)
def ExEnterCriticalRegionAndAcquireResourceExclusive(Resource: Pointer) -> bool:
    """KeEnterCriticalRegion, then ExAcquireResourceExclusiveLite with a wait."""
    KeEnterCriticalRegion()
    return ExAcquireResourceExclusiveLite(Resource, True)


@routine_up_to(Irql.APC_LEVEL)
def ExEnterCriticalRegionAndAcquireResourceShared(Resource: Pointer) -> bool:
    """KeEnterCriticalRegion, then ExAcquireResourceSharedLite with a wait."""
    KeEnterCriticalRegion()
    return ExAcquireResourceSharedLite(Resource, True)


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExReleaseResourceAndLeaveCriticalRegion(Resource: Pointer) -> None:
    """ExReleaseResourceLite, then KeLeaveCriticalRegion."""
    ExReleaseResourceLite(Resource)
    KeLeaveCriticalRegion()


# --- state ---------------------------------------------------------------------------------


def _acquire(resource: int, *, exclusive: bool, wait: int) -> bool:
    kernel = current_kernel()
    _check_initialized(resource)
    threads = kernel.threads
    others = [each for each in threads.holders(resource) if each.thread != threads.current]
    mine = threads.holding(resource, threads.current)
    blocked = [each for each in others if exclusive or each.exclusive] or (
        [mine] if mine is not None and exclusive and not mine.exclusive else []
    )
    if blocked:
        if not wait:
            return False
        who = "this thread" if blocked[0] is mine else "another thread"
        how = "for itself alone" if blocked[0].exclusive else "shared"
        raise LookasideSimError(
            f"a wait that nobody can end: {who} took the ERESOURCE at {resource:#x} {how} at"
            f" {blocked[0].where}, and would have to release it first"
        )
    threads.take(_KIND, resource, exclusive=exclusive)
    _write_state(resource)
    return True


def _check_initialized(resource: int) -> None:
    if resource not in current_kernel().objects.resources:
        raise LookasideSimError(
            f"the ERESOURCE at {resource:#x} is not initialized: call ExInitializeResourceLite"
        )


def _release(resource: int, thread: int) -> None:
    threads = current_kernel().threads
    if threads.holding(resource, thread) is None:
        _not_owned(resource, thread)
    threads.let_go(resource, thread)
    _write_state(resource)


def _write_state(resource: int) -> None:
    """ActiveCount, Flag and the exclusive owner, as memory has them."""
    kernel = current_kernel()
    holders = kernel.threads.holders(resource)
    alone = next((each for each in holders if each.exclusive), None)
    offset = ERESOURCE.offset_on
    count_at = resource + offset(kernel.arch, "ActiveCount")
    flag = _EXCLUSIVE if alone is not None else 0
    kernel.memory.write(count_at, len(holders).to_bytes(2, "little") + bytes((flag, 0)))
    owner_at = resource + offset(kernel.arch, "OwnerEntry")
    kernel.memory.write_pointer(owner_at, 0 if alone is None else alone.thread)
    count = 0 if alone is None else alone.count
    kernel.memory.write(owner_at + kernel.arch.pointer_size, count.to_bytes(4, "little"))


def _not_owned(resource: int, thread: int) -> NoReturn:
    machine = current_kernel().machine
    holders = current_kernel().threads.holders(resource)
    state = f"; {holders[0]}" if holders else "; nobody has it"
    machine.stop(
        BugCheckCode.RESOURCE_NOT_OWNED,
        (resource, thread, 0, 0),
        f"the ERESOURCE at {resource:#x} was released by a thread that does not own it{state}",
    )

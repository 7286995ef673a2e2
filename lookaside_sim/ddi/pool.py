"""The documented pool routines; import them from `lookaside_sim.ddi`.

They act on the kernel made current by ``with kernel:``. NULL is 0.

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, pool section 2.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Pointer, address_of
from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import integer, shown, text, unsigned
from lookaside_sim.nt.types import NONE_TAG, NtStatus, PoolTag, PoolType, TagLike
from lookaside_sim.pool.calls import FreeBlock
from lookaside_sim.pool.conditions import MemoryCondition, memory_condition

POOL_FLAG_USE_QUOTA: Final = 0x1
POOL_FLAG_UNINITIALIZED: Final = 0x2
POOL_FLAG_SESSION: Final = 0x4
POOL_FLAG_CACHE_ALIGNED: Final = 0x8
POOL_FLAG_RESERVED1: Final = 0x10
POOL_FLAG_RAISE_ON_FAILURE: Final = 0x20
POOL_FLAG_NON_PAGED: Final = 0x40
POOL_FLAG_NON_PAGED_EXECUTE: Final = 0x80
POOL_FLAG_PAGED: Final = 0x100
POOL_FLAG_RESERVED2: Final = 0x200
POOL_FLAG_RESERVED3: Final = 0x400
POOL_FLAG_REQUIRED_START: Final = 0x1
POOL_FLAG_REQUIRED_END: Final = 0x8000_0000
POOL_FLAG_SPECIAL_POOL: Final = 0x1_0000_0000
POOL_FLAG_OPTIONAL_START: Final = 0x1_0000_0000
POOL_FLAG_OPTIONAL_END: Final = 0x8000_0000_0000_0000

LowPoolPriority: Final = 0
LowPoolPrioritySpecialPoolOverrun: Final = 8
LowPoolPrioritySpecialPoolUnderrun: Final = 9
NormalPoolPriority: Final = 16
NormalPoolPrioritySpecialPoolOverrun: Final = 24
NormalPoolPrioritySpecialPoolUnderrun: Final = 25
HighPoolPriority: Final = 32
HighPoolPrioritySpecialPoolOverrun: Final = 40
HighPoolPrioritySpecialPoolUnderrun: Final = 41

_PRIORITIES: Final = frozenset({0, 8, 9, 16, 24, 25, 32, 40, 41})
_POOL_OF_FLAG: Final = {
    POOL_FLAG_NON_PAGED: PoolType.NonPagedPoolNx,
    POOL_FLAG_NON_PAGED_EXECUTE: PoolType.NonPagedPoolExecute,
    POOL_FLAG_PAGED: PoolType.PagedPool,
}
_REQUIRED_FLAGS: Final = 0xFFFF_FFFF
_KNOWN_REQUIRED_FLAGS: Final = 0x1EF
_ZERO: Final = int(PoolType.POOL_ZERO_ALLOCATION)
_QUIET: Final = int(PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE)


def ExAllocatePool(PoolType: PoolType | int, NumberOfBytes: int) -> int:
    """Allocate from a pool with the tag ``None``; see `PoolManager.allocate`.

    Returns:
        The block's address, or 0 for NULL.
    """
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, NONE_TAG)


def ExAllocatePoolWithTag(PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate from a pool; see `PoolManager.allocate`.

    Returns:
        The block's address, or 0 for NULL.
    """
    return current_kernel().pool.allocate(PoolType, NumberOfBytes, Tag) or 0


def ExAllocatePoolZero(PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate zeroed memory: POOL_ZERO_ALLOCATION OR-ed into the type.

    Returns:
        The block's address, or 0 for NULL.
    """
    return ExAllocatePoolWithTag(_zeroed(PoolType), NumberOfBytes, Tag)


def _zeroed(pool_type: PoolType | int) -> int:
    return unsigned("PoolType", pool_type, 32) | _ZERO


ExAllocatePoolUninitialized = ExAllocatePoolWithTag


def ExAllocatePoolWithQuotaTag(
    PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike
) -> int:
    """Allocate and charge the current process; see `Quota.allocate`.

    Returns:
        The block's address; 0 for NULL only with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE.

    Raises:
        NtStatusError: no memory or no quota left.
    """
    return current_kernel().quota.allocate(PoolType, NumberOfBytes, Tag) or 0


def ExAllocatePoolWithQuota(PoolType: PoolType | int, NumberOfBytes: int) -> int:
    """Allocate with the tag ``None`` and charge the current process."""
    return ExAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, NONE_TAG)


def ExAllocatePoolQuotaZero(PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate zeroed memory and charge the current process."""
    return ExAllocatePoolWithQuotaTag(_zeroed(PoolType), NumberOfBytes, Tag)


ExAllocatePoolQuotaUninitialized = ExAllocatePoolWithQuotaTag


def ExAllocatePoolWithTagPriority(
    PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike, Priority: int
) -> int:
    """Allocate with a priority; see `PoolManager.allocate_with_priority`.

    Returns:
        The block's address, or 0 for NULL.

    Raises:
        ValueError: no EX_POOL_PRIORITY.
    """
    priority = integer("priority", Priority)
    if priority not in _PRIORITIES:
        raise ValueError(f"priority {shown(priority)}: give an EX_POOL_PRIORITY")
    pool = current_kernel().pool
    return pool.allocate_with_priority(PoolType, NumberOfBytes, Tag, priority) or 0


def ExAllocatePoolPriorityZero(
    PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike, Priority: int
) -> int:
    """Allocate zeroed memory with a priority."""
    return ExAllocatePoolWithTagPriority(_zeroed(PoolType), NumberOfBytes, Tag, Priority)


ExAllocatePoolPriorityUninitialized = ExAllocatePoolWithTagPriority


def ExAllocatePool2(Flags: int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate from the pool that the flags name, zeroed unless they say otherwise.

    Args:
        Flags: POOL_FLAG values: exactly one of NON_PAGED, NON_PAGED_EXECUTE and PAGED. An
            unknown bit in the low 32 makes the call fail, in the high 32 it is ignored.
        NumberOfBytes: not 0.
        Tag: not 0.

    Returns:
        The block's address, or 0 for NULL: no memory, no quota, or invalid arguments.

    Raises:
        NtStatusError: with POOL_FLAG_RAISE_ON_FAILURE, instead of NULL. Choice, where the
            documentation gives no value: STATUS_INVALID_PARAMETER for invalid arguments.

    Source:
        [doc] ExAllocatePool2, POOL_FLAGS; docs/sources.md, pool section 2.
    """
    tag = PoolTag(Tag)
    kernel = current_kernel()
    flags = unsigned("Flags", Flags, 64)
    size = unsigned("NumberOfBytes", NumberOfBytes, kernel.arch.address_bits)
    pools = [pool for flag, pool in _POOL_OF_FLAG.items() if flags & flag]
    invalid = flags & _REQUIRED_FLAGS & ~_KNOWN_REQUIRED_FLAGS
    if invalid or len(pools) != 1 or not size or not tag:
        kernel.check_running()
        if flags & POOL_FLAG_RAISE_ON_FAILURE:
            raise NtStatusError(
                NtStatus.STATUS_INVALID_PARAMETER,
                f"ExAllocatePool2(Flags {flags:#x}, {size} bytes, tag {tag:#x})",
            )
        return 0
    pool_type = int(pools[0])
    if not flags & POOL_FLAG_UNINITIALIZED:
        pool_type |= _ZERO
    raises = bool(flags & POOL_FLAG_RAISE_ON_FAILURE)
    if raises:
        pool_type |= int(PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE)
    if flags & POOL_FLAG_CACHE_ALIGNED:
        pool_type |= int(PoolType.NonPagedPoolCacheAligned)
    if flags & POOL_FLAG_SESSION:
        pool_type |= int(PoolType.NonPagedPoolSession)
    if flags & POOL_FLAG_USE_QUOTA:
        quiet = 0 if raises else _QUIET
        return ExAllocatePoolWithQuotaTag(pool_type | quiet, size, tag)
    if flags & POOL_FLAG_SPECIAL_POOL:
        return kernel.pool.allocate_special(pool_type, size, tag) or 0
    return ExAllocatePoolWithTag(pool_type, size, tag)


def ExFreePool(P: int) -> None:
    """Free a block without checking its tag; see `PoolManager.free`."""
    current_kernel().pool.free(P)


def ExFreePoolWithTag(P: int, Tag: TagLike) -> None:
    """Free a block with a tag (0: no check); see `PoolManager.free`."""
    current_kernel().pool.free(P, Tag)


def ExFreePool2(
    P: int,
    Tag: TagLike,
    ExtendedParameters: Pointer | None,
    ExtendedParametersCount: int,
) -> None:
    """Free a block of ordinary pool.

    Args:
        P: the block.
        Tag: its tag; 0 for no check.
        ExtendedParameters: NULL (0 or None): there is no secure pool here.
        ExtendedParametersCount: 0.

    Raises:
        BugCheck: as `PoolManager.free`; BAD_POOL_CALLER (0x99) for any extended parameter.
            Choice of the subcode: the documentation says only 0xC2.
    """
    kernel = current_kernel()
    kernel.check_running()
    block, parameters = (
        0 if each is None else address_of(name, each)
        for name, each in (("P", P), ("ExtendedParameters", ExtendedParameters))
    )
    tag = PoolTag(Tag)
    if unsigned("ExtendedParametersCount", ExtendedParametersCount, 32) or parameters:
        call = FreeBlock(block, tag or None)
        kernel.machine.hooks.run(call, kernel.pool.refuse_parameters, block)
    kernel.pool.free(P, Tag)


def IoCreateNotificationEvent(EventName: str) -> MemoryCondition:
    """Open a pool or memory condition event; see `lookaside_sim.pool.conditions`."""
    return memory_condition(current_kernel().pool, text("EventName", EventName))


def KeReadStateEvent(Event: MemoryCondition) -> int:
    """Whether an event is signaled, 1 or 0."""
    return int(Event.is_set)

"""The documented pool routines; import them from `lookaside_sim.ddi`.

They act on the kernel made current by ``with kernel:``. NULL is 0.

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, pool section 2.
"""

from __future__ import annotations

from typing import Any, Final

from lookaside_sim.ddi.arguments import Out, Pointer, address_of, check_out, store_byte, tag_of
from lookaside_sim.ddi.runtime import nx_where_opted_in
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import integer, shown, unsigned
from lookaside_sim.nt.types import NONE_TAG, PoolType, TagLike
from lookaside_sim.pool.calls import FreeBlock

__all__ = [
    "POOL_FLAG_CACHE_ALIGNED",
    "POOL_FLAG_NON_PAGED",
    "POOL_FLAG_NON_PAGED_EXECUTE",
    "POOL_FLAG_OPTIONAL_END",
    "POOL_FLAG_OPTIONAL_START",
    "POOL_FLAG_PAGED",
    "POOL_FLAG_RAISE_ON_FAILURE",
    "POOL_FLAG_REQUIRED_END",
    "POOL_FLAG_REQUIRED_START",
    "POOL_FLAG_RESERVED1",
    "POOL_FLAG_RESERVED2",
    "POOL_FLAG_RESERVED3",
    "POOL_FLAG_SESSION",
    "POOL_FLAG_SPECIAL_POOL",
    "POOL_FLAG_UNINITIALIZED",
    "POOL_FLAG_USE_QUOTA",
    "ExAllocatePool",
    "ExAllocatePoolPriorityUninitialized",
    "ExAllocatePoolPriorityZero",
    "ExAllocatePoolQuotaUninitialized",
    "ExAllocatePoolQuotaZero",
    "ExAllocatePoolUninitialized",
    "ExAllocatePoolWithQuota",
    "ExAllocatePoolWithQuotaTag",
    "ExAllocatePoolWithTag",
    "ExAllocatePoolWithTagPriority",
    "ExAllocatePoolZero",
    "ExFreePool",
    "ExFreePool2",
    "ExFreePoolWithTag",
    "ExQueryPoolBlockSize",
    "FsRtlAllocatePool",
    "FsRtlAllocatePoolWithQuota",
    "FsRtlAllocatePoolWithQuotaTag",
    "FsRtlAllocatePoolWithTag",
    "HighPoolPriority",
    "HighPoolPrioritySpecialPoolOverrun",
    "HighPoolPrioritySpecialPoolUnderrun",
    "LowPoolPriority",
    "LowPoolPrioritySpecialPoolOverrun",
    "LowPoolPrioritySpecialPoolUnderrun",
    "NormalPoolPriority",
    "NormalPoolPrioritySpecialPoolOverrun",
    "NormalPoolPrioritySpecialPoolUnderrun",
]

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

PRIORITIES: Final = frozenset({0, 8, 9, 16, 24, 25, 32, 40, 41})
"""Every EX_POOL_PRIORITY."""
_ZERO: Final = int(PoolType.POOL_ZERO_ALLOCATION)
_RAISE: Final = int(PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE)


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
    kernel = current_kernel()
    pool_type = nx_where_opted_in(kernel.machine.program, PoolType)
    return kernel.pool.allocate(pool_type, NumberOfBytes, tag_of("Tag", Tag)) or 0


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
    kernel = current_kernel()
    pool_type = nx_where_opted_in(kernel.machine.program, PoolType)
    return kernel.quota.allocate(pool_type, NumberOfBytes, tag_of("Tag", Tag)) or 0


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
    if priority not in PRIORITIES:
        raise ValueError(f"priority {shown(priority)}: give an EX_POOL_PRIORITY")
    kernel = current_kernel()
    pool_type = nx_where_opted_in(kernel.machine.program, PoolType)
    return (
        kernel.pool.allocate_with_priority(
            pool_type, NumberOfBytes, tag_of("Tag", Tag), priority
        )
        or 0
    )


def ExAllocatePoolPriorityZero(
    PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike, Priority: int
) -> int:
    """Allocate zeroed memory with a priority."""
    return ExAllocatePoolWithTagPriority(_zeroed(PoolType), NumberOfBytes, Tag, Priority)


ExAllocatePoolPriorityUninitialized = ExAllocatePoolWithTagPriority


def FsRtlAllocatePoolWithTag(PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate from a pool, and raise where there is no memory.

    Raises:
        NtStatusError: STATUS_INSUFFICIENT_RESOURCES.

    Source:
        [doc] FsRtlAllocatePoolWithTag (ntifs.h): POOL_RAISE_IF_ALLOCATION_FAILURE is OR-ed in.
    """
    return ExAllocatePoolWithTag(int(PoolType) | _RAISE, NumberOfBytes, Tag)


def FsRtlAllocatePool(PoolType: PoolType | int, NumberOfBytes: int) -> int:
    """Allocate with the tag ``None``, and raise where there is no memory."""
    return FsRtlAllocatePoolWithTag(PoolType, NumberOfBytes, NONE_TAG)


def FsRtlAllocatePoolWithQuotaTag(
    PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike
) -> int:
    """Allocate and charge the current process, and raise where that cannot be done.

    Raises:
        NtStatusError: no memory or no quota left.
    """
    return ExAllocatePoolWithQuotaTag(int(PoolType) | _RAISE, NumberOfBytes, Tag)


def FsRtlAllocatePoolWithQuota(PoolType: PoolType | int, NumberOfBytes: int) -> int:
    """Allocate with the tag ``None`` and charge the current process; raises as the others do."""
    return FsRtlAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, NONE_TAG)


def ExQueryPoolBlockSize(PoolBlock: int, QuotaCharged: Out) -> int:
    """How many bytes a block has room for.

    Args:
        PoolBlock: the block.
        QuotaCharged: where it goes whether a process pays for it, one byte.

    Returns:
        Bytes: what its BlockSize leaves behind the header, or its pages. Choice: 0 for what is no
        live block.

    Source:
        [header] ntifs.h.
    """
    check_out("QuotaCharged", QuotaCharged)
    kernel = current_kernel()
    kernel.check_running()
    block = kernel.pool.find(unsigned("PoolBlock", PoolBlock, kernel.arch.address_bits))
    if block is None or block.address != PoolBlock:
        store_byte(QuotaCharged, 0)
        return 0
    store_byte(QuotaCharged, int(kernel.pool.billed(PoolBlock) is not None))
    layout = kernel.arch.pool_header
    header_size = layout.size if block.size <= layout.largest_request else 0
    return block.block_size - header_size


def _block(pointer: Pointer) -> Any:
    """What is freed: the address that an object stands for, anything else as it is."""
    return getattr(pointer, "address", pointer)


def ExFreePool(P: Pointer) -> None:
    """Free a block without checking its tag; see `PoolManager.free`."""
    current_kernel().pool.free(_block(P))


def ExFreePoolWithTag(P: Pointer, Tag: TagLike) -> None:
    """Free a block with a tag (0: no check); see `PoolManager.free`."""
    current_kernel().pool.free(_block(P), tag_of("Tag", Tag))


def ExFreePool2(
    P: Pointer,
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
    tag = tag_of("Tag", Tag)
    if unsigned("ExtendedParametersCount", ExtendedParametersCount, 32) or parameters:
        call = FreeBlock(block, tag or None)
        kernel.machine.hooks.run(call, kernel.pool.refuse_parameters, block)
    kernel.pool.free(block, tag)

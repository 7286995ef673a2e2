"""SYSTEM_LOOKASIDE_INFORMATION, SYSTEM_POOLTAG and SYSTEM_BIGPOOL_INFORMATION, as NtQuerySystemInformation fills them.

Source:
    docs/sources.md, lists section 1, docs/sources.md, pool sections 4 and 5.1; [header] the big
    pool entry. The field MaximumDepth carries a list's Depth.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.built_in import BuiltInList
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.types import USHORT_MASK, PoolTag
from lookaside_sim.pool.accounting import PoolTagUsage

# CurrentDepth, MaximumDepth, TotalAllocates, AllocateMisses, TotalFrees, FreeMisses, Type,
# Tag, Size: 0x20 bytes on both machines.
_LOOKASIDE: Final = Struct("<HHIIIIIII")
# Tag, PagedAllocs, PagedFrees, PagedUsed, NonPagedAllocs, NonPagedFrees, NonPagedUsed.
_POOLTAG: Final = {8: Struct("<IIIxxxxQIIQ"), 4: Struct("<IIIIIII")}
# VirtualAddress with the bit NonPaged in its lowest bit, SizeInBytes, Tag.
_BIG_BLOCK: Final = {8: Struct("<QQIxxxx"), 4: Struct("<III")}
_COUNT: Final = {8: Struct("<Ixxxx"), 4: Struct("<I")}


def lookaside_information(of: LookasideList | BuiltInList) -> bytes:
    """One SYSTEM_LOOKASIDE_INFORMATION.

    Args:
        of: a list. Those that count hits report misses all the same. Of a general list's Type
            only the bit that says whether it is paged is reported.
    """
    pool_type = int(of.type)
    if isinstance(of, LookasideList):
        pool_type &= 1
    return _LOOKASIDE.pack(
        of.current_depth & USHORT_MASK,
        of.depth & USHORT_MASK,
        of.total_allocates & 0xFFFF_FFFF,
        of.allocate_misses,
        of.total_frees & 0xFFFF_FFFF,
        of.free_misses,
        pool_type,
        int(of.tag),
        of.size & 0xFFFF_FFFF,
    )


def system_lookaside_information(kernel: Kernel) -> bytes:
    """SystemLookasideInformation: processor 0's small-pool lists, then the general lists.

    The small-pool lists, 32 of each pool, are there whether or not anything was asked of them;
    on a machine without them there are none. General lists: nonpaged, then paged.
    """
    shown: list[LookasideList | BuiltInList] = []
    if kernel.small_pool_lists is not None:
        shown += kernel.small_pool_lists.of_processor(0)
    shown += kernel.lookaside_lists
    return b"".join(map(lookaside_information, shown))


def pooltag(kernel: Kernel, tag: PoolTag, usage: PoolTagUsage) -> bytes:
    """One SYSTEM_POOLTAG: 0x28 bytes on x64, 0x1C on x86."""
    return _POOLTAG[kernel.arch.pointer_size].pack(
        int(tag),
        usage.paged_allocs,
        usage.paged_frees,
        usage.paged_bytes,
        usage.nonpaged_allocs,
        usage.nonpaged_frees,
        usage.nonpaged_bytes,
    )


def system_pooltag_information(kernel: Kernel) -> bytes:
    """SystemPoolTagInformation: a count, then a SYSTEM_POOLTAG for each tag."""
    rows = kernel.pool.rows()
    head = _COUNT[kernel.arch.pointer_size].pack(len(rows))
    return head + b"".join(pooltag(kernel, tag, usage) for tag, usage in rows.items())


def system_bigpool_information(kernel: Kernel) -> bytes:
    """SystemBigPoolInformation: a count, then an entry for each block without a header.

    An entry has 0x18 bytes on x64, 0xC on x86. Choice of the order: oldest block first.
    """
    pointer_size, blocks = kernel.arch.pointer_size, kernel.pool.big_blocks.values()
    return _COUNT[pointer_size].pack(len(blocks)) + b"".join(
        _BIG_BLOCK[pointer_size].pack(
            big.address | (not big.pool_type & 1), big.size, PoolTag(big.tag).unprotected
        )
        for big in blocks
    )

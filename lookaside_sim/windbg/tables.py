"""The pool's own tables as bytes: what a debugger finds at PoolTrackTable and PoolBigPageTable.

Choice: the tables lie at no address of simulated memory. Of tags that come and go, rows never move,
so the row of a tag is where linear probing puts it in the order in which tags first came.
"""

from __future__ import annotations

from lookaside_sim.kernel import Kernel
from lookaside_sim.nt.arguments import instance
from lookaside_sim.nt.pool_tables import (
    BIG_PAGE_ENTRIES,
    TRACKER_ENTRIES,
    BigPages,
    TagSide,
    big_page_entry,
    page_hash,
    placed,
    tag_hash,
    tracker_row,
)
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.pool.accounting import OVERFLOW_TAG


def pool_track_table(kernel: Kernel) -> bytes:
    """PoolTrackTable: 2,049 POOL_TRACKER_TABLE entries, the last one the overflow's.

    Args:
        kernel: the machine.

    Returns:
        The bytes, in the layout of the machine and its version of Windows.
    """
    instance("kernel", kernel, Kernel)
    usages = kernel.pool.rows()
    arch, windows = kernel.arch, kernel.windows

    def row(tag: PoolTag | None, key: int) -> bytes:
        usage = usages.get(tag) if tag is not None else None
        if usage is None:
            return tracker_row(arch, windows, key, TagSide(), TagSide())
        return tracker_row(
            arch,
            windows,
            key,
            TagSide(usage.nonpaged_allocs, usage.nonpaged_frees, usage.nonpaged_bytes),
            TagSide(usage.paged_allocs, usage.paged_frees, usage.paged_bytes),
        )

    tags = [tag for tag in kernel.pool.tag_table.known() if tag != OVERFLOW_TAG]
    table = placed([int(tag) for tag in tags], tag_hash, TRACKER_ENTRIES)
    rows = [row(None, 0) if at is None else row(tags[at], int(tags[at])) for at in table]
    return b"".join([*rows, row(OVERFLOW_TAG, 0)])


def pool_big_page_table(kernel: Kernel) -> bytes:
    """PoolBigPageTable: an entry for each block of whole pages, free entries between.

    Args:
        kernel: the machine.

    Returns:
        The bytes, in the layout of the machine and its version of Windows.
    """
    instance("kernel", kernel, Kernel)
    blocks = [
        BigPages(big.address, int(big.tag), int(big.pool_type), big.size)
        for big in kernel.pool.big_blocks.values()
    ]
    entries = BIG_PAGE_ENTRIES
    while entries <= len(blocks):
        entries *= 2
    table = placed([big.address for big in blocks], page_hash, entries)
    return b"".join(
        big_page_entry(kernel.arch, kernel.windows, None if at is None else blocks[at])
        for at in table
    )

"""Layouts of the pool's own tables: POOL_TRACKER_TABLE and the table of big pages, by version.

Source:
    docs/sources.md, pool sections 3 and 5.1: [header] public symbol layouts; the hashes: [observed].
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

import attrs

from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, Architecture
from lookaside_sim.nt.types import ULONG_MASK
from lookaside_sim.nt.windows import Windows

TRACKER_ENTRIES: Final = 2048
"""Rows that a tag may have; one more, the last, is the overflow's."""
BIG_PAGE_ENTRIES: Final = 4096
"""Entries that the table of big pages begins with; it doubles when it is full."""
_TAG_FACTOR: Final = 40543
_FREE: Final = 1  # bit 0 of Va


@attrs.frozen
class TagSide:
    """One side of a row: what a tag has in nonpaged, or in paged pool."""

    allocs: int = 0
    frees: int = 0
    bytes: int = 0


_EARLY: Final = {8: Struct("<IIIxxxxQIIQ"), 4: Struct("<IIIIIII")}
# Key, then for each side bytes, allocations and frees; counters as wide as a pointer.
_LATE: Final = Struct("<IxxxxQQQQQQ")
LATE_TRACKER_SIZE: Final = _LATE.size


def tracker_row(
    arch: Architecture, windows: Windows, key: int, nonpaged: TagSide, paged: TagSide
) -> bytes:
    """One POOL_TRACKER_TABLE.

    Choice: on x86 the layout stays the one of the earlier versions.
    """
    if arch.pointer_size == 8 and windows.tracker_size == LATE_TRACKER_SIZE:
        words = (each for side in (nonpaged, paged) for each in _late(side))
        return _LATE.pack(key, *words)
    mask = (1 << 8 * arch.pointer_size) - 1
    values = (
        each
        for side in (nonpaged, paged)
        for each in (side.allocs & ULONG_MASK, side.frees & ULONG_MASK, side.bytes & mask)
    )
    return _EARLY[arch.pointer_size].pack(key, *values)


def _late(side: TagSide) -> tuple[int, int, int]:
    return side.bytes & (1 << 64) - 1, side.allocs, side.frees


def big_page_entry(arch: Architecture, windows: Windows, big: BigPages | None) -> bytes:
    """One entry of the table of big pages; None is a free one, with bit 0 of Va set.

    Choice: Pattern is 0, and the entry of x86 has the fields of Windows 7.
    """
    layout = _BIG[arch.pointer_size]
    if big is None:
        return layout.pack(_FREE, 0, 0, 0)
    kind = big.pool_type & 0xFFF
    if arch.pointer_size == 8 and windows.big_entry == "bitfields":
        kind = kind << 8 | (-big.size & PAGE_MASK) << 20
    return layout.pack(big.address, big.key, kind, big.size)


@attrs.frozen
class BigPages:
    """What the table of big pages says of one allocation.

    Attributes:
        address: of its first page.
        key: its tag.
        pool_type: its type.
        size: bytes asked for.
    """

    address: int
    key: int
    pool_type: int
    size: int


# Va, Key, the pool type with what else lies in its word, NumberOfBytes.
_BIG: Final = {8: Struct("<QIIQ"), 4: Struct("<IIII")}


def tag_hash(tag: int) -> int:
    """Where the search for a tag's row begins, before the mask."""
    product = _TAG_FACTOR * tag
    return (product & ULONG_MASK) ^ (product >> 32)


def page_hash(address: int) -> int:
    """Where the search for a page begins, before the mask: the bytes of its number folded."""
    number = address >> PAGE_SHIFT & ULONG_MASK
    return number ^ number >> 8 ^ number >> 16 ^ number >> 24


def placed(keys: list[int], hash_of: Callable[[int], int], entries: int) -> list[int | None]:
    """Lay keys into a table by linear probing.

    Args:
        keys: in the order in which they came.
        hash_of: where the search for one begins.
        entries: of the table, a power of two, not fewer than keys.

    Returns:
        For each entry the number of its key among those given, or None.
    """
    table: list[int | None] = [None] * entries
    for number, key in enumerate(keys):
        at = hash_of(key) & entries - 1
        while table[at] is not None:
            at = at + 1 & entries - 1
        table[at] = number
    return table

"""A block of the backend's memory, the entries in it, and what their owners write there."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import attrs

__all__ = ["ALIGNMENT", "Block", "entry_between", "pattern", "required_alignment"]

ALIGNMENT: Final = 16
"""Alignment of pool memory on x64, in bytes (MEMORY_ALLOCATION_ALIGNMENT)."""

_FILL: Final = bytes(range(0x21, 0x21 + 61))  # 61, a prime: no power of two repeats it


def required_alignment(size: int) -> int:
    """The alignment that anything of a size can need: its largest power of two, up to 16.

    Args:
        size: bytes.
    """
    return min(size & -size, ALIGNMENT) if size else 1


@attrs.define(eq=False)
class Block:
    """Memory handed out by the backend.

    Attributes:
        address: where it begins.
        size: its bytes.
        entries: the live entries inside, each where it begins and ends, in order.
        data: its bytes, once anybody looked at them.
    """

    address: int
    size: int
    entries: list[tuple[int, int]] = attrs.field(factory=list)
    data: bytearray | None = None


def entry_between(block: Block, start: int, end: int) -> int | None:
    """The first live entry of a block that shares a byte with a range."""
    entries = block.entries
    place = bisect_right(entries, (start, 1 << 64)) - 1
    if place >= 0 and entries[place][1] > start:
        return entries[place][0]
    if place + 1 < len(entries) and entries[place + 1][0] < end:
        return entries[place + 1][0]
    return None


def pattern(entry: int, size: int) -> bytes:
    """What an entry's owner writes into it: different bytes for neighboring entries."""
    start = (entry >> 4) % len(_FILL)
    return (_FILL[start:] + _FILL * (size // len(_FILL) + 1))[:size]

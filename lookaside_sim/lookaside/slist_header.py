"""SLIST_HEADER: the head of a list of free entries, as the bytes it is.

A lookaside list begins with one, and a driver may have one of its own (`slist`).

Source:
    docs/sources.md, lists section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import ULONG_MASK, USHORT_MASK

_WORDS: Final = {8: Struct("<QQ"), 4: Struct("<Q")}  # by pointer size
SEQUENCE_MASK: Final = {8: (1 << 48) - 1, 4: (1 << 16) - 1}
"""Mask of Sequence, by pointer size."""


class SListHeader(NamedTuple):
    """The fields of a header.

    Attributes:
        first: address of the first entry, 0 for none.
        depth: number of entries, as a USHORT.
        sequence: one more with every push; 48 bits on x64, 16 on x86; 0 where there is none.
        reserved: the low 4 bits of NextEntry on x64; on x86 CpuId, which takes the place of the
            sequence from Windows 8.1 on, and which nothing changes here.
    """

    first: int
    depth: int
    sequence: int
    reserved: int = 0


def to_words(
    arch: Architecture, first: int, depth: int, sequence: int, reserved: int
) -> tuple[int, ...]:
    """The 64-bit words of a header whose fields fit.

    x64: Depth and Sequence, then NextEntry with the reserved bits. x86: Next, Depth, and
    Sequence or CpuId.
    """
    if arch.pointer_size == 8:
        return depth | sequence << 16, first | reserved
    return (first | depth << 32 | (sequence if arch.slist_has_sequence else reserved) << 48,)


def of_words(arch: Architecture, words: Sequence[int]) -> tuple[int, int, int, int]:
    """The fields in the order of `SListHeader`, from a header's words."""
    low = words[0]
    if arch.pointer_size == 8:
        high, lost = words[1], arch.next_entry_lost_bits
        return high & ~lost, low & USHORT_MASK, low >> 16, high & lost
    first, depth, last = low & ULONG_MASK, low >> 32 & USHORT_MASK, low >> 48
    return (first, depth, last, 0) if arch.slist_has_sequence else (first, depth, 0, last)


def pack(arch: Architecture, header: SListHeader) -> bytes:
    """Render a header whose fields fit."""
    return _WORDS[arch.pointer_size].pack(*to_words(arch, *header))


def unpack(arch: Architecture, image: bytes) -> SListHeader:
    """Take a header from the first bytes of a structure."""
    return SListHeader(*of_words(arch, _WORDS[arch.pointer_size].unpack_from(image)))

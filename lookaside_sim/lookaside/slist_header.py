"""SLIST_HEADER: the head of a list of free entries, as the bytes it is.

A lookaside list begins with one, and a driver may have one of its own (`slist`).

Source:
    docs/sources.md, lists section 2.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import USHORT_MASK

# x64: Depth (16 bits) and Sequence (48), then NextEntry with 4 reserved bits in its lowest.
_X64: Final = Struct("<QQ")
# x86: Next, Depth, Sequence.
_X86: Final = Struct("<IHH")
SEQUENCE_MASK: Final = {8: (1 << 48) - 1, 4: (1 << 16) - 1}
"""Mask of Sequence, by pointer size."""


class SListHeader(NamedTuple):
    """The fields of a header.

    Attributes:
        first: address of the first entry, 0 for none.
        depth: number of entries, as a USHORT.
        sequence: one more with every push; 48 bits on x64, 16 on x86.
        reserved: the low 4 bits of NextEntry on x64; 0 on x86.
    """

    first: int
    depth: int
    sequence: int
    reserved: int = 0


def pack(arch: Architecture, header: SListHeader) -> bytes:
    """Render a header whose fields fit."""
    first, depth, sequence, reserved = header
    if arch.pointer_size == 8:
        return _X64.pack(depth | sequence << 16, first | reserved)
    return _X86.pack(first, depth, sequence)


def unpack(arch: Architecture, image: bytes) -> SListHeader:
    """Take a header from the first bytes of a structure."""
    if arch.pointer_size == 8:
        low, high = _X64.unpack_from(image)
        lost = arch.next_entry_lost_bits
        return SListHeader(high & ~lost, low & USHORT_MASK, low >> 16, high & lost)
    return SListHeader(*_X86.unpack_from(image))

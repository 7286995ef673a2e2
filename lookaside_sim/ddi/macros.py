"""Macros of wdm.h that count pages and round numbers; import them from `lookaside_sim.ddi`.

Source:
    [header] wdm.h.
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Pointer, Size, address_of
from lookaside_sim.nt.arguments import integer
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE

__all__ = [
    "ADDRESS_AND_SIZE_TO_SPAN_PAGES",
    "ALIGN_DOWN_BY",
    "ALIGN_UP_BY",
    "BYTES_TO_PAGES",
    "BYTE_OFFSET",
    "PAGE_ALIGN",
    "ROUND_TO_PAGES",
    "UNREFERENCED_PARAMETER",
]


def UNREFERENCED_PARAMETER(P: object) -> None:
    """Say that a parameter is not used."""


def PAGE_ALIGN(Va: Pointer) -> int:
    """The page that holds an address."""
    return address_of("Va", Va) & -PAGE_SIZE


def BYTE_OFFSET(Va: Pointer) -> int:
    """How far an address lies in its page."""
    return address_of("Va", Va) & PAGE_SIZE - 1


def BYTES_TO_PAGES(Size: Size) -> int:
    """How many pages hold so many bytes."""
    return -(-integer("Size", Size) >> PAGE_SHIFT)


def ROUND_TO_PAGES(Size: Size) -> int:
    """Bytes, rounded up to whole pages."""
    return BYTES_TO_PAGES(Size) << PAGE_SHIFT


def ADDRESS_AND_SIZE_TO_SPAN_PAGES(Va: Pointer, Size: Size) -> int:
    """How many pages a range touches."""
    return BYTES_TO_PAGES(BYTE_OFFSET(Va) + integer("Size", Size))


def ALIGN_UP_BY(Address: Size, Align: Size) -> int:
    """A number, rounded up to a multiple of a power of two."""
    align = integer("Align", Align)
    return integer("Address", Address) + align - 1 & -align


def ALIGN_DOWN_BY(Address: Size, Align: Size) -> int:
    """A number, rounded down to a multiple of a power of two."""
    return integer("Address", Address) & -integer("Align", Align)

"""What is left of structures whose objects are gone: their bytes, packed by the page.

An object costs several times the bytes that it stands for. Memory keeps the bytes, since code that
has the address may still read them; whoever looks a structure up gets a `Rest`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, KeysView
from struct import Struct
from typing import Final

from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT

_SPAN: Final = Struct("<HH")  # where it begins in its page, and its bytes


class Rest:
    """A structure of which only the bytes are left.

    Args:
        data: the bytes of its page.
        address: of its first byte.
        size: bytes.

    Attributes:
        address: as given.
        image_size: as given.
    """

    __slots__ = ("_data", "address", "image_size")

    def __init__(self, data: bytearray, address: int, size: int) -> None:
        self._data = data
        self.address = address
        self.image_size = size

    def store_image(self) -> bytes:
        """The bytes."""
        at = self.address & PAGE_MASK
        return bytes(self._data[at : at + self.image_size])

    def load_image(self, image: bytes) -> None:
        """Take over bytes that were written."""
        at = self.address & PAGE_MASK
        self._data[at : at + self.image_size] = image


class _Page:
    """The rests of one page: its bytes, and where each rest begins and how long it is."""

    __slots__ = ("data", "spans")

    def __init__(self) -> None:
        self.data = bytearray()
        self.spans = bytearray()


class Rests:
    """The rests of one address space, each within a page."""

    __slots__ = ("_by_page",)

    def __init__(self) -> None:
        self._by_page: dict[int, _Page] = {}

    def add(self, address: int, image: bytes) -> None:
        """Keep the bytes of a structure that lies within one page."""
        at = address & PAGE_MASK
        page = self._by_page.setdefault(address >> PAGE_SHIFT, _Page())
        behind = at + len(image)
        page.data.extend(bytes(max(behind - len(page.data), 0)))
        page.data[at:behind] = image
        index = _index(page, at)
        where = index * _SPAN.size
        page.spans[where:where] = _SPAN.pack(at, len(image))

    def remove(self, rest: Rest) -> None:
        """Forget a rest that is here."""
        number = rest.address >> PAGE_SHIFT
        page = self._by_page[number]
        where = (_index(page, rest.address & PAGE_MASK) - 1) * _SPAN.size
        del page.spans[where : where + _SPAN.size]
        if not page.spans:
            del self._by_page[number]

    def at(self, address: int) -> Rest | None:
        """The rest that holds an address, if any."""
        page = self._by_page.get(address >> PAGE_SHIFT)
        if page is None:
            return None
        index = _index(page, address & PAGE_MASK)
        if not index:
            return None
        at, size = _SPAN.unpack_from(page.spans, (index - 1) * _SPAN.size)
        if address & PAGE_MASK >= at + size:
            return None
        return Rest(page.data, address & ~PAGE_MASK | at, size)

    def overlapping(self, number: int, start: int, end: int) -> Iterator[Rest]:
        """The rests of a page that share a byte with a range, by address."""
        page = self._by_page.get(number)
        if page is None:
            return
        base = number << PAGE_SHIFT
        index = max(_index(page, max(start - base, 0)) - 1, 0)
        for where in range(index * _SPAN.size, len(page.spans), _SPAN.size):
            at, size = _SPAN.unpack_from(page.spans, where)
            if base + at >= end:
                return
            if start < base + at + size:
                yield Rest(page.data, base + at, size)

    def all(self) -> Iterator[Rest]:
        """Every rest, by nothing in particular."""
        for number, page in self._by_page.items():
            for at, size in _SPAN.iter_unpack(bytes(page.spans)):
                yield Rest(page.data, number << PAGE_SHIFT | at, size)

    def pages(self) -> KeysView[int]:
        """The numbers of the pages that have rests."""
        return self._by_page.keys()


def _index(page: _Page, at: int) -> int:
    """How many rests of a page begin at an offset or before it."""
    spans = page.spans
    begins = range(0, len(spans), _SPAN.size)
    return bisect_right(begins, at, key=lambda where: _SPAN.unpack_from(spans, where)[0])

"""Structures: what lies outside the pools and is no plain bytes, but an object with an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final, Protocol

from lookaside_sim.nt.layouts import PAGE_SHIFT


class Structure(Protocol):
    """An object in memory outside the pools that renders and takes its own image."""

    address: int

    @property
    def image_size(self) -> int:
        """Bytes of the image."""

    def store_image(self) -> bytes:
        """Return the bytes as they lie in memory now."""

    def load_image(self, image: bytes) -> None:
        """Take over bytes that were written."""


def _pages(start: int, end: int) -> range:
    """Numbers of the pages that a range touches."""
    return range(start >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1)


def _shares(structure: Structure, start: int, end: int) -> bool:
    """Whether a structure shares a byte with a range."""
    address = structure.address
    return address < end and start < address + structure.image_size


_address: Final = attrgetter("address")


class Structures:
    """The structures of one address space, found by the pages they touch.

    No two overlap; whoever attaches one sees to that.
    """

    __slots__ = ("_by_page",)

    def __init__(self) -> None:
        self._by_page: dict[int, list[Structure]] = {}

    def attach(self, structure: Structure) -> None:
        """Take a structure in."""
        start = structure.address
        for page in _pages(start, start + structure.image_size):
            here = self._by_page.get(page)
            if here is None:
                self._by_page[page] = [structure]
            else:
                here.append(structure)

    def detach_range(self, start: int, end: int) -> list[Structure]:
        """Let go of every structure that begins in a range.

        Returns:
            The structures, by address.
        """
        found = [each for each in self.overlapping(start, end) if each.address >= start]
        for structure in found:
            for page in _pages(structure.address, structure.address + structure.image_size):
                here = self._by_page[page]
                here.remove(structure)
                if not here:
                    del self._by_page[page]
        return found

    def take_over(self, old: Structure, new: Structure) -> None:
        """Have another object stand for the structure at an address."""
        for page in _pages(old.address, old.address + old.image_size):
            here = self._by_page[page]
            here[here.index(old)] = new

    def all(self) -> Iterator[Structure]:
        """Every structure, each once."""
        found = {id(each): each for here in self._by_page.values() for each in here}
        return iter(found.values())

    def at(self, address: int) -> Structure | None:
        """The structure that holds an address, if any."""
        for structure in self._by_page.get(address >> PAGE_SHIFT, ()):
            if structure.address <= address < structure.address + structure.image_size:
                return structure
        return None

    def overlapping(self, start: int, end: int) -> list[Structure]:
        """The structures that share a byte with a range, by address.

        Cost: of the pages of the range, or of those with structures if they are fewer.
        """
        if start >= end or not self._by_page:
            return []
        within = _pages(start, end)
        pages: Iterable[int] = within
        if len(within) == 1:
            here = self._by_page.get(within[0], ())
            found_here = [each for each in here if _shares(each, start, end)]
            return found_here if len(found_here) < 2 else sorted(found_here, key=_address)
        if len(within) > len(self._by_page):
            pages = [page for page in self._by_page if page in within]
        found = {
            each.address: each
            for page in pages
            for each in self._by_page.get(page, ())
            if _shares(each, start, end)
        }
        return [found[address] for address in sorted(found)]

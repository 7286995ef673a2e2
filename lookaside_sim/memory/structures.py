"""Structures: what lies outside the pools and is no plain bytes, but an object with an image.

An object that nobody but memory holds any more is let go of; its bytes stay (`rests`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final, Protocol
from weakref import ref

from lookaside_sim.memory.rests import Rest, Rests
from lookaside_sim.nt.layouts import PAGE_SHIFT

_FEW: Final = 256
"""So many objects are never too many."""


class Structure(Protocol):
    """An object in memory outside the pools that renders and takes its own image.

    One with an attribute ``is_idle`` that is true says that it is no more than its image: memory
    need not keep the object.
    """

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

    __slots__ = ("_by_page", "_count", "_most", "_rests")

    def __init__(self) -> None:
        self._by_page: dict[int, list[Structure]] = {}
        self._rests = Rests()
        self._count = 0
        self._most = _FEW

    def attach(self, structure: Structure) -> None:
        """Take a structure in. Cost: now and then of all that there are."""
        if self._count >= self._most:
            self._let_go()
            self._most = max(2 * self._count, _FEW)
        self._count += 1
        self._insert(structure)

    def _insert(self, structure: Structure) -> None:
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
            self._remove(structure)
        return found

    def _remove(self, structure: Structure) -> None:
        if isinstance(structure, Rest):
            self._rests.remove(structure)
            return
        self._count -= 1
        for page in _pages(structure.address, structure.address + structure.image_size):
            here = self._by_page[page]
            here.remove(structure)
            if not here:
                del self._by_page[page]

    def take_over(self, old: Structure, new: Structure) -> None:
        """Have another object stand for the structure at an address."""
        self._remove(old)
        self._count += 1
        self._insert(new)

    # --- objects that nobody needs -------------------------------------------------------------

    def _let_go(self) -> None:
        """Keep no more than the bytes of objects that nobody else holds."""
        for page, here in list(self._by_page.items()):
            for index in reversed(range(len(here))):
                if getattr(here[index], "is_idle", False):
                    self._let_go_of(here, index)
            if not here:
                del self._by_page[page]

    def _let_go_of(self, here: list[Structure], index: int) -> None:
        """Find out who else holds an object by not holding it."""
        address, image = here[index].address, here[index].store_image()
        if address >> PAGE_SHIFT != address + len(image) - 1 >> PAGE_SHIFT:
            return  # it is in the lists of two pages
        watch = ref(here[index])
        del here[index]
        held = watch()
        if held is None:
            self._rests.add(address, image)
            self._count -= 1
        else:
            here.insert(index, held)

    # --- what is where ---------------------------------------------------------------------------

    def all(self) -> Iterator[Structure]:
        """Every structure, each once."""
        found = {id(each): each for here in self._by_page.values() for each in here}
        yield from found.values()
        yield from self._rests.all()

    def at(self, address: int) -> Structure | None:
        """The structure that holds an address, if any."""
        for structure in self._by_page.get(address >> PAGE_SHIFT, ()):
            if structure.address <= address < structure.address + structure.image_size:
                return structure
        return self._rests.at(address)

    def overlapping(self, start: int, end: int) -> list[Structure]:
        """The structures that share a byte with a range, by address.

        Cost: of the pages of the range, or of those with structures if they are fewer.
        """
        if start >= end or not (self._count or self._rests.pages()):
            return []
        within = _pages(start, end)
        if len(within) == 1:
            found_here = self._in_page(within[0], start, end)
            return found_here if len(found_here) < 2 else sorted(found_here, key=_address)
        pages: Iterable[int] = within
        if len(within) > len(self._by_page) + len(self._rests.pages()):
            pages = [*self._by_page, *self._rests.pages()]
            pages = {page for page in pages if page in within}
        found = {
            each.address: each for page in pages for each in self._in_page(page, start, end)
        }
        return [found[address] for address in sorted(found)]

    def _in_page(self, page: int, start: int, end: int) -> list[Structure]:
        """The structures of one page that share a byte with a range."""
        found = [each for each in self._by_page.get(page, ()) if _shares(each, start, end)]
        if self._rests.pages():
            found.extend(self._rests.overlapping(page, start, end))
        return found

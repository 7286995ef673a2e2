"""The simulated address space: pool memory, structures, and a cache of links.

What is mapped:

* *Arenas*: the pages of a pool (`lookaside_sim.memory.arena`).
* *Structures*: objects outside pool memory that know their own image (a `LookasideList` in a
  driver's data, a list head).

Everything else is unmapped, and touching it is a page fault.

**The link cache.** A lookaside list keeps its links in the first pointer of the entries.
Computing where that is would be most of the price of a hit, so `Memory.links` maps the
address of an entry to that one word, for entries the lists are using. It is a write-back
cache: while an address is a key, the word there is the cached one, and the bytes of the
arena are stale. It stays exact because of one rule, kept here: only addresses at which a live
pool block starts are cached, in pages whose headers nobody but the pool manager has written.
The pool manager drops the word of a block it frees, and a write that reaches anything but the
inside of one live block *exposes* its page: the cached words go back to the bytes, and from
then on nothing in that page is cached.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, Protocol

from lookaside_sim.memory.arena import (
    BIG,
    BLOCKS,
    EXPOSED,
    NO_BLOCK,
    RESERVED,
    RETURNED,
    Arena,
    garbage,
)
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Architecture

if sys.byteorder != "little":  # pragma: no cover - the bytes are viewed as native words
    raise ImportError("lookaside_sim needs a little-endian host, as NT does")

READ: Final = 0
WRITE: Final = 2
EXECUTE: Final = 0x10
"""Operations, as PAGE_FAULT_IN_NONPAGED_AREA reports them on Windows 10."""


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


class Memory:
    """The address space of one kernel.

    Args:
        arch: the machine.
        seed: seed of the garbage that fresh pages hold.
        fault: called with (address, operation) on a touch of unmapped memory; does not return.

    Attributes:
        arch: the machine.
        links: the link cache, address of an entry to the word stored there.
        caching: whether `links` may take new entries.
        big_blocks: address to size in bytes of each live big allocation, kept by the pool
            manager.
        big_pages: page number to the number of the first page of its big allocation.
    """

    __slots__ = (
        "_arenas",
        "_fault",
        "_garbage",
        "_header_size",
        "_limit",
        "_pointer_size",
        "_region_shift",
        "_structures",
        "_unit",
        "_unit_shift",
        "_watchers",
        "arch",
        "big_blocks",
        "big_pages",
        "caching",
        "links",
    )

    def __init__(
        self, arch: Architecture, seed: int, fault: Callable[[int, int], NoReturn]
    ) -> None:
        self.arch = arch
        self._fault = fault
        self._header_size = arch.pool_header.size
        self._pointer_size = arch.pointer_size
        self._unit = arch.pool_header.unit
        self._unit_shift = arch.pool_header.unit_shift
        self._region_shift = arch.pool_region_shift
        self._limit = 1 << arch.address_bits
        self._garbage = garbage(seed)
        self._arenas: dict[int, Arena] = {}
        self._watchers: dict[int, Callable[[], None]] = {}
        self._structures: dict[int, list[Structure]] = {}
        self.links: dict[int, int] = {}
        self.caching = True
        self.big_blocks: dict[int, int] = {}
        self.big_pages: dict[int, int] = {}

    # --- what is mapped ------------------------------------------------------------------

    def add_arena(self, base: int, pages: int) -> Arena:
        """Set a range aside for a pool.

        Args:
            base: its address, at the start of a region.
            pages: most pages it can have.
        """
        arena = Arena(self.arch, base, pages, self._garbage)
        self._arenas[base >> self._region_shift] = arena
        return arena

    def watch_page(self, number: int, watcher: Callable[[], None]) -> None:
        """Have a function called after every write into a page."""
        self._watchers[number] = watcher

    def reserve(self, arena: Arena, first: int, count: int) -> None:
        """Map pages of a big allocation, each to be filled when it is first touched."""
        arena.map_big(first, count)
        number = (arena.base >> PAGE_SHIFT) + first
        self.big_pages.update(dict.fromkeys(range(number, number + count), number))

    def release(self, arena: Arena, first: int, count: int, *, cached: bool) -> None:
        """Take the pages of a big allocation from it; cached ones stay mapped."""
        arena.unmap(first, count, cached=cached)
        number = (arena.base >> PAGE_SHIFT) + first
        for page in range(number, number + count):
            del self.big_pages[page]

    def attach(self, structure: Structure) -> None:
        """Map a structure's range.

        Raises:
            ValueError: the range lies outside the address space or touches something mapped.
        """
        start, size = structure.address, structure.image_size
        if not 0 < start <= self._limit - size:
            raise ValueError(
                f"address {start:#x}: {size:#x} bytes there lie outside the address space"
            )
        if not self.is_unmapped(start, size):
            raise ValueError(f"address {start:#x}: {size:#x} bytes there are already mapped")
        for page in range(start >> PAGE_SHIFT, ((start + size - 1) >> PAGE_SHIFT) + 1):
            self._structures.setdefault(page, []).append(structure)

    def detach_range(self, start: int, end: int) -> list[Structure]:
        """Unmap every structure that begins in a range.

        Returns:
            The structures, by address.
        """
        found: dict[int, Structure] = {}
        for page in range(start >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1):
            for structure in self._structures.pop(page, ()):
                if start <= structure.address < end:
                    found[structure.address] = structure
                else:
                    self._structures.setdefault(page, []).append(structure)
        return [found[address] for address in sorted(found)]

    def take_over(self, old: Structure, new: Structure) -> None:
        """Have another object stand for the structure at an address."""
        for page in range(
            old.address >> PAGE_SHIFT, ((old.address + old.image_size - 1) >> PAGE_SHIFT) + 1
        ):
            here = self._structures[page]
            here[here.index(old)] = new

    def is_unmapped(self, address: int, size: int) -> bool:
        """Whether no byte of the range is mapped."""
        end = address + size
        for number in range(address >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1):
            if self._page_at(number << PAGE_SHIFT) is not None:
                return False
            for other in self._structures.get(number, ()):
                if other.address < end and address < other.address + other.image_size:
                    return False
        return True

    def is_mapped(self, address: int, size: int) -> bool:
        """Whether every byte of a range is mapped."""
        end = address + size
        while address < end:
            structure = self.structure_at(address)
            if structure is not None:
                address = structure.address + structure.image_size
            elif self._page_at(address) is not None:
                address = (address | PAGE_MASK) + 1
            else:
                return False
        return True

    def structure_at(self, address: int) -> Structure | None:
        """The structure that holds an address, if any."""
        for structure in self._structures.get(address >> PAGE_SHIFT, ()):
            if structure.address <= address < structure.address + structure.image_size:
                return structure
        return None

    def _page_at(self, address: int) -> tuple[Arena, int] | None:
        """The mapped page of an arena that holds an address, with its number in the arena."""
        arena = self._arenas.get(address >> self._region_shift)
        if arena is None:
            return None
        page = (address - arena.base) >> PAGE_SHIFT
        if page >= len(arena.states) or arena.states[page] <= RETURNED:
            return None
        return arena, page

    # --- bytes ---------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Read bytes; a touch of unmapped memory faults at the first unmapped address."""
        parts = []
        for where, length, arena, structure in self._pieces(address, size, READ):
            if arena is not None:
                at = where - arena.base
                data = bytes(arena.data[at : at + length])
                parts.append(self._with_links(data, where) if self.links else data)
            else:
                assert structure is not None
                at = where - structure.address
                parts.append(structure.store_image()[at : at + length])
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes; nothing is written when any of the range is unmapped."""
        for where, length, arena, structure in list(self._pieces(address, len(data), WRITE)):
            piece = data[where - address : where - address + length]
            if arena is not None:
                at = where - arena.base
                if arena.states[at >> PAGE_SHIFT] == BLOCKS:
                    self._expose_unless_inside(arena, where, length)
                for key in list(self._link_keys(where, length)):
                    self._settle(key)
                arena.data[at : at + length] = piece
                watcher = self._watchers.get(where >> PAGE_SHIFT)
                if watcher is not None:
                    watcher()
            else:
                assert structure is not None
                at = where - structure.address
                image = bytearray(structure.store_image())
                image[at : at + length] = piece
                structure.load_image(bytes(image))

    def read_pointer(self, address: int) -> int:
        """Read one pointer."""
        return int.from_bytes(self.read(address, self._pointer_size), "little")

    def write_pointer(self, address: int, value: int) -> None:
        """Write one pointer."""
        self.write(address, value.to_bytes(self._pointer_size, "little"))

    def _pieces(
        self, address: int, size: int, operation: int
    ) -> Iterator[tuple[int, int, Arena | None, Structure | None]]:
        """Split a range into pieces of one page or structure, faulting at a hole."""
        end = address + size
        while address < end:
            found = self._page_at(address)
            if found is not None:
                arena, page = found
                if arena.states[page] == RESERVED:
                    arena.map(page, BIG)
                length = min(end - address, PAGE_SIZE - (address & PAGE_MASK))
                yield address, length, arena, None
            else:
                structure = self.structure_at(address)
                if structure is None:
                    self._fault(address, operation)
                length = min(end, structure.address + structure.image_size) - address
                yield address, length, None, structure
            address += length

    # --- the link cache ------------------------------------------------------------------

    def cache(self, entry: int | None) -> bool:
        """Cache the word at an address if a live block starts there; the word stays.

        A list takes links from the cache as they are. Whoever asks must be about to write a
        link, or know that the word is one that a list's header can hold.

        Returns:
            Whether the word is cached now.
        """
        if entry in self.links:
            return True
        if not self.caching or type(entry) is not int or entry < 0:
            return False
        found = self._page_at(entry)
        if found is None:
            return False
        arena, page = found
        at = entry - arena.base
        if entry in self.big_blocks:
            if arena.states[page] == RESERVED:
                arena.map(page, BIG)
        else:
            if (
                arena.states[page] != BLOCKS
                or at & (self._unit - 1)
                or arena.marks[at >> self._unit_shift] == NO_BLOCK
            ):
                return False
        self.links[entry] = arena.words[at // self._pointer_size]
        return True

    def stop_caching(self) -> None:
        """Put every cached word back into its page and cache no more."""
        self.caching = False
        for entry in list(self.links):
            self._settle(entry)

    def expose(self, arena: Arena, page: int) -> None:
        """From now on nothing in a page of blocks is cached: its headers may be anything."""
        if arena.states[page] != BLOCKS:
            return
        arena.states[page] = EXPOSED
        start = arena.base + (page << PAGE_SHIFT)
        for key in list(self._link_keys(start, PAGE_SIZE)):
            self._settle(key)

    def block_start(self, address: int) -> int | None:
        """Address of the header of the live block in whose page and before whose end it is.

        The nearest one whose body starts at or below the address.
        """
        found = self._page_at(address)
        if found is None:
            return None
        arena, page = found
        first = page << (PAGE_SHIFT - self._unit_shift)
        last = (address - arena.base) >> self._unit_shift
        marks = arena.marks[first : last + 1].rstrip(b"\xff")
        if not marks:
            return None
        body = arena.base + ((first + len(marks) - 1) << self._unit_shift)
        return body - self._header_size

    def _expose_unless_inside(self, arena: Arena, address: int, length: int) -> None:
        """Expose a page of blocks unless the range lies in the body of one live block."""
        first = self.big_pages.get(address >> PAGE_SHIFT)
        if first is not None:
            start = first << PAGE_SHIFT
            if address + length <= start + self.big_blocks[start]:
                return
        header = self.block_start(address)
        if header is not None:
            ulong1 = arena.ulongs[(header - arena.base) >> 2]
            units = ulong1 >> 16 & self.arch.pool_header.size_mask
            end = header + (units << self._unit_shift)
            if header + self._header_size <= address and address + length <= end:
                return
        self.expose(arena, (address - arena.base) >> PAGE_SHIFT)

    def _link_keys(self, address: int, size: int) -> Iterator[int]:
        """Addresses of the cached words that overlap a range."""
        links = self.links
        if not links:
            return
        first = (address - self._pointer_size) // self._unit * self._unit + self._unit
        for key in range(first, address + size, self._unit):
            if key in links:
                yield key

    def _settle(self, entry: int) -> None:
        """Put one cached word back into its page."""
        arena = self._arenas[entry >> self._region_shift]
        arena.words[(entry - arena.base) // self._pointer_size] = self.links.pop(entry)

    def _with_links(self, data: bytes, address: int) -> bytes:
        """Lay the cached words that overlap a range over its bytes."""
        patched = bytearray(data)
        for key in self._link_keys(address, len(data)):
            word = self.links[key].to_bytes(self._pointer_size, "little")
            at = key - address
            low, high = max(at, 0), min(at + len(word), len(data))
            patched[low:high] = word[low - at : high - at]
        return bytes(patched)

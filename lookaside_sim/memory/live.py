"""Which pool blocks are live, as far as memory knows: slots, or marks and headers; big ones."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from itertools import compress

from lookaside_sim.memory.arena import (
    BIG,
    BLOCKS,
    CACHED,
    NO_BLOCK,
    RESERVED,
    RETURNED,
    Arena,
    Arenas,
    unused_of,
)
from lookaside_sim.memory.slots import HERE, Slot, Slots
from lookaside_sim.nt.layouts import PAGE_SHIFT, Architecture


class BigPages:
    """Which big allocation a page belongs to. Costs of the allocations, whatever their sizes."""

    __slots__ = ("_behind", "_firsts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._behind: dict[int, int] = {}

    def add(self, first: int, count: int) -> None:
        """Pages, by their numbers, are one allocation's."""
        insort(self._firsts, first)
        self._behind[first] = first + count

    def remove(self, first: int) -> None:
        """The pages from the first one of an allocation on are its no more."""
        del self._firsts[bisect_left(self._firsts, first)], self._behind[first]

    def get(self, number: int) -> int | None:
        """The number of the first page of the allocation that a page belongs to, if any."""
        at = bisect_right(self._firsts, number)
        if not at:
            return None
        first = self._firsts[at - 1]
        return first if number < self._behind[first] else None

    def __contains__(self, number: int) -> bool:
        return self.get(number) is not None


class LiveBlocks:
    """The live blocks of one address space.

    Args:
        arch: the machine.
        arenas: its pools' memory.
        slots: the slots.

    Attributes:
        big_blocks: address to size in bytes of each live big allocation, kept by the pool
            manager.
        big_pages: which pages belong to which big allocation.
    """

    __slots__ = (
        "_arenas",
        "_header_size",
        "_size_mask",
        "_slots",
        "_unit",
        "_unit_shift",
        "big_blocks",
        "big_pages",
    )

    def __init__(self, arch: Architecture, arenas: Arenas, slots: Slots) -> None:
        self._arenas = arenas
        self._slots = slots
        self._header_size = arch.pool_header.size
        self._size_mask = arch.pool_header.size_mask
        self._unit = arch.pool_header.unit
        self._unit_shift = arch.pool_header.unit_shift
        self.big_blocks: dict[int, int] = {}
        self.big_pages = BigPages()

    def reserve(self, arena: Arena, first: int, count: int) -> None:
        """Map pages of a big allocation, each to be filled when it is first touched."""
        if self._slots.decide:
            for page in range(first, first + count):
                if arena.states[page] in (RETURNED, CACHED):
                    self._slots.drop_page(arena, page)
        number = (arena.base >> PAGE_SHIFT) + first
        self.big_pages.add(number, count)
        arena.map_big(first, count)

    def release(self, arena: Arena, first: int, count: int, *, cached: bool) -> None:
        """Take the pages of a big allocation from it; cached ones stay mapped."""
        self.big_pages.remove((arena.base >> PAGE_SHIFT) + first)
        arena.unmap(first, count, cached=cached)

    def start_at(self, arena: Arena, page: int, address: int) -> bool:
        """Whether a live block starts at an address, in a page with trusted headers if any.

        The page of a big allocation is filled if nobody has touched it so far.
        """
        if address in self.big_blocks:
            if arena.states[page] == RESERVED:
                arena.map(page, BIG)
            return True
        if self._slots.decide:
            slot = self._slots.by_address.get(address)
            return slot is not None and slot.used > 0
        at = address - arena.base
        return (
            arena.states[page] == BLOCKS
            and not at & (self._unit - 1)
            and arena.marks[at >> self._unit_shift] != NO_BLOCK
        )

    def header_before(self, address: int) -> int | None:
        """Address of the header of the live block in whose page and before whose end it is.

        The nearest one whose body starts at or below the address.
        """
        found = self._arenas.page_at(address)
        if found is None:
            return None
        arena, page = found
        first = page << (PAGE_SHIFT - self._unit_shift)
        last = (address - arena.base) >> self._unit_shift
        if self._slots.decide:
            slot = self._used_before(arena, first, last)
            return None if slot is None else slot.address - self._header_size
        marks = arena.marks[first : last + 1].rstrip(b"\0")
        if not marks:
            return None
        body = arena.base + ((first + len(marks) - 1) << self._unit_shift)
        return body - self._header_size

    def _used_before(self, arena: Arena, first: int, last: int) -> Slot | None:
        """The last slot of a live block with a header between two positions of a page."""
        rfind, by_address = arena.marks.rfind, self._slots.by_address
        position = rfind(HERE, first, last + 1)
        while position >= 0:
            slot = by_address[arena.base + (position << self._unit_shift)]
            if slot.used and slot.units:
                return slot
            position = rfind(HERE, first, position)
        return None

    def one_holds(self, arena: Arena, address: int, length: int) -> bool:
        """Whether a range within a page lies in the body of one live block."""
        first = self.big_pages.get(address >> PAGE_SHIFT)
        if first is not None:
            start = first << PAGE_SHIFT
            if address + length <= start + self.big_blocks[start]:
                return True
        body, units = self.block_before(arena, address)
        end = body - self._header_size + (units << self._unit_shift)
        return units > 0 and body <= address and address + length <= end

    def block_before(self, arena: Arena, address: int) -> tuple[int, int]:
        """The live block that starts at or below an address in its page: body and BlockSize.

        Zeros where there is none.
        """
        if self._slots.decide:
            slot = self._slots.by_address.get(address)
            if slot is None or not slot.used or not slot.units:
                at = address - arena.base
                first = at >> PAGE_SHIFT << (PAGE_SHIFT - self._unit_shift)
                slot = self._used_before(arena, first, at >> self._unit_shift)
            return (0, 0) if slot is None else (slot.address, slot.units)
        header = self.header_before(address)
        if header is None:
            return 0, 0
        units = arena.ulongs[(header - arena.base) >> 2] >> 16 & self._size_mask
        return header + self._header_size, units

    def unused_at(self, arena: Arena, body: int) -> int:
        """How many bytes at the end of the live block at an address were not asked for."""
        if self._slots.decide:
            unused: int = self._slots.by_address[body].plan.unused
            return unused
        return unused_of(arena.marks[(body - arena.base) >> self._unit_shift])

    def has_header_at(self, arena: Arena, body: int) -> bool:
        """Whether a live block with a header starts at an address, aligned to units."""
        if self._slots.decide:
            slot = self._slots.by_address.get(body)
            return slot is not None and slot.used > 0 and slot.units > 0
        return arena.marks[(body - arena.base) >> self._unit_shift] != NO_BLOCK

    def starts_in(self, arena: Arena, page: int) -> set[int]:
        """Positions, in units from the arena's base, of the live blocks of a page."""
        shift = self._unit_shift
        first = page << (PAGE_SHIFT - shift)
        behind = first + (1 << PAGE_SHIFT - shift)
        found = set(compress(range(first, behind), arena.marks[first:behind]))
        if not self._slots.decide:
            return found
        slots = {each: self._slots.by_address[arena.base + (each << shift)] for each in found}
        return {position for position, slot in slots.items() if slot.used and slot.units}

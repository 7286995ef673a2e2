"""Which pool blocks are live, as far as memory knows: marks, headers, big allocations."""

from __future__ import annotations

from lookaside_sim.memory.arena import BIG, BLOCKS, NO_BLOCK, RESERVED, Arena, Arenas
from lookaside_sim.nt.layouts import PAGE_SHIFT, Architecture


class LiveBlocks:
    """The live blocks of one address space.

    Args:
        arch: the machine.
        arenas: its pools' memory.

    Attributes:
        big_blocks: address to size in bytes of each live big allocation, kept by the pool
            manager.
        big_pages: page number to the number of the first page of its big allocation.
    """

    __slots__ = (
        "_arenas",
        "_header_size",
        "_size_mask",
        "_unit",
        "_unit_shift",
        "big_blocks",
        "big_pages",
    )

    def __init__(self, arch: Architecture, arenas: Arenas) -> None:
        self._arenas = arenas
        self._header_size = arch.pool_header.size
        self._size_mask = arch.pool_header.size_mask
        self._unit = arch.pool_header.unit
        self._unit_shift = arch.pool_header.unit_shift
        self.big_blocks: dict[int, int] = {}
        self.big_pages: dict[int, int] = {}

    def reserve(self, arena: Arena, first: int, count: int) -> None:
        """Map pages of a big allocation, each to be filled when it is first touched."""
        number = (arena.base >> PAGE_SHIFT) + first
        self.big_pages.update(dict.fromkeys(range(number, number + count), number))
        arena.map_big(first, count)

    def release(self, arena: Arena, first: int, count: int, *, cached: bool) -> None:
        """Take the pages of a big allocation from it; cached ones stay mapped."""
        number = (arena.base >> PAGE_SHIFT) + first
        for page in range(number, number + count):
            del self.big_pages[page]
        arena.unmap(first, count, cached=cached)

    def start_at(self, arena: Arena, page: int, address: int) -> bool:
        """Whether a live block starts at an address, in a page with trusted headers if any.

        The page of a big allocation is filled if nobody has touched it so far.
        """
        if address in self.big_blocks:
            if arena.states[page] == RESERVED:
                arena.map(page, BIG)
            return True
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
        marks = arena.marks[first : last + 1].rstrip(b"\xff")
        if not marks:
            return None
        body = arena.base + ((first + len(marks) - 1) << self._unit_shift)
        return body - self._header_size

    def one_holds(self, arena: Arena, address: int, length: int) -> bool:
        """Whether a range within a page lies in the body of one live block."""
        first = self.big_pages.get(address >> PAGE_SHIFT)
        if first is not None:
            start = first << PAGE_SHIFT
            if address + length <= start + self.big_blocks[start]:
                return True
        header = self.header_before(address)
        if header is None:
            return False
        units = arena.ulongs[(header - arena.base) >> 2] >> 16 & self._size_mask
        end = header + (units << self._unit_shift)
        return header + self._header_size <= address and address + length <= end

"""Windows: a few bytes inside one live block or region, for who reads and writes them often.

A `Window` views the bytes where they lie. It holds as long as these bytes are the truth: the same
live block is around them, no slot keeps a word of them (see `slots`), and the buffer is the same. Whoever
has one asks `Window.holds` before each use, and opens another where it no longer does.
"""

from __future__ import annotations

from typing import Protocol

from lookaside_sim.memory.arena import BLOCKS, Arena
from lookaside_sim.memory.regions import Region, Regions
from lookaside_sim.memory.slots import HERE, UNKNOWN, Slot, Slots
from lookaside_sim.nt.layouts import PAGE_SHIFT


class Window(Protocol):
    """Some bytes where they lie.

    Attributes:
        view: a buffer that has them.
        at: where in it they begin.
    """

    view: memoryview
    at: int

    def holds(self) -> bool:
        """Whether the bytes are still the truth, and may be written."""


class BlockWindow:
    """A window inside a live block with a header.

    Args:
        slots: the slots, which must decide; the range is settled.
        arena: where.
        slot: of the block.
        address: of the first byte.
        size: bytes, all within the block and its page.
        unit_shift: of the pool's unit.
    """

    __slots__ = ("_arena", "_data", "_first", "_page", "_slot", "_slots", "_stop", "at", "view")

    def __init__(
        self, slots: Slots, arena: Arena, slot: Slot, address: int, size: int, unit_shift: int
    ) -> None:
        self._slots = slots
        self._arena = arena
        self._slot = slot
        self._data = arena.data
        self.view = memoryview(arena.data)
        self.at = address - arena.base
        self._page = self.at >> PAGE_SHIFT
        # The block's own slot keeps links at its start; a slot behind the range a header in it.
        self._first = (slot.address - arena.base >> unit_shift) + 1
        self._stop = (self.at + size - 1 >> unit_shift) + 2

    def holds(self) -> bool:
        """Whether the bytes are still the truth, and may be written."""
        slot, arena = self._slot, self._arena
        return (
            slot.used > 0
            and slot.flink is UNKNOWN
            and slot.blink is UNKNOWN
            and self._slots.decide
            and arena.data is self._data
            and arena.states[self._page] == BLOCKS
            and arena.marks.find(HERE, self._first, self._stop) < 0
        )


class RegionWindow:
    """A window inside a region.

    Args:
        regions: the mapped regions.
        region: the one.
        address: of the first byte.
    """

    __slots__ = ("_region", "_regions", "at", "view")

    def __init__(self, regions: Regions, region: Region, address: int) -> None:
        self._regions = regions
        self._region = region
        self.view = memoryview(region.data)
        self.at = address - region.address

    def holds(self) -> bool:
        """Whether the bytes are still the truth, and may be written."""
        return self._region.writable and self._region in self._regions

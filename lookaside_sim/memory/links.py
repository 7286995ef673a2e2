"""Which entries keep their links in slots instead of memory, and until when.

A lookaside list keeps its links in the first pointer of the entries. Computing where that is
would be most of the price of a hit, so a list refers to the `Slot` of its first entry, and that
to the slot of the next one. `LinkCache.cached` gives the slot of an entry that may hold them.

It stays exact because of one rule, kept here: only addresses at which a live pool block starts
hold links for lists, in pages whose headers nobody but the pool manager has written.

* A page is *exposed* when a write reached anything but the inside of one live block: the first
  such write makes the bytes of all pools decide (`Slots.decide`), and its page holds no links
  any more, since its headers may be anything.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from typing import Final

from lookaside_sim.memory.arena import BLOCKS, EXPOSED, HEADS, Arena, Arenas
from lookaside_sim.memory.live import LiveBlocks
from lookaside_sim.memory.slots import UNKNOWN, Slot, Slots
from lookaside_sim.nt.layouts import PAGE_SHIFT


class Uncached(Flag):
    """Why nothing is cached; several reasons can hold at once."""

    LISTENED_TO = auto()
    """Somebody is told of every call, so no list may take its hot path. Can end."""
    STOPPED = auto()
    """The machine has stopped. For good."""
    BYTES_ARE_TRUE = auto()
    """Somebody reads and writes the bytes where they lie. For good."""


FOR_GOOD: Final = Uncached.STOPPED | Uncached.BYTES_ARE_TRUE
"""Reasons that never end."""


class _LinksOnly:
    """Stands for the plan of a slot that holds links and no header."""

    __slots__ = ("free_irql", "sizes", "tag", "unused")

    def __init__(self) -> None:
        self.sizes = self.tag = self.unused = 0
        self.free_irql = -1  # no machine runs at it: the pool looks closer before it frees


_LINKS_ONLY: Final = _LinksOnly()


class LinkCache:
    """The links of lists in one address space.

    Args:
        pointer_size: bytes of a link.
        arenas: its pools' memory.
        blocks: which blocks there are live.
        slots: the slots.

    Attributes:
        reasons: why no list may keep a link in a slot; none while they may.
        may_cache: whether there are none: the truth of a Flag is a Python call.
        leave: lets bytes decide from now on and for good; set once, by the pool.
        suspend: lets bytes decide until the next request; likewise.
        told: called when lists may take their hot paths again, and when no longer.
    """

    __slots__ = (
        "_arenas",
        "_blocks",
        "_pointer_size",
        "_slots",
        "leave",
        "may_cache",
        "reasons",
        "suspend",
        "told",
    )

    leave: Callable[[], None]
    suspend: Callable[[], None]

    def __init__(
        self, pointer_size: int, arenas: Arenas, blocks: LiveBlocks, slots: Slots
    ) -> None:
        self._arenas = arenas
        self._blocks = blocks
        self._slots = slots
        self._pointer_size = pointer_size
        self.leave = self.suspend = _nothing
        self.reasons = Uncached(0)
        self.may_cache = True
        self.told: list[Callable[[], None]] = []

    def cached(self, entry: object) -> Slot | None:
        """The slot of an entry, in which a list may keep its link; None for none.

        Whoever asks must be about to set the link: until then the slot may not know the word.
        """
        if not self.may_cache or type(entry) is not int or entry < 0:
            return None
        slots = self._slots
        slot = slots.by_address.get(entry)
        if slot is not None:
            return slot if slot.used else None
        found = self._arenas.page_at(entry)
        if found is None:
            return None
        arena, page = found
        if not self._blocks.start_at(arena, page, entry):
            return None
        return slots.make_for_links(arena, entry, _LINKS_ONLY)

    def slot_at(self, address: int) -> Slot:
        """The slot that the header of a list refers to; where none may be, one apart.

        That one knows the address only, so that its user has to ask memory for the link.
        """
        if not address:
            return self._slots.null
        if self.may_cache:
            slot = self._slots.by_address.get(address)
            if slot is not None:
                return slot
        return Slot(address)

    def write(self, entry: int, target: Slot) -> bool:
        """Write a link where a live block starts: to its slot if lists may, else to memory.

        Cost: less than to find out what the page is.

        Returns:
            Whether it is written.
        """
        slot = self._slots.by_address.get(entry)
        if slot is None:
            found = self._arenas.page_at(entry)
            if found is None or not self._blocks.start_at(*found, entry):
                return False
            if not self.may_cache:
                arena, _ = found
                at = entry - arena.base
                arena.words[at // self._pointer_size] = target.address
                return True
            slot = self._slots.make_for_links(found[0], entry, _LINKS_ONLY)
        elif not slot.used:
            return False
        slot.flink = target
        return True

    def link_in(self, entry: int) -> int | None:
        """The link that a slot holds for an entry; None where memory has to be asked."""
        slot = self._slots.by_address.get(entry)
        if slot is None or slot.flink is UNKNOWN:
            return None
        return slot.flink.address

    # --- until when ------------------------------------------------------------------------

    def stop(self, reason: Uncached) -> None:
        """Let no list keep links in slots as long as the reason holds."""
        if reason & FOR_GOOD:
            self.leave()
            self.settle_all()
        self._set(self.reasons | reason)

    def resume(self, reason: Uncached) -> None:
        """Say that a reason holds no longer.

        Raises:
            ValueError: one that never ends.
        """
        if reason & FOR_GOOD:
            raise ValueError(f"reason {reason!r}: give {Uncached.LISTENED_TO!r}, which can end")
        self._set(self.reasons & ~reason)

    def _set(self, reasons: Uncached) -> None:
        self.reasons = reasons
        may_cache = not reasons
        if may_cache != self.may_cache:
            self.may_cache = may_cache
            for tell in self.told:
                tell()

    def settle_all(self) -> None:
        """Put all that slots hold into the bytes; they begin anew with the next call."""
        self.suspend()
        self._slots.render_all()
        self._slots.forget_all()

    def expose(self, arena: Arena, page: int) -> None:
        """From now on nothing in a page of blocks is cached: its headers may be anything."""
        if arena.states[page] != BLOCKS:
            return
        self.leave()
        arena.states[page] = EXPOSED
        self._slots.drop_page(arena, page)

    def prepare_write(self, arena: Arena, address: int, length: int) -> None:
        """Make a range within a page ready to be written where it lies.

        Exposes the page unless the range is inside one live block, and settles its words.
        """
        page = (address - arena.base) >> PAGE_SHIFT
        state = arena.states[page]
        if state == BLOCKS:
            if not self._blocks.one_holds(arena, address, length):
                self.expose(arena, page)
        elif state == HEADS:
            self.leave()
        self._slots.settle(arena, address, address + length)


def _nothing() -> None:
    """What memory leaves that no pool has a model of."""

"""Slots: pool memory as objects, while nobody but the pool and the lists has written its words.

A `Slot` stands for one address at which a block starts or once started. It holds, decoded, the
last words that the pool manager or a lookaside list wrote there: the header in front of the
body, and the two links at its start. Neighbors and links are references to other slots, so that
neither a pool call nor a hit of a list computes an address or reads a byte.

A slot's address never changes, so a stale header or link can be rendered exactly, long after
its block is gone: what it refers to still says where that was.

* A word is *held* while a slot has it; the bytes there may be stale.
* It is *rendered* when the bytes are brought up to date and the slot keeps it, for a reader.
* It is *settled* when the slot forgets it too: from then on the bytes are newer (`UNKNOWN`).
* A slot is *dropped* when all of it is settled, and nobody finds it any more.

Rule, which lets words be rendered in any order: no word is held twice. A header covers the two
links of the slot one unit before, so no two slots lie side by side, except behind a *fragment*:
a free block of one unit, too small for links. Whoever makes a slot drops its neighbors; that
happens only the first time a block starts somewhere, so a program that has warmed up never pays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from typing import Any, Final, cast

from lookaside_sim.memory.arena import NO_BLOCK, Arena, Arenas, mark_of
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, Architecture

SLOT_HERE: Final = mark_of(0)
"""Mark of a unit at which a slot's body starts, while slots decide (see `Arena.marks`)."""


HERE: Final = bytes([SLOT_HERE])
"""The same mark, to look for it."""

_ONE_HERE: Final = bytes(SLOT_HERE) + b"\1"
"""Turns marks into ones where there is a slot, else zeros."""


class Slot:
    """One position.

    Args:
        address: of the body.
        units: BlockSize.

    Attributes:
        address: as given.
        units: BlockSize of the last header written here; 0 where only links are held.
        used: the address while a live block starts here, else 0. It is the very object that
            `address` is, so that whoever is handed one can tell both at one look.
        plan: what the block was last allocated for. What that is only the pool knows; here
            count ``sizes`` (BlockSize and PoolType in place, for the header of a block in use),
            ``tag`` and ``unused`` (bytes at its end that were not asked for).
        front: the slot of the block in front; the edge for the first of its page.
        behind: the slot of the block behind; the edge for the last.
        flink: the slot that the first word points at; `UNKNOWN` where the bytes are newer.
        blink: likewise for the second word.
    """

    __slots__ = ("address", "behind", "blink", "flink", "front", "plan", "units", "used")

    def __init__(self, address: int, units: int = 0) -> None:
        self.address = address
        self.units = units
        self.used = 0
        self.plan: Any = None
        self.front = self.behind = self.flink = self.blink = UNKNOWN

    def __reduce__(self) -> tuple[type[Slot], tuple[int]]:
        # A copy knows its address and asks memory for the rest; to follow the references would
        # need as deep a stack as the pool has blocks.
        return Slot, (self.address,)

    def __repr__(self) -> str:
        return f"<Slot {self.address:#x} {'used' if self.used else 'free'} {self.units} units>"


UNKNOWN: Final = cast(Slot, None)
"""No slot: the bytes say what it would. Typed as one, so that paths that matter need no check
where there cannot be None."""


class Slots:
    """The slots of one address space.

    Args:
        arch: the machine.
        arenas: its pools' memory.

    Attributes:
        by_address: each slot under its body's address; a fragment at the end of a page under
            the page's last byte, since a big allocation may start where its body would.
        edge: stands for the border of a page: in use, and no block.
        null: what a NULL link refers to.
        decide: whether headers are slots' business. Else the bytes decide, and slots hold no
            more than links.
    """

    __slots__ = (
        "_arenas",
        "_header_size",
        "_unit",
        "_unit_shift",
        "_word_shift",
        "by_address",
        "decide",
        "edge",
        "null",
    )

    def __init__(self, arch: Architecture, arenas: Arenas) -> None:
        self._arenas = arenas
        self._header_size = arch.pool_header.size
        self._unit = arch.pool_header.unit
        self._unit_shift = arch.pool_header.unit_shift
        self._word_shift = 3 if arch.pointer_size == 8 else 2
        self.by_address: dict[int, Slot] = {}
        self.edge = Slot(0)
        self.edge.used = 1
        self.null = Slot(0)
        self.decide = False

    @staticmethod
    def fragment_key(address: int) -> int:
        """Under which key the slot of a fragment is found."""
        return address if address & PAGE_MASK else address - 1

    # --- making and dropping ---------------------------------------------------------------

    def make(self, arena: Arena, address: int, units: int = 2) -> Slot:
        """Make the slot of a position that has none, and drop those beside it.

        Args:
            arena: where.
            address: of the body.
            units: of the block that starts there; 1 for a fragment.
        """
        slot = Slot(address, units)
        by_address = self.by_address
        unit = self._unit
        if units == 1 and not address & PAGE_MASK:
            by_address[address - 1] = slot
        else:
            by_address[address] = slot
            arena.marks[(address - arena.base) >> self._unit_shift] = SLOT_HERE
        if address - unit & PAGE_MASK:
            before = by_address.get(address - unit)
            if before is not None:
                if before.units == 1:
                    # The new header covers the first word of a fragment's body, on x86 both.
                    before.flink = UNKNOWN
                    if self._unit_shift == 3:
                        before.blink = UNKNOWN
                else:
                    self.drop(arena, before)
        if units > 1:
            next_address = address + unit
            after = by_address.get(self.fragment_key(next_address))
            if after is not None:
                self.drop(arena, after)
        return slot

    def make_for_links(self, arena: Arena, address: int, plan: object) -> Slot:
        """Make a slot at the start of a live block whose header it does not hold."""
        slot = self.by_address[address] = Slot(address)
        slot.used = address
        slot.plan = plan
        if self.decide:
            arena.marks[(address - arena.base) >> self._unit_shift] = SLOT_HERE
        return slot

    def make_head(self, arena: Arena, head: Slot) -> None:
        """Let the head of an empty free list be found."""
        head.flink = head.blink = head
        self.by_address[head.address] = head
        arena.marks[(head.address - arena.base) >> self._unit_shift] = SLOT_HERE

    def drop(self, arena: Arena, slot: Slot) -> None:
        """Settle all that a slot holds, and forget it."""
        self.render_slot(arena, slot)
        address = slot.address
        if slot.units == 1 and not address & PAGE_MASK:
            del self.by_address[address - 1]
        else:
            del self.by_address[address]
            if self.decide:
                arena.marks[(address - arena.base) >> self._unit_shift] = NO_BLOCK
        slot.flink = slot.blink = UNKNOWN

    def drop_page(self, arena: Arena, page: int) -> None:
        """Drop every slot of a page, and make its bytes up."""
        if page in arena.unmade:
            arena.make_up(page)
        start = arena.base + (page << PAGE_SHIFT)
        for slot in list(self._overlapping(arena, start, start + PAGE_MASK + 1)):
            self.drop(arena, slot)

    # --- bringing bytes up to date -----------------------------------------------------------

    def render_slot(self, arena: Arena, slot: Slot) -> None:
        """Write the words a slot holds into the bytes."""
        at = slot.address - arena.base
        units = slot.units
        if units:
            header_at = at - self._header_size
            if header_at >> PAGE_SHIFT in arena.unmade:
                arena.make_up(header_at >> PAGE_SHIFT)
            front = slot.front
            sizes = slot.plan.sizes if slot.used else units << 16
            if front is not self.edge:
                sizes |= slot.address - front.address >> self._unit_shift
            ulongs = arena.ulongs
            ulongs[header_at >> 2] = sizes
            ulongs[(header_at >> 2) + 1] = slot.plan.tag
        elif at >> PAGE_SHIFT in arena.unmade:
            arena.make_up(at >> PAGE_SHIFT)
        link = slot.flink
        if link is not UNKNOWN:
            arena.words[at >> self._word_shift] = link.address
        link = slot.blink
        if link is not UNKNOWN:
            arena.words[(at >> self._word_shift) + 1] = link.address

    def render(self, arena: Arena, start: int, end: int) -> None:
        """Bring the bytes of a range within one page up to date."""
        base = arena.base
        page = (start - base) >> PAGE_SHIFT
        if page in arena.unmade:
            arena.make_up(page)
        if not self.decide:
            for slot in self._overlapping(arena, start, end):
                self.render_slot(arena, slot)
            return
        # What `render_slot` does, in one loop: this is most of the price of reading a page.
        by_address, edge = self.by_address, self.edge
        words, ulongs = arena.words, arena.ulongs
        shift, word_shift = self._unit_shift, self._unit_shift - self._word_shift
        ulong_shift = shift - 2
        page_end = (start | PAGE_MASK) + 1
        stop = (min(end + self._unit, page_end) - base + self._unit - 1) >> shift
        first = (start - base) >> shift
        here = arena.marks[first:stop].translate(_ONE_HERE)
        for position in compress(range(first, stop), here):
            slot = by_address[base + (position << shift)]
            units = slot.units
            if units:
                header_at = position - 1 << ulong_shift
                plan, front = slot.plan, slot.front
                sizes = plan.sizes if slot.used else units << 16
                if front is not edge:
                    sizes |= slot.address - front.address >> shift
                ulongs[header_at] = sizes
                ulongs[header_at + 1] = plan.tag
            link = slot.flink
            if link is not UNKNOWN:
                words[position << word_shift] = link.address
            link = slot.blink
            if link is not UNKNOWN:
                words[(position << word_shift) + 1] = link.address
        if end + self._unit > page_end:
            fragment = by_address.get(page_end - 1)
            if fragment is not None:
                self.render_slot(arena, fragment)

    def render_all(self) -> None:
        """Bring all bytes up to date."""
        arenas = self._arenas
        for arena in arenas.all():
            for page in list(arena.unmade):
                arena.make_up(page)
        for slot in self.by_address.values():
            arena_of = arenas.near(slot.address - 1)
            assert arena_of is not None, "slots lie in arenas"
            self.render_slot(arena_of, slot)

    def settle_links(self, arena: Arena, slot: Slot) -> None:
        """Write the links of a slot to the bytes and forget them."""
        at = slot.address - arena.base
        if at >> PAGE_SHIFT in arena.unmade:
            arena.make_up(at >> PAGE_SHIFT)
        at >>= self._word_shift
        if slot.flink is not UNKNOWN:
            arena.words[at] = slot.flink.address
            slot.flink = UNKNOWN
        if slot.blink is not UNKNOWN:
            arena.words[at + 1] = slot.blink.address
            slot.blink = UNKNOWN

    def settle(self, arena: Arena, start: int, end: int) -> None:
        """Before somebody writes a range within one page: its bytes are what counts there.

        The range lies inside one live block, or in a page without any: a header in it is what
        is left of an older block.
        """
        page = (start - arena.base) >> PAGE_SHIFT
        if page in arena.unmade:
            arena.make_up(page)
        first = start & -self._unit
        behind = (end - 1 & -self._unit) + self._unit
        for slot in list(self._overlapping(arena, start, end)):
            if slot.units and slot.address > first:
                self.drop(arena, slot)
            elif slot.address < behind:
                self.settle_links(arena, slot)

    def forget_all(self) -> None:
        """Forget every slot; whoever still refers to one reads the bytes, which are true now."""
        for slot in self.by_address.values():
            slot.used = 0
            slot.flink = slot.blink = UNKNOWN
        self.by_address.clear()

    def _overlapping(self, arena: Arena, start: int, end: int) -> Iterator[Slot]:
        """The slots that hold a word in a range within one page."""
        by_address = self.by_address
        if not by_address:
            return
        base, shift = arena.base, self._unit_shift
        page_end = (start | PAGE_MASK) + 1
        # A header lies in the unit before the body.
        first, stop = (start - base) >> shift, min(end + self._unit, page_end) - base
        stop = (stop + self._unit - 1) >> shift
        if self.decide:
            find = arena.marks.find
            position = find(HERE, first, stop)
            while position >= 0:
                slot = by_address.get(base + (position << shift))
                if slot is not None:
                    yield slot
                position = find(HERE, position + 1, stop)
            if end + self._unit > page_end:
                fragment = by_address.get(page_end - 1)
                if fragment is not None:
                    yield fragment
        else:
            unit = self._unit
            for address in range(base + (first << shift), base + (stop << shift), unit):
                if address in by_address:
                    yield by_address[address]

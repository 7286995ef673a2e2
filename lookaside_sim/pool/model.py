"""Blocks with headers, as a model: what `blocks` does, on slots instead of bytes.

While nobody but the pool manager can have written a header or a link of a free list, what they
say is known: no check of `blocks` can fail, and every header it would read is a `Slot`. So an
allocation of a size that is on its list is six stores, and a free looks at two neighbors. Each
rule here is one of `blocks`, where the reasons are; a test holds them against each other, byte
for byte. Whatever is rare, refused or stops the machine is left to `blocks`.

The hot paths, `Model.allocate` and `Model.free`, are one flat piece of code each, which stores
as little as it can: a slot in use keeps its links (they are what lies in memory), and a list
that got empty keeps its hint until somebody looks for an entry there.

Source:
    docs/sources.md, pool section 3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import CACHED
from lookaside_sim.memory.slots import Slot
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.pool.blocks import FREE_TAG, Blocks, exhausted
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.plans import PoolPlan
from lookaside_sim.pool.stops import PoolStops
from lookaside_sim.pool.tails import ByteTails


class Stale:
    """Stands for the plan of a free block that was never in use: only its tag shows.

    Args:
        tag: PoolTag in its header.
    """

    __slots__ = ("sizes", "tag", "unused")

    def __init__(self, tag: int) -> None:
        self.sizes = self.unused = 0
        self.tag = tag


_FREE: Final = Stale(int(FREE_TAG))


@lru_cache
def _offsets(unit_shift: int, lists: int) -> list[int]:
    """Bytes of so many units."""
    return [units << unit_shift for units in range(lists + 1)]


class Model:
    """The blocks of one kernel's pools, on slots.

    Args:
        machine: the machine.
        memory: its address space.
        stops: what it stops for.
        blocks: the same on bytes, for what is rare.
        tails: likewise for the ends of last pages.
    """

    __slots__ = (
        "_blocks",
        "_by_address",
        "_edge",
        "_header_size",
        "_machine",
        "_memory",
        "_offsets",
        "_slots",
        "_stops",
        "_tails",
        "_units_per_page",
        "fragments",
    )

    def __init__(
        self,
        machine: Machine,
        memory: Memory,
        stops: PoolStops,
        blocks: Blocks,
        tails: ByteTails,
    ) -> None:
        layout = memory.arch.pool_header
        self._machine = machine
        self._memory = memory
        self._stops = stops
        self._blocks = blocks
        self._tails = tails
        self._slots = memory.slots
        self._by_address = memory.slots.by_address
        self._edge = memory.slots.edge
        self._header_size = layout.size
        self._units_per_page = layout.units_per_page
        self._offsets = _offsets(layout.unit_shift, layout.units_per_page)
        self.fragments: dict[int, Slot] = {}
        """The ``Frag`` units in front of tails, by address: in use, and nobody's."""

    def allocate(self, plan: PoolPlan) -> int:
        """Allocate what a plan says.

        Returns:
            The block's address, 0 for NULL.
        """
        if self._machine.gate > plan.quick_irql:
            return self._allocate_otherwise(plan)
        head = plan.head
        slot = head.flink
        units = plan.units
        if slot is not head:
            # A free block of the very size: take it off its list.
            flink = slot.flink
            head.flink = flink
            flink.blink = head
            address = slot.used = slot.address
            slot.plan = plan
            plan.side[units] += 1
            return address
        # The first list with a larger one. Hints of empty lists are taken back here.
        pool = plan.pool
        hints = pool.hints
        heads = pool.heads
        index = units
        while True:
            index = hints.find(1, index + 1)
            if index < 0:
                return self._take_fresh_page(plan)
            head = heads[index]
            slot = head.flink
            if slot is not head:
                break
            hints[index] = 0
        flink = slot.flink
        head.flink = flink
        flink.blink = head
        plan.side[units] += 1
        rest = index - units
        if slot.front is not self._edge:
            # Take the end; the remainder stays in front.
            slot.units = rest
            address = slot.address + self._offsets[rest]
            try:
                taken = self._by_address[address]
            except KeyError:
                taken = self._slots.make(pool.arena, address)
            behind = slot.behind
            taken.front = slot
            taken.behind = behind
            slot.behind = taken
            behind.front = taken
            taken.used = taken.address
            taken.units = units
            taken.plan = plan
            if rest == 1:
                return address
        else:
            # The block begins its page: take the front; the remainder lies behind.
            address = slot.address
            rest_address = address + self._offsets[units]
            taken = slot
            try:
                if rest == 1:
                    slot = self._fragment(pool, rest_address)
                else:
                    slot = self._by_address[rest_address]
            except KeyError:
                slot = self._slots.make(pool.arena, rest_address)
            behind = taken.behind
            slot.front = taken
            slot.behind = behind
            taken.behind = slot
            behind.front = slot
            slot.units = rest
            slot.used = 0
            slot.plan = taken.plan
            taken.used = taken.address
            taken.units = units
            taken.plan = plan
            if rest == 1:
                return address
        # Link the remainder behind its list.
        head = heads[rest]
        if head is None:  # UNKNOWN
            head = pool.head(rest)
        blink = head.blink
        slot.flink = head
        slot.blink = blink
        blink.flink = slot
        head.blink = slot
        if blink is head:
            hints[rest] = 1
        return address

    def free(self, address: int, tag: int = 0) -> None:
        """Free the block at an address; 0 for NULL and for no tag."""
        try:
            slot = self._by_address[address]
        except KeyError:
            self._blocks.free_unmarked(address, tag)
            return
        plan: PoolPlan = slot.plan
        if tag or not slot.used or self._machine.gate > plan.free_irql:
            if not slot.used or not slot.units:
                self._blocks.free_unmarked(address, tag)
                return
            self._check_free(slot, tag)
        plan.side[plan.free_index] += 1
        slot.used = 0
        # Merge with the block behind, then with the one in front.
        units = plan.units
        behind = slot.behind
        if not behind.used:
            more = behind.units
            units += more
            if more > 1:
                flink = behind.flink
                blink = behind.blink
                blink.flink = flink
                flink.blink = blink
                behind = behind.behind
            else:
                fragment = behind
                behind = behind.behind
                self._slots.drop(plan.pool.arena, fragment)
            slot.behind = behind
            behind.front = slot
        front = slot.front
        if not front.used:
            # The header ends up inside the merged block, as it is.
            more = front.units
            units += more
            if more > 1:
                flink = front.flink
                blink = front.blink
                blink.flink = flink
                flink.blink = blink
            else:
                self._slots.drop(plan.pool.arena, slot)  # its header lies where links will
            front.behind = behind
            behind.front = front
            slot = front
        pool = plan.pool
        if units == self._units_per_page:
            page = (slot.address - pool.base) >> PAGE_SHIFT
            pool.arena.states[page] = CACHED
            pool.runs.give_back(page, 1)
            return
        slot.units = units
        # Link it in front of its list.
        head = pool.heads[units]
        if head is None:  # UNKNOWN
            head = pool.head(units)
        flink = head.flink
        slot.flink = flink
        slot.blink = head
        flink.blink = slot
        head.flink = slot
        if flink is head:
            pool.hints[units] = 1

    # --- the rarer ways -----------------------------------------------------------------

    def _allocate_otherwise(self, plan: PoolPlan) -> int:
        """Serve a request for whole pages or for zeros, or refuse one."""
        if self._machine.gate > plan.max_irql:
            return self._blocks.allocate_otherwise(plan)
        address = self.allocate(plan.unzeroed)
        if address:
            self._memory.write(address, bytes(max(plan.request.size, 1)))
        return address

    def _check_free(self, slot: Slot, tag: int) -> None:
        """Check the IRQL and the tag of a free."""
        plan: PoolPlan = slot.plan
        if self._machine.gate > plan.max_irql:
            self._stops.refuse_free_irql(slot.address, int(plan.pool.paged))
        self._stops.check_tag(slot.address, plan.tag, tag)

    def _fragment(self, pool: PoolDescriptor, address: int) -> Slot:
        """The slot of a free block of one unit, which may end its page."""
        key = self._slots.fragment_key(address)
        return self._by_address.get(key) or self._slots.make(pool.arena, address, 1)

    def _slot(self, pool: PoolDescriptor, address: int) -> Slot:
        return self._by_address.get(address) or self._slots.make(pool.arena, address)

    def _take_fresh_page(self, plan: PoolPlan) -> int:
        """Serve a request from a fresh page, the rest of it one free block."""
        pool = plan.pool
        page = pool.runs.take(1)
        if not page:
            return exhausted(plan)
        arena = pool.arena
        if page >= len(arena.states):
            pool.reach(page + 1)
        arena.map_unmade(page)
        units = plan.units
        rest = self._units_per_page - units
        address = pool.base + (page << PAGE_SHIFT) + self._header_size
        rest_address = address + self._offsets[units]
        edge = self._edge
        taken = self._slot(pool, address)
        if rest == 1:
            slot = self._fragment(pool, rest_address)
        else:
            slot = self._slot(pool, rest_address)
        taken.front = edge
        taken.behind = slot
        taken.units = units
        taken.used = taken.address
        taken.plan = plan
        plan.side[units] += 1
        slot.front = taken
        slot.behind = edge
        slot.units = rest
        slot.used = 0
        slot.plan = _FREE
        if rest > 1:
            self._link_tail(pool, slot)
        return address

    def _link_tail(self, pool: PoolDescriptor, slot: Slot) -> None:
        """Link a free block behind its list."""
        head = pool.head(slot.units)
        blink = head.blink
        slot.flink = head
        slot.blink = blink
        blink.flink = slot
        head.blink = slot
        pool.hints[slot.units] = 1

    # --- the end of a big allocation's last page -----------------------------------------

    def open_tail(self, pool: PoolDescriptor, page: int, units: int) -> None:
        """Make what lies behind so many units of a page a ``Frag`` unit and a free block."""
        start = pool.base + (page << PAGE_SHIFT) + self._header_size
        address = start + self._offsets[units]
        # The Frag unit's header never changes: it goes to the bytes, and its slot to none.
        self._tails.write_fragment(pool, address - pool.base)
        fragment = self.fragments[address] = Slot(address, 1)
        fragment.used = address
        slot = self._slot(pool, address + self._offsets[1])
        fragment.front = slot.behind = self._edge
        fragment.behind = slot
        slot.front = fragment
        slot.units = self._units_per_page - units - 1
        slot.used = 0
        slot.plan = _FREE
        self._link_tail(pool, slot)

    def reach_tail(self, pool: PoolDescriptor, page: int, units: int) -> int:
        """Count what becomes free together with the units in front of a ``Frag`` unit."""
        start = pool.base + (page << PAGE_SHIFT) + self._header_size
        behind = self.fragments.pop(start + self._offsets[units]).behind
        units += 1
        if not behind.used:
            units += behind.units
            if behind.units > 1:
                flink = behind.flink
                blink = behind.blink
                blink.flink = flink
                flink.blink = blink
            else:
                self._slots.drop(pool.arena, behind)
        return units

    def close_tail(self, pool: PoolDescriptor, page: int, units: int) -> None:
        """Make the first units of a page a free block, with a block behind it."""
        address = pool.base + (page << PAGE_SHIFT) + self._header_size
        slot = self._slot(pool, address)
        behind = self._by_address[address + self._offsets[units]]
        slot.front = self._edge
        slot.behind = behind
        behind.front = slot
        slot.units = units
        slot.used = 0
        slot.plan = _FREE
        head = pool.head(units)
        flink = head.flink
        slot.flink = flink
        slot.blink = head
        flink.blink = slot
        head.flink = slot
        pool.hints[units] = 1

"""Big allocations: whole pages, without a header, and what becomes of the last one's end.

Source:
    docs/sources.md, pool section 3 (big allocations).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import BLOCKS
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT
from lookaside_sim.pool.accounting import ALLOCS, FREES, TagTable
from lookaside_sim.pool.blocks import exhausted
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.plans import PAGED_BIT, TAG_MASK, ZERO_BIT, PoolPlan
from lookaside_sim.pool.stops import PoolStops
from lookaside_sim.pool.tails import Tails

_SMALLEST_BLOCK_UNITS: Final = 2


@attrs.define(slots=True)
class BigBlock:
    """An entry of the big page table: an allocation in whole pages, without a header."""

    address: int
    size: int
    tag: int
    pool_type: int
    pages: int
    tail_units: int
    """Units of the last page before the part handed back to the pool; 0 if none was."""


class BigBlocks:
    """The big page table of one machine.

    Args:
        machine: the machine.
        memory: its address space.
        tags: the tag table.
        stops: what the pool stops for.
        tails: gets the end of a last page.
        pools: the pools, by the number of their region.

    Attributes:
        tails: as given; another one when the pools decide in another way from now on.
        table: the live big allocations, by address.
    """

    __slots__ = (
        "_machine",
        "_memory",
        "_pools_by_region",
        "_region_shift",
        "_stops",
        "_tags",
        "_unit_mask",
        "_unit_shift",
        "_units_per_page",
        "table",
        "tails",
    )

    def __init__(
        self,
        machine: Machine,
        memory: Memory,
        tags: TagTable,
        stops: PoolStops,
        tails: Tails,
        pools: Mapping[int, PoolDescriptor],
    ) -> None:
        layout = memory.arch.pool_header
        self._machine = machine
        self._memory = memory
        self._tags = tags
        self._stops = stops
        self.tails = tails
        self._unit_shift = layout.unit_shift
        self._unit_mask = layout.unit - 1
        self._units_per_page = layout.units_per_page
        self._region_shift = memory.arch.pool_region_shift
        self._pools_by_region = pools
        self.table: dict[int, BigBlock] = {}

    def allocate(self, plan: PoolPlan) -> int:
        """Allocate whole pages and hand the unused end of the last one to the pool.

        Choice: the tag is charged the bytes asked for, which is what the big page table
        records; the end handed back is charged to whoever gets it.
        """
        pool, tag, (pool_type, size, *_) = plan.pool, plan.tag, plan.request
        count = (size + PAGE_MASK) >> PAGE_SHIFT
        first = pool.runs.take(count)
        if not first:
            return exhausted(plan)
        memory = self._memory
        pool.reach(first + count)
        memory.reserve(pool.arena, first, count)
        address = pool.base + (first << PAGE_SHIFT)
        tail_units = self._hand_back_tail(pool, first + count - 1, size & PAGE_MASK)
        self.table[address] = BigBlock(address, size, tag, pool_type, count, tail_units)
        memory.big_blocks[address] = size
        self._tags.count_big(pool.sides, tag & TAG_MASK, ALLOCS, size)
        if pool_type & ZERO_BIT:
            memory.write(address, bytes(size))
        return address

    def _hand_back_tail(self, pool: PoolDescriptor, page: int, used: int) -> int:
        """Make the end of a page behind ``used`` bytes a ``Frag`` unit and a free block.

        Choice: only when the free block can hold something, two units.

        Returns:
            Units in front of the ``Frag`` unit, 0 when nothing was handed back.
        """
        units = (used + self._unit_mask) >> self._unit_shift
        rest = self._units_per_page - units - 1
        if not used or rest < _SMALLEST_BLOCK_UNITS:
            return 0
        pool.arena.map(page, BLOCKS)
        self.tails.open_tail(pool, page, units)
        return units

    def free(self, address: int, tag: int) -> bool:
        """Free a big allocation.

        Returns:
            Whether one starts at the address.
        """
        big = self.table.get(address)
        if big is None:
            return False
        self._free(big, tag)
        return True

    def _free(self, big: BigBlock, tag: int) -> None:
        machine = self._machine
        if machine.gate > 2 or (machine.gate > 1 and big.pool_type & PAGED_BIT):
            self._stops.refuse_free_irql(big.address, big.pool_type)
        self._stops.check_tag(big.address, big.tag, tag)
        pool = self._pools_by_region[big.address >> self._region_shift]
        arena = pool.arena
        self._tags.count_big(pool.sides, big.tag & TAG_MASK, FREES, -big.size)
        memory = self._memory
        del self.table[big.address]
        del memory.big_blocks[big.address]
        first = (big.address - pool.base) >> PAGE_SHIFT
        slot = memory.slots.by_address.get(big.address)
        if slot is not None:
            memory.slots.drop(arena, slot)
        last = first + big.pages - 1
        tail_state = arena.states[last]
        cached = big.pages <= pool.cached_pages
        memory.release(arena, first, big.pages, cached=cached)
        if not big.tail_units:
            pool.runs.give_back(first, big.pages)
            return
        # The last page stays as long as a block in its tail is in use.
        # Choice: its front becomes a block, which is freed together with the Frag unit.
        arena.map(last, tail_state)
        units = self.tails.reach_tail(pool, last, big.tail_units)
        if units == self._units_per_page:
            arena.unmap(last, 1, cached=cached)
            pool.runs.give_back(first, big.pages)
            return
        pool.runs.give_back(first, big.pages - 1)  # a single page never has a tail
        self.tails.close_tail(pool, last, units)

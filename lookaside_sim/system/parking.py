"""Freed blocks that wait: on the small-pool lists of a processor, or to be freed for good.

A layer over the blocks; what a parked block looks like is said in `small_lists`.
"""

from __future__ import annotations

from typing import ClassVar

from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.arena import mark_of
from lookaside_sim.nt.layouts import PAGE_MASK
from lookaside_sim.nt.types import PoolType
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.headers import Headers
from lookaside_sim.pool.manager import PoolManager
from lookaside_sim.pool.plans import (
    IN_USE,
    NX_BIT,
    TAG_MASK,
    ZERO_BIT,
    PoolPlan,
)
from lookaside_sim.pool.requests import Layer, Order
from lookaside_sim.system.small_pool_lists import (
    DELAYED_FREES,
    SMALL_LISTS,
    ParkedBlocks,
    SmallPoolLists,
)


class ParkingLayer(Layer):
    """Serves requests from parked blocks, and parks what is freed.

    Args:
        machine: the machine.
        pool: whose blocks are parked.
        small_lists: the small-pool lists, None for none.
        delayed: whether frees that no list takes are delayed.

    Attributes:
        waiting: the delayed free list of each pool, by its name; None where none is delayed.
    """

    __slots__ = ("_headers", "_machine", "_parked", "_pool", "_small_lists", "waiting")

    order: ClassVar[Order] = Order.PARKING

    def __init__(
        self,
        machine: Machine,
        pool: PoolManager,
        small_lists: SmallPoolLists | None,
        *,
        delayed: bool,
    ) -> None:
        self._machine = machine
        self._pool = pool
        self._small_lists = small_lists
        self._parked = ParkedBlocks(machine)
        self._headers = Headers(machine.memory)
        pool.leave_model()  # no slot knows the bits of a parked block's header
        self.waiting: dict[str, list[int]] | None = None
        if delayed:
            self.waiting = {each.name: [] for each in pool.descriptors}

    def allocate(self, plan: PoolPlan) -> int:
        """Take a parked block of the size, else ask below."""
        pool, _, units, sizes, mark, tag, side = plan.parts
        machine, small_lists = self._machine, self._small_lists
        if small_lists is None or units > SMALL_LISTS or machine.gate > plan.max_irql:
            return self.below.allocate(plan)
        request = plan.request
        small = small_lists.of(machine.processors.current, _kind_of(pool))[units - 1]
        entry = small.try_allocate()
        if not entry:
            return self.below.allocate(plan)
        parked = self._parked
        small.took(parked.link(entry))
        block_type = sizes >> machine.arch.pool_header.type_shift
        if parked.revive(pool, entry, block_type, mark):
            parked.set_tag(pool, entry, tag)
        side[units] += 1
        if request.pool_type & ZERO_BIT:
            machine.memory.write(entry, bytes(request.size))
        return entry

    def free(self, address: int, tag: int = 0) -> None:
        """Park a sound live block, else let it be freed below, or what is wrong be found."""
        pool = self._pool.ordinary_at(address)
        if (
            pool is None
            or not self._headers.is_live(pool, address)
            or not self._park(pool, address, tag)
        ):
            self.below.free(address, tag)

    def _park(self, pool: PoolDescriptor, address: int, tag: int) -> bool:
        machine, headers = self._machine, self._headers
        units = headers.units_of(pool, address)
        behind = address - headers.size + headers.bytes_of(pool, address)
        sound = (
            headers.type_of(pool, address) & IN_USE
            and units
            and (address - pool.base) & ~PAGE_MASK == (behind - 1 - pool.base) & ~PAGE_MASK
            and machine.gate <= (1 if pool.paged else 2)
        )
        if not sound:
            return False
        if behind & PAGE_MASK:
            following = pool.arena.ulongs[(behind - pool.base) >> 2]
            if following & machine.arch.pool_header.size_mask != units:
                return False
        owner = headers.tag_of(pool, address)
        self._pool.stops.check_tag(address, owner, tag)
        tags, small_lists = self._pool.tag_table, self._small_lists
        if small_lists is not None and units <= SMALL_LISTS:
            small = small_lists.of(machine.processors.current, _kind_of(pool))[units - 1]
            if small.try_free():
                tags.find(pool.sides, owner & TAG_MASK)[-units] += 1
                self._parked.park(pool, address, small.first)
                small.put(address)
                return True
        if self.waiting is None:
            return False
        waiting = self.waiting[pool.name]
        tags.find(pool.sides, owner & TAG_MASK)[-units] += 1
        self._parked.park(pool, address, waiting[-1] if waiting else 0)
        waiting.append(address)
        if len(waiting) >= DELAYED_FREES:
            self._free_waiting(pool, waiting)
        return True

    def _free_waiting(self, pool: PoolDescriptor, waiting: list[int]) -> None:
        """Free all blocks that wait, newest first, as the chain leads."""
        headers, tags = self._headers, self._pool.tag_table
        while waiting:
            address = waiting.pop()
            units = headers.units_of(pool, address)
            if self._parked.revive(pool, address, IN_USE | int(pool.paged), mark_of(0)):
                owner = headers.tag_of(pool, address)
                # The free below counts it a second time.
                tags.find(pool.sides, owner & TAG_MASK)[-units] -= 1
                self.below.free(address)


def _kind_of(pool: PoolDescriptor) -> int:
    """Which set of small lists serves a pool."""
    if pool.paged:
        return int(PoolType.PagedPool)
    return NX_BIT if pool.is_nx else 0

"""Freed blocks that wait: on the small-pool lists of a processor, or to be freed for good.

A layer over the blocks; what a parked block looks like is said in `small_lists`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lookaside_sim.nt.layouts import PAGE_MASK
from lookaside_sim.nt.types import PoolType
from lookaside_sim.pool.headers import Headers
from lookaside_sim.pool.plans import IN_USE, NX_BIT, PAGED_BIT, TAG_MASK, ZERO_BIT
from lookaside_sim.pool.requests import Layer, Order
from lookaside_sim.system.small_pool_lists import DELAYED_FREES, SMALL_LISTS, ParkedBlocks

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel
    from lookaside_sim.pool.descriptor import PoolDescriptor
    from lookaside_sim.pool.plans import PoolPlan


class ParkingLayer(Layer):
    """Serves requests from parked blocks, and parks what is freed.

    Args:
        kernel: the machine, with its small lists, its delayed frees, or both.
    """

    __slots__ = ("_headers", "_kernel", "_parked")

    order: ClassVar[Order] = Order.PARKING

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._parked = ParkedBlocks(kernel)
        self._headers = Headers(kernel.memory)

    def allocate(self, plan: PoolPlan) -> int:
        """Take a parked block of the size, else ask below."""
        pool, max_irql, units, sizes, unused, tag, side, request = plan
        kernel = self._kernel
        small_lists = kernel.small_pool_lists
        if small_lists is None or units > SMALL_LISTS or kernel.gate > max_irql:
            return self.below.allocate(plan)
        small = small_lists.of(kernel.processor, _kind(request[0]))[units - 1]
        entry = small.try_allocate()
        if not entry:
            return self.below.allocate(plan)
        parked = self._parked
        small.took(parked.link(entry))
        block_type = sizes >> kernel.arch.pool_header.type_shift
        if parked.revive(pool, entry, block_type, unused):
            parked.set_tag(pool, entry, tag)
        side[units] += 1
        if request[0] & ZERO_BIT:
            kernel.memory.write(entry, bytes(request[1]))
        return entry

    def free(self, address: int, tag: int = 0) -> None:
        """Park a sound live block, else let it be freed below, or what is wrong be found."""
        pool = self._kernel.pool.ordinary_at(address)
        if (
            pool is None
            or not self._headers.is_live(pool, address)
            or not self._park(pool, address, tag)
        ):
            self.below.free(address, tag)

    def _park(self, pool: PoolDescriptor, address: int, tag: int) -> bool:
        kernel, headers = self._kernel, self._headers
        units = headers.units_of(pool, address)
        behind = address - headers.size + headers.bytes_of(pool, address)
        sound = (
            headers.type_of(pool, address) & IN_USE
            and units
            and (address - pool.base) & ~PAGE_MASK == (behind - 1 - pool.base) & ~PAGE_MASK
            and kernel.gate <= (1 if pool.paged else 2)
        )
        if not sound:
            return False
        if behind & PAGE_MASK:
            following = pool.arena.ulongs[(behind - pool.base) >> 2]
            if following & kernel.arch.pool_header.size_mask != units:
                return False
        owner = headers.tag_of(pool, address)
        kernel.pool.stops.check_tag(address, owner, tag)
        tags, small_lists = kernel.pool.tag_table, kernel.small_pool_lists
        if small_lists is not None and units <= SMALL_LISTS:
            small = small_lists.of(kernel.processor, _kind_of(kernel, pool))[units - 1]
            if small.try_free():
                tags.find(pool.sides, owner & TAG_MASK)[-units] += 1
                self._parked.park(pool, address, small.first)
                small.put(address)
                return True
        if kernel.pending_frees is None:
            return False
        waiting = kernel.pending_frees[pool.name]
        tags.find(pool.sides, owner & TAG_MASK)[-units] += 1
        self._parked.park(pool, address, waiting[-1] if waiting else 0)
        waiting.append(address)
        if len(waiting) >= DELAYED_FREES:
            self._free_waiting(pool, waiting)
        return True

    def _free_waiting(self, pool: PoolDescriptor, waiting: list[int]) -> None:
        """Free all blocks that wait, newest first, as the chain leads."""
        headers, tags = self._headers, self._kernel.pool.tag_table
        while waiting:
            address = waiting.pop()
            units = headers.units_of(pool, address)
            if self._parked.revive(pool, address, IN_USE | int(pool.paged), 0):
                owner = headers.tag_of(pool, address)
                # The free below counts it a second time.
                tags.find(pool.sides, owner & TAG_MASK)[-units] -= 1
                self.below.free(address)


def _kind(pool_type: int) -> int:
    """Which of the three sets of small lists serves a pool type."""
    if pool_type & PAGED_BIT:
        return int(PoolType.PagedPool)
    return pool_type & NX_BIT


def _kind_of(kernel: Kernel, pool: PoolDescriptor) -> int:
    if pool.paged:
        return int(PoolType.PagedPool)
    return NX_BIT if pool is kernel.pool.nonpaged_nx else 0

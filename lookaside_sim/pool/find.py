"""Which live block holds an address, and whose rules it follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from lookaside_sim.memory.address_space import Memory
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.pool.big import BigBlock
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.plans import HEADER_TYPE_BITS, NX_BIT
from lookaside_sim.pool.values import PoolAllocation, PoolRange


class Outside(Protocol):
    """Blocks in an address range of their own, outside the three pools."""

    def find(self, address: int) -> PoolAllocation | None:
        """The live block that holds an address."""

    def descriptor_at(self, address: int) -> PoolRange | None:
        """The pool whose rules an address follows."""

    def charged(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags, by paged and tag."""


class Finder:
    """Looks blocks up in the pools of one machine, and in what lies outside them.

    Args:
        memory: the address space.
        pools: the pools, by the number of their region.
        big: the big page table, by address.
    """

    __slots__ = (
        "_big",
        "_layout",
        "_memory",
        "_outside",
        "_pools_by_region",
        "_region_shift",
    )

    def __init__(
        self,
        memory: Memory,
        pools: Mapping[int, PoolDescriptor],
        big: Mapping[int, BigBlock],
    ) -> None:
        self._memory = memory
        self._layout = memory.arch.pool_header
        self._region_shift = memory.arch.pool_region_shift
        self._pools_by_region = pools
        self._big = big
        self._outside: dict[int, Outside] = {}

    def add_outside(self, base: int, outside: Outside) -> None:
        """Blocks lie in another region too, from now on."""
        self._outside[base >> self._region_shift] = outside

    def find(self, address: int) -> PoolAllocation | None:
        """The live block whose body holds an address, or None; looks only."""
        outside = self._outside.get(address >> self._region_shift)
        if outside is not None:
            return outside.find(address)
        memory = self._memory
        first = memory.big_pages.get(address >> PAGE_SHIFT)
        if first is not None:
            big = self._big[first << PAGE_SHIFT]
            used = big.pages << PAGE_SHIFT
            if big.tail_units:
                used += (big.tail_units << self._layout.unit_shift) - (1 << PAGE_SHIFT)
            if address < big.address + used:
                return PoolAllocation(
                    address=big.address,
                    size=big.size,
                    tag=PoolTag(big.tag),
                    pool_type=self._reported_type(big.address, big.pool_type),
                    block_size=big.pages << PAGE_SHIFT,
                )
        header = memory.block_start(address)
        if header is None:
            return None
        arena = self._pools_by_region[header >> self._region_shift].arena
        at = header - arena.base
        memory.slots.render(arena, header, header + self._layout.size)
        ulong1 = arena.ulongs[at >> 2]
        block_size = (ulong1 >> 16 & self._layout.size_mask) << self._layout.unit_shift
        if not header + self._layout.size <= address < header + block_size:
            return None
        unused = memory.unused_at(arena, header + self._layout.size)
        return PoolAllocation(
            address=header + self._layout.size,
            size=max(block_size - self._layout.size - unused, 0),
            tag=PoolTag(arena.ulongs[(at >> 2) + 1]),
            pool_type=self._reported_type(header, ulong1 >> self._layout.type_shift),
            block_size=block_size,
        )

    def charged_elsewhere(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags for blocks outside the pools, by paged and tag."""
        charged: Counter[tuple[bool, int]] = Counter()
        for outside in self._outside.values():
            charged.update(outside.charged())
        return charged

    def descriptor_at(self, address: int) -> PoolRange | None:
        """The pool whose rules an address follows."""
        region = address >> self._region_shift
        outside = self._outside.get(region)
        if outside is not None:
            return outside.descriptor_at(address)
        return self._pools_by_region.get(region)

    def ordinary_at(self, address: int) -> PoolDescriptor | None:
        """The pool an address lies in; none for what lies outside."""
        return self._pools_by_region.get(address >> self._region_shift)

    def _reported_type(self, address: int, bits: int) -> PoolType:
        kept = bits & HEADER_TYPE_BITS
        pool = self.ordinary_at(address)
        if pool is not None and pool.is_nx:
            kept |= NX_BIT  # the header's byte has no room for this bit
        return PoolType(kept)

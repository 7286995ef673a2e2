"""The end of a big allocation's last page, as bytes have it: a ``Frag`` unit and blocks behind it.

`model` tells the same on slots.

Source:
    docs/sources.md, pool section 3 (big allocations).
"""

from __future__ import annotations

from typing import Final, Protocol

from lookaside_sim.memory.address_space import Memory
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.pool.blocks import FREE_TAG, PAGE_ULONGS_MASK, PAGE_ULONGS_SHIFT, Blocks
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.plans import IN_USE

FRAGMENT_TAG: Final = PoolTag(b"Frag")


class Tails(Protocol):
    """What serves the end of a big allocation's last page: `ByteTails`, or the model."""

    def open_tail(self, pool: PoolDescriptor, page: int, units: int) -> None:
        """Make what lies behind so many units of a page a ``Frag`` unit and a free block."""

    def reach_tail(self, pool: PoolDescriptor, page: int, units: int) -> int:
        """Count what becomes free together with the units in front of a ``Frag`` unit."""

    def close_tail(self, pool: PoolDescriptor, page: int, units: int) -> None:
        """Make the first units of a page a free block, with a block behind it."""


class ByteTails:
    """The ends of last pages in one kernel's pools.

    Args:
        memory: its address space.
        blocks: its blocks.
    """

    __slots__ = (
        "_blocks",
        "_header_size",
        "_size_mask",
        "_type_shift",
        "_ulong_shift",
        "_unit_shift",
        "_units_per_page",
    )

    def __init__(self, memory: Memory, blocks: Blocks) -> None:
        layout = memory.arch.pool_header
        self._blocks = blocks
        self._header_size = layout.size
        self._size_mask = layout.size_mask
        self._type_shift = layout.type_shift
        self._ulong_shift = layout.unit_shift - 2
        self._unit_shift = layout.unit_shift
        self._units_per_page = layout.units_per_page

    def open_tail(self, pool: PoolDescriptor, page: int, units: int) -> None:
        """Make what lies behind so many units of a page a ``Frag`` unit and a free block."""
        rest = self._units_per_page - units - 1
        at = (page << PAGE_SHIFT) + (units << self._unit_shift) + self._header_size
        self.write_fragment(pool, at)
        at += 1 << self._unit_shift
        self._write_header(pool, at, previous=1, units=rest, tag=FREE_TAG)
        pool.insert_tail(pool.base + at, rest)

    def write_fragment(self, pool: PoolDescriptor, at: int) -> None:
        """Write the header of a ``Frag`` unit whose body is so many bytes into the arena."""
        in_use = IN_USE | int(pool.paged)
        self._write_header(pool, at, units=1, tag=FRAGMENT_TAG, block_type=in_use)

    def reach_tail(self, pool: PoolDescriptor, page: int, units: int) -> int:
        """Count what becomes free together with the units in front of a ``Frag`` unit.

        A free block behind it is taken off its list.

        Returns:
            All units that become free.
        """
        units += 1
        header_at = page << PAGE_ULONGS_SHIFT
        behind = pool.arena.ulongs[header_at + (units << self._ulong_shift)]
        if not behind >> self._type_shift:
            behind >>= 16
            if behind > 1:
                start = pool.base + (page << PAGE_SHIFT) + self._header_size
                pool.unlink(start + (units << self._unit_shift))
            units += behind
        return units

    def close_tail(self, pool: PoolDescriptor, page: int, units: int) -> None:
        """Make the first units of a page a free block, with a block behind it."""
        header_at = page << PAGE_ULONGS_SHIFT
        behind_at = header_at + (units << self._ulong_shift)
        if header_at ^ behind_at > PAGE_ULONGS_MASK:
            self._blocks.check_mapped_behind(pool, behind_at)
            units &= self._size_mask
        at = (page << PAGE_SHIFT) + self._header_size
        self._write_header(pool, at, units=units, tag=FREE_TAG)
        ulongs = pool.arena.ulongs
        ulongs[behind_at] = ulongs[behind_at] & ~self._size_mask | units
        if units > 1:
            pool.insert_head(pool.base + at, units)

    def _write_header(
        self,
        pool: PoolDescriptor,
        at: int,
        *,
        previous: int = 0,
        units: int,
        tag: int,
        block_type: int = 0,
    ) -> None:
        """Write the header of the block whose body is so many bytes into the arena."""
        header_at = (at - self._header_size) >> 2
        ulongs = pool.arena.ulongs
        ulongs[header_at] = previous | units << 16 | block_type << self._type_shift
        ulongs[header_at + 1] = tag

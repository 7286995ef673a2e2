"""The headers of blocks, for whoever is not in a hurry.

The hot paths in `blocks` read the same words by position; everybody else asks here. Whoever
writes them leaves the model first (`PoolManager.leave_model`).
"""

from __future__ import annotations

from lookaside_sim.memory.address_space import Memory
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.pool.descriptor import PoolDescriptor


class Headers:
    """Reads and writes the header in front of a body.

    Args:
        memory: the address space.

    Attributes:
        size: bytes of a header.
    """

    __slots__ = ("_layout", "_memory", "size")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._layout = memory.arch.pool_header
        self.size = self._layout.size

    def at(self, pool: PoolDescriptor, address: int) -> int:
        """Index of Ulong1 among the arena's ulongs; the tag is behind it."""
        header = address - self.size
        self._memory.slots.render(pool.arena, header, address)
        return (address - pool.base - self.size) >> 2

    def is_live(self, pool: PoolDescriptor, address: int) -> bool:
        """Whether a block with a header, allocated and not freed, starts at an address."""
        at, arena = address - pool.base, pool.arena
        if at & (self._layout.unit - 1) or not 0 < at >> PAGE_SHIFT < len(arena.states):
            return False
        return self._memory.has_header_at(arena, address)

    def units_of(self, pool: PoolDescriptor, address: int) -> int:
        """BlockSize."""
        return pool.arena.ulongs[self.at(pool, address)] >> 16 & self._layout.size_mask

    def bytes_of(self, pool: PoolDescriptor, address: int) -> int:
        """BlockSize in bytes."""
        return self.units_of(pool, address) << self._layout.unit_shift

    def type_of(self, pool: PoolDescriptor, address: int) -> int:
        """The PoolType byte."""
        return pool.arena.ulongs[self.at(pool, address)] >> self._layout.type_shift

    def tag_of(self, pool: PoolDescriptor, address: int) -> int:
        """PoolTag."""
        return pool.arena.ulongs[self.at(pool, address) + 1]

    def set_bit(self, pool: PoolDescriptor, address: int, bit: int) -> None:
        """Set a bit of the PoolType byte."""
        pool.arena.ulongs[self.at(pool, address)] |= bit << self._layout.type_shift

"""The small-pool lookaside lists of each processor, and the delayed free list of each pool.

Both *park* a freed block: its header keeps its size, loses the in-use bit and gets bit 4, its
neighbors do not merge with it, and its tag is no longer charged. A parked block's first
pointer is the link to the next one, so a write after the free redirects the list here too.

Small lists: one list a block size of up to 32 units, a pool and a processor. They count hits.
Delayed frees: one list a pool; when 32 blocks wait, all of them are freed for good.

Choice: both are off unless the kernel is made with ``small_pool_lists=True`` and
``delayed_free=True``; then they start at once, without NT's two minutes after boot, and with
Depth 4, where sources give 2 or 4. The verifier's depth of 0 does not extend to them: its own
blocks never reach them while special pool is on.

Source:
    docs/sources.md, pool sections 3 (free order, steps 4 and 5) and 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lookaside_sim.errors import InvariantError
from lookaside_sim.lookaside.built_in import BuiltInList
from lookaside_sim.lookaside.check import chain
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.arena import NO_BLOCK
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.plans import IN_USE

SMALL_LISTS: Final = 32
"""Sizes, 1 to 32 units; nothing uses the list of one unit."""
SMALL_LIST_TAG: Final = PoolTag(b"Pool")
DELAYED_FREES: Final = 32
"""Blocks that wait on a delayed free list before all are freed."""
PARKED: Final = 0x4
"""Bit of the type byte in the header of a parked block."""
_BLOCK_SPACING: Final = 0x10000
"""Bytes between the control blocks of two processors. Choice."""


class ParkedBlocks:
    """Reads and writes the headers and links of parked blocks.

    Args:
        machine: the machine.
    """

    __slots__ = ("_layout", "_machine", "_pointer_shift")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._layout = machine.arch.pool_header
        self._pointer_shift = 3 if machine.arch.pointer_size == 8 else 2

    def link(self, entry: int) -> int:
        """The pointer in an entry; faults where a forged link led to no memory."""
        return self._machine.memory.read_pointer(entry)

    def park(self, pool: PoolDescriptor, entry: int, link: int) -> None:
        """Turn a live block into a parked one.

        Args:
            pool: its pool.
            entry: its body.
            link: the pointer to store in it.
        """
        arena, layout = pool.arena, self._layout
        at = entry - pool.base
        header_at = (at - layout.size) >> 2
        ulong1 = arena.ulongs[header_at]
        block_type = PARKED | int(pool.paged)
        sizes = ulong1 & ((1 << layout.type_shift) - 1)
        arena.ulongs[header_at] = sizes | block_type << layout.type_shift
        arena.marks[at >> layout.unit_shift] = NO_BLOCK
        slot = self._machine.memory.slots.by_address.get(entry)
        if slot is not None:
            self._machine.memory.slots.drop(arena, slot)
        arena.words[at >> self._pointer_shift] = link

    def revive(self, pool: PoolDescriptor, entry: int, block_type: int, mark: int) -> bool:
        """Turn a parked block into a live one.

        Args:
            pool: the pool the list belongs to.
            entry: its body, as the list gives it.
            block_type: PoolType for its header.
            mark: of it, which says how many bytes at its end are not asked for.

        Returns:
            Whether it is a block of that pool. A forged entry elsewhere is handed out all
            the same, as NT does, and is none of the pool's.
        """
        layout = self._layout
        at = entry - pool.base
        pages = len(pool.arena.states)
        if at & (layout.unit - 1) or not 0 < at >> PAGE_SHIFT < pages:
            return False
        header_at = (at - layout.size) >> 2
        ulong1 = pool.arena.ulongs[header_at]
        if ulong1 >> layout.type_shift & (PARKED | IN_USE) != PARKED:
            return False
        sizes = ulong1 & ((1 << layout.type_shift) - 1)
        pool.arena.ulongs[header_at] = sizes | block_type << layout.type_shift
        pool.arena.marks[at >> layout.unit_shift] = mark
        return True

    def set_tag(self, pool: PoolDescriptor, entry: int, tag: int) -> None:
        """Write the tag into the header of a block."""
        pool.arena.ulongs[((entry - pool.base - self._layout.size) >> 2) + 1] = tag


class SmallPoolLists:
    """The lists of every processor: 32 for each pool, which are three from Windows 8 on.

    Args:
        machine: the machine.

    Attributes:
        kinds: the types of the pools, in the order of the lists.
    """

    __slots__ = ("_machine", "_sets", "kinds")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        arch = machine.arch
        self.kinds = (
            PoolType.NonPagedPool,
            PoolType.PagedPool,
            *([PoolType.NonPagedPoolNx] if arch.has_nx_pool else []),
        )
        unit = arch.pool_header.unit
        self._sets: list[dict[int, list[BuiltInList]]] = []
        for processor in range(machine.processors.count):
            address = arch.processor_blocks_start + processor * _BLOCK_SPACING + 0x900
            lists: dict[int, list[BuiltInList]] = {}
            for pool_type in self.kinds:
                of_kind = lists[int(pool_type)] = []
                for index in range(SMALL_LISTS):
                    size = (index + 1) * unit
                    small = BuiltInList(
                        arch, address, pool_type, SMALL_LIST_TAG, size, counts_hits=True
                    )
                    machine.memory.attach(small)
                    of_kind.append(small)
                    address += arch.lookaside_size
            self._sets.append(lists)

    def of(self, processor: int, pool_type: PoolType | int) -> list[BuiltInList]:
        """The 32 lists of a processor and a pool, by size."""
        return self._sets[processor][int(pool_type)]

    def of_processor(self, processor: int) -> Iterator[BuiltInList]:
        """All lists of a processor, used or not, by pool and size."""
        for of_kind in self._sets[processor].values():
            yield from of_kind

    def all(self) -> Iterator[BuiltInList]:
        """Every list that was ever used, by processor, pool and size."""
        for lists in self._sets:
            for of_kind in lists.values():
                yield from (each for each in of_kind if each.is_used)

    def scan(self, processor: int | None, period: int) -> bool:
        """Adjust the depth of every list of one processor; none of these is shared."""
        changed = False
        if processor is None:
            return changed
        for lists in self._sets[processor].values():
            for small in lists:
                changed |= small.adjust_depth(period)
        return changed

    def check(self) -> None:
        """Verify that each list holds as many entries as it says.

        Raises:
            InvariantError: the first that does not.
        """
        memory = self._machine.memory
        for processor, lists in enumerate(self._sets):
            for small in (each for of_kind in lists.values() for each in of_kind):
                whose = f"the {small.size}-byte list of processor {processor}"
                held = sum(1 for _ in chain(memory, small.first, whose))
                if held != small.current_depth:
                    raise InvariantError(
                        f"{whose} says it holds {small.current_depth} blocks and holds {held}"
                    )

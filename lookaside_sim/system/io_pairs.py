"""The pairs P and L: lists of each processor over lists that all processors share.

An allocation tries the list P of the processor it runs on, then L, then the pool; what is freed
goes to P, else L, else the pool. Each list counts its own calls and misses.

Source:
    docs/sources.md, lists section 7: KPRCB PPLookasideList, whose nine pairs the symbols name in
    this order. Tags: [observed] a Windows 10 transcript (Irps, Irpl), pooltag.txt for the
    others. Choice: Size is 0 where no source says it; nothing here takes from these.
"""

from __future__ import annotations

from typing import Final

import attrs

from lookaside_sim.errors import InvariantError
from lookaside_sim.lookaside.built_in import BuiltInList
from lookaside_sim.lookaside.check import chain
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.nt.windows import Windows
from lookaside_sim.pool.kind import Pool

PAIR_NAMES: Final = (
    "small IRP",
    "medium IRP",
    "large IRP",
    "MDL",
    "create info",
    "name buffer",
    "twilight",
    "completion",
    "scratch buffer",
)
"""What the pairs are for, in KPRCB order from Windows 7 on."""
_TAGS: Final = (
    b"Irps",
    b"Irpm",
    b"Irpl",
    b"Mdl ",
    b"ObCI",
    b"ObNM",
    b"CcWk",
    b"Icp ",
    b"None",
)
_LATEST: Final = "medium IRP"
_BLOCK_SPACING: Final = 0x10000  # bytes between two processors' control blocks
_L_OFFSET: Final = 0x8000  # where the L lists lie, behind the P lists of the first processor


@attrs.frozen
class ListPair:
    """One use: a P list for each processor, and the L list.

    Attributes:
        name: what it is for.
        per_processor: the P lists.
        shared: the L list.
    """

    name: str
    per_processor: tuple[BuiltInList, ...]
    shared: BuiltInList

    @property
    def lists(self) -> tuple[BuiltInList, ...]:
        """The P lists, then the L list."""
        return *self.per_processor, self.shared


class IoPairs:
    """All nine pairs of one machine.

    Args:
        machine: the machine.
        pool: where entries come from.
        sizes: bytes of an entry, by the pair's name; 0 for pairs that are not named.
        windows: whose pairs; Vista has none for medium IRPs, which are large ones there.

    Attributes:
        all: the pairs, in KPRCB order.
        pool_type: the pool that IRPs and MDLs come from.
    """

    __slots__ = ("_machine", "_pool", "all", "pool_type")

    def __init__(
        self, machine: Machine, pool: Pool, sizes: dict[str, int], windows: Windows
    ) -> None:
        self.pool_type = PoolType.NonPagedPoolNx if windows.has_nx_pool else PoolType(0)
        self._machine = machine
        self._pool = pool
        self.all = tuple(
            self._pair(index, name, PoolTag(tag), sizes.get(name, 0))
            for index, (name, tag) in enumerate(
                each
                for each in zip(PAIR_NAMES, _TAGS, strict=True)
                if windows.pairs == len(PAIR_NAMES) or each[0] != _LATEST
            )
        )

    def _pair(self, index: int, name: str, tag: PoolTag, size: int) -> ListPair:
        arch, memory = self._machine.arch, self._machine.memory
        start = arch.processor_blocks_start + index * arch.lookaside_size
        shared, *local = [
            BuiltInList(arch, address, self.pool_type, tag, size, counts_hits=False)
            for address in (
                start + _L_OFFSET,
                *(
                    start + processor * _BLOCK_SPACING
                    for processor in range(self._machine.processors.count)
                ),
            )
        ]
        pair = ListPair(name, tuple(local), shared)
        for each in pair.lists:
            memory.attach(each)
        return pair

    def named(self, name: str) -> ListPair:
        """The pair of a name in `PAIR_NAMES`."""
        for pair in self.all:
            if pair.name == name:
                return pair
        raise KeyError(name)

    @property
    def has_medium_irps(self) -> bool:
        """Whether medium IRPs have lists."""
        return len(self.all) == len(PAIR_NAMES)

    # --- the two routines ----------------------------------------------------------------

    def allocate(self, pair: ListPair) -> int:
        """Take an entry from P, else L; 0 when both are empty."""
        for each in (pair.per_processor[self._machine.processors.current], pair.shared):
            entry = each.try_allocate()
            if entry:
                each.took(self._machine.memory.read_pointer(entry))
                return entry
        return 0

    def allocate_or_ask_pool(self, pair: ListPair) -> int:
        """Take an entry from P, else L, else the pool; 0 for NULL."""
        shared = pair.shared
        return self.allocate(pair) or self._pool.allocate_block(
            int(shared.type), shared.size, shared.tag
        )

    def free(self, pair: ListPair, entry: int) -> None:
        """Give an entry to P, else L, else the pool."""
        for each in (pair.per_processor[self._machine.processors.current], pair.shared):
            if each.try_free():
                self._machine.memory.write_pointer(entry, each.first)
                each.put(entry)
                return
        self._pool.free_block(entry)

    def drain(self, pair: ListPair) -> None:
        """Give all that waits on a pair's lists back to the pool; nothing is counted."""
        read_pointer = self._machine.memory.read_pointer
        for each in pair.lists:
            while each.first:
                entry = each.first
                each.took(read_pointer(entry))
                self._pool.free_block(entry)

    def scan(self, processor: int | None, period: int) -> None:
        """Adjust the depth of the P lists of a processor, or of the L lists for None."""
        for pair in self.all:
            each = pair.shared if processor is None else pair.per_processor[processor]
            each.adjust_depth(period)

    # --- looking -------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Entries that wait on all of them."""
        return sum(each.current_depth for pair in self.all for each in pair.lists)

    def check(self) -> None:
        """Verify that each list holds as many entries as it says.

        Raises:
            InvariantError: the first that does not.
        """
        for pair in self.all:
            for each in pair.lists:
                whose = f"a {pair.name} list"
                held = sum(1 for _ in chain(self._machine.memory, each.first, whose))
                if held != each.current_depth:
                    raise InvariantError(
                        f"{whose} says it holds {each.current_depth} entries, holds {held}"
                    )

"""The walk over every page of a pool manager, verifying every invariant. For tests.

The equations:

* in each page of blocks the sizes of the headers add up to the page, each PreviousSize is the
  size of the block before, and no two free blocks lie side by side;
* the free blocks of two units or more are exactly the entries of the free lists, each on the
  list of its size, linked both ways;
* a unit is marked as a live block's exactly where a header in use says so;
* pages in use are exactly the mapped ones, within the limit;
* each tag's bytes are the sum over its blocks in use.

A corrupted header breaks some of them, so a test that corrupts one expects the error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NoReturn, Protocol

import attrs

from lookaside_sim.errors import InvariantError
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import BLOCKS, EXPOSED
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE
from lookaside_sim.nt.types import PROTECTED_POOL, PoolTag
from lookaside_sim.pool.accounting import PoolTagUsage
from lookaside_sim.pool.big import BigBlock
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.values import PoolAllocation, PoolRange


class Checked(Protocol):
    """What is walked; `PoolManager` is one."""

    @property
    def descriptors(self) -> tuple[PoolDescriptor, ...]:
        """The pools."""

    @property
    def big_blocks(self) -> Mapping[int, BigBlock]:
        """The big page table."""

    def find(self, address: int) -> PoolAllocation | None:
        """The live block that holds an address."""

    def descriptor_at(self, address: int) -> PoolRange | None:
        """The pool whose rules an address follows."""

    def rows(self) -> Mapping[PoolTag, PoolTagUsage]:
        """The tag table."""

    def row_of(self, tag: int, *, paged: bool) -> int:
        """The tag of the row that blocks of a tag are charged to."""

    def charged_elsewhere(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags for blocks outside the pools."""


@attrs.frozen
class PoolBlock:
    """One header found by walking a page.

    Attributes:
        header: its address.
        units: BlockSize.
        previous_units: PreviousSize.
        block_type: the PoolType byte; 0 for a free block.
        tag: PoolTag, as it lies there.
    """

    header: int
    units: int
    previous_units: int
    block_type: int
    tag: PoolTag

    @property
    def is_free(self) -> bool:
        """Whether the block is free."""
        return self.block_type == 0

    @property
    def is_parked(self) -> bool:
        """Whether the block was freed and waits on a lookaside or delayed free list."""
        return bool(self.block_type & 4) and not self.block_type & 2


def blocks_of_page(memory: Memory, pool: PoolDescriptor, page: int) -> Iterator[PoolBlock]:
    """Walk the headers of one page of blocks.

    Args:
        memory: the address space.
        pool: the pool.
        page: number of the page in the pool's arena.

    Yields:
        Each header, front to back.

    Raises:
        InvariantError: the sizes do not lead to the end of the page.
    """
    layout = memory.arch.pool_header
    base = pool.base + (page << PAGE_SHIFT)
    offset = 0
    first = memory.big_pages.get(base >> PAGE_SHIFT)
    if first is not None:
        # The end of a big allocation's last page: what is in front of it has no header.
        start = first << PAGE_SHIFT
        size = memory.big_blocks.get(start)
        if size is None:
            return  # the machine stopped before the allocation was done
        used = start + size - base
        offset = -(-used // layout.unit) * layout.unit
    memory.render_page(pool.arena, page)
    while offset < PAGE_SIZE:
        at = (page << PAGE_SHIFT) + offset
        ulong1 = pool.arena.ulongs[at >> 2]
        block = PoolBlock(
            header=base + offset,
            units=ulong1 >> 16 & layout.size_mask,
            previous_units=ulong1 & layout.size_mask,
            block_type=ulong1 >> layout.type_shift,
            tag=PoolTag(pool.arena.ulongs[(at >> 2) + 1]),
        )
        offset += block.units * layout.unit
        if not block.units or offset > PAGE_SIZE:
            raise InvariantError(
                f"the header at {block.header:#x} has BlockSize {block.units}, which does not"
                f" fit its page"
            )
        yield block


def check_pools(manager: Checked, memory: Memory) -> None:
    """Verify every invariant of the pools.

    Args:
        manager: the pool manager.
        memory: its address space.

    Raises:
        InvariantError: the first one that does not hold.
    """
    memory.slots.render_all()
    charged = manager.charged_elsewhere()
    for pool in manager.descriptors:
        _check_pool(manager, memory, pool, charged)
    for big in manager.big_blocks.values():
        place = _require(manager.descriptor_at(big.address), big.address)
        charged[place.paged, big.tag & ~PROTECTED_POOL] += big.size
    charged = _by_row(manager, charged)
    for tag, usage in manager.rows().items():
        for paged, size in ((False, usage.nonpaged_bytes), (True, usage.paged_bytes)):
            found = charged.pop((paged, int(tag)), 0)
            if found != size:
                _fail(f"tag {tag!s} is charged {size} bytes and holds {found}")
    if charged:
        _fail(f"blocks of tags without a row: {dict(charged)}")
    for entry, slot in memory.slots.by_address.items():
        if not slot.units and slot.used:
            block = manager.find(entry)
            if block is None or block.address != entry:
                _fail(f"the word at {entry:#x} is cached, and no live block starts there")


def _check_pool(
    manager: Checked,
    memory: Memory,
    pool: PoolDescriptor,
    charged: Counter[tuple[bool, int]],
) -> None:
    layout = memory.arch.pool_header
    arena = pool.arena
    free: dict[int, int] = {}
    mapped = 0
    for page, state in enumerate(arena.states):
        number = (pool.base >> PAGE_SHIFT) + page
        mapped += state in (BLOCKS, EXPOSED) or number in memory.big_pages
        live = set()
        if state in (BLOCKS, EXPOSED):
            before: PoolBlock | None = None
            for block in blocks_of_page(memory, pool, page):
                expected = before.units if before else 0
                if block.previous_units != expected:
                    _fail(
                        f"the header at {block.header:#x} has PreviousSize"
                        f" {block.previous_units}, and {expected} units lie before it"
                    )
                if block.is_free:
                    if before is not None and before.is_free:
                        _fail(f"the free block at {block.header:#x} follows a free block")
                    if block.units > 1:
                        free[block.header + layout.size] = block.units
                elif block.is_parked:
                    pass  # a lookaside or delayed free list has it; its tag is not charged
                elif block.units > 1:  # one unit is the Frag in front of a handed back tail
                    live.add((block.header - pool.base) // layout.unit + 1)
                    tag = int(block.tag) & ~PROTECTED_POOL
                    charged[pool.paged, tag] += block.units * layout.unit
                before = block
        marked = memory.block_starts(arena, page)
        if marked != live:
            _fail(f"page {page} of {pool.name}: live blocks at {live}, marked {marked}")
    if mapped != pool.runs.in_use or mapped > pool.runs.limit:
        _fail(
            f"{pool.name} has {mapped} pages, {pool.runs.in_use} counted, and may have"
            f" {pool.runs.limit}"
        )
    words, pointer_size = arena.words, memory.arch.pointer_size
    for index in range(len(pool.head_addresses)):
        entries = list(pool.entries(index))
        hint = pool.may_hold(index)
        # The model takes a hint back only when it looks for an entry.
        if bool(entries) > bool(hint) or (hint and not entries and not memory.slots.decide):
            _fail(f"list {index} of {pool.name}: {len(entries)} entries, wrong hint")
        before_entry = pool.head_addresses[index]
        for entry in [*entries, pool.head_addresses[index]]:
            at = entry + pointer_size - pool.base
            if at % pointer_size or not 0 <= at < len(arena.data):
                blink = memory.peek_pointer(entry + pointer_size)
            else:  # nearly always; what `peek_pointer` would say, since all is rendered
                blink = words[at // pointer_size]
            if blink != before_entry:
                back = "nowhere" if blink is None else f"at {blink:#x}"
                _fail(f"the entry {entry:#x} points back {back}, not at {before_entry:#x}")
            before_entry = entry
        for entry in entries:
            if free.pop(entry, 0) != index + 1:
                _fail(f"{entry:#x} is on list {index} of {pool.name}, and no such free block")
    if free:
        _fail(f"free blocks of {pool.name} on no list: {[hex(entry) for entry in free]}")


def _by_row(manager: Checked, charged: Counter[tuple[bool, int]]) -> Counter[tuple[bool, int]]:
    """Add the tags up that share the overflow row."""
    rows: Counter[tuple[bool, int]] = Counter()
    for (paged, tag), size in charged.items():
        rows[paged, manager.row_of(tag, paged=paged)] += size
    return rows


def _require(pool: PoolRange | None, address: int) -> PoolRange:
    if pool is None:
        _fail(f"{address:#x} is in the big page table and in no pool")
    return pool


def _fail(problem: str) -> NoReturn:
    raise InvariantError(problem)

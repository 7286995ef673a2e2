"""The pool manager: ExAllocatePoolWithTag and ExFreePoolWithTag over three pools.

The classic pool of Vista to Windows 10 1809. All state that NT keeps in memory is kept in
simulated memory: the headers and free-list links of every block are words of its page, and
the decisions below read those words. Overwriting them has the consequences it has on NT.

Flow of an allocation: route (type to pool) → checks → free list, else fresh page → split →
header → accounting. A free: header → checks → accounting → merge → free list, or page back.

Source:
    docs/sources.md, pool sections 1 to 3 and 5.1; each choice the spec leaves open is marked
    "Choice" where it is made.
"""

from __future__ import annotations

from collections import Counter
from operator import index as as_index
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

import attrs

from lookaside_sim.errors import NtStatusError
from lookaside_sim.memory import Arena, Memory
from lookaside_sim.memory.arena import BLOCKS, CACHED, EXPOSED, NO_BLOCK
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT
from lookaside_sim.nt.types import (
    PROTECTED_POOL,
    ULONG_MASK,
    NtStatus,
    PoolTag,
    PoolType,
    TagLike,
)
from lookaside_sim.pool.accounting import ALLOCS, FREES, PoolTagUsage, Side, TagTable
from lookaside_sim.pool.descriptor import PoolDescriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookaside_sim.kernel import Kernel

PAGED_BIT: Final = 0x1
MUST_SUCCEED_BIT: Final = 0x2
RAISE_BIT: Final = 0x10
NX_BIT: Final = 0x200
ZERO_BIT: Final = 0x400

POOL_TYPE_BITS: Final = 0x7FF
"""Type and modifier bits that a pool routine takes."""
HEADER_TYPE_BITS: Final = 0x65
"""Bits of the type that a block's header keeps: paged, cache aligned, session, 0x40."""
IN_USE: Final = 0x2
"""Bit of the type byte in the header of an allocated block."""

_FREE_TAG: Final = PoolTag(b"Free")
_FRAGMENT_TAG: Final = PoolTag(b"Frag")
_BIG_TAG: Final = PoolTag(b"BIG ")
_REFUSED_TAGS: Final = frozenset({0, int(_BIG_TAG)})

# BAD_POOL_CALLER, parameter 1.
_ALREADY_FREED: Final = 0x07
_ALLOCATE_IRQL: Final = 0x08
_FREE_IRQL: Final = 0x09
_WRONG_TAG: Final = 0x0A
_INVALID_ADDRESS: Final = 0x46
_MUST_SUCCEED: Final = 0x9A
_NO_TAG: Final = 0x9B
_TAG_BIG: Final = 0x9C
# BAD_POOL_HEADER, parameter 1.
_PREVIOUS_SIZE_TOO_LARGE: Final = 0x06
_FREED_HEADER_CHANGED: Final = 0x0E
_SIZES_DISAGREE: Final = 0x20
_NOT_TRACKED: Final = 0x22

_SMALLEST_BLOCK_UNITS: Final = 2
_TAG_MASK: Final = ~PROTECTED_POOL & ULONG_MASK
"""Tags are accounted without PROTECTED_POOL."""
_NEVER: Final = -1
"""A highest IRQL that no machine runs at: every such request takes the refusing path."""

_PAGE_ULONGS_SHIFT: Final = PAGE_SHIFT - 2
_PAGE_ULONGS_MASK: Final = (1 << _PAGE_ULONGS_SHIFT) - 1

_TAG_TYPES: Final = frozenset({PoolTag, int, bytes, str})
_MOST_PLANS: Final = 4096
"""Plans that are kept; a program with more kinds of requests starts over."""

PoolPlan: TypeAlias = tuple[PoolDescriptor, int, int, int, int, int, Side, tuple[int, int]]
"""What every request of one type, size and tag needs: the pool; the highest IRQL at which it
can take the hot path; units of its block; BlockSize and PoolType in place for the header;
bytes at the block's end not asked for; the tag and the side of its row; type and size."""


def _shown(tag: int) -> str:
    protected = " (Protected)" if tag & PROTECTED_POOL else ""
    return f"{PoolTag(tag)!s}{protected}"


@attrs.frozen
class PoolAllocation:
    """A live block.

    Attributes:
        address: of its body, as the allocating routine returned it.
        size: bytes asked for.
        tag: its tag, PROTECTED_POOL included.
        pool_type: the pool it is in, with the type bits its header keeps.
        block_size: bytes it occupies: header and rounding included, or whole pages.
    """

    address: int
    size: int
    tag: PoolTag
    pool_type: PoolType
    block_size: int


@attrs.frozen
class PoolStatistics:
    """What one pool uses.

    Attributes:
        pages: pages it has taken from the system.
        peak_pages: the most it ever had.
        limit_pages: the most it may have.
    """

    pages: int
    peak_pages: int
    limit_pages: int


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


class PoolManager:
    """The pools of one kernel.

    Obtained as `Kernel.pool`, not made by hand.

    Args:
        kernel: the owner.
        memory: the kernel's address space.
        nonpaged_bytes: limit of NonPagedPool, in bytes (whole pages count).
        nonpaged_nx_bytes: limit of NonPagedPoolNx.
        paged_bytes: limit of PagedPool.
        strict_tags: whether a free with a wrong tag always stops the machine. By default
            only a block with PROTECTED_POOL in its tag is checked.
    """

    __slots__ = (
        "_big",
        "_header_size",
        "_in_use_bit",
        "_kernel",
        "_largest",
        "_links",
        "_lowest_type",
        "_memory",
        "_plans",
        "_pools_by_region",
        "_region_shift",
        "_requests",
        "_rounding",
        "_size_mask",
        "_tags",
        "_type_shift",
        "_ulong_shift",
        "_unit_mask",
        "_unit_shift",
        "_units_per_page",
        "nonpaged",
        "nonpaged_nx",
        "paged",
        "strict_tags",
    )

    def __init__(
        self,
        kernel: Kernel,
        memory: Memory,
        *,
        nonpaged_bytes: int,
        nonpaged_nx_bytes: int,
        paged_bytes: int,
        strict_tags: bool = False,
    ) -> None:
        arch = memory.arch
        layout = arch.pool_header
        self._kernel = kernel
        self._memory = memory
        self._links = memory.links
        self._header_size = layout.size
        self._unit_shift = layout.unit_shift
        self._unit_mask = layout.unit - 1
        self._ulong_shift = layout.unit_shift - 2
        self._size_mask = layout.size_mask
        self._type_shift = layout.type_shift
        self._in_use_bit = IN_USE << layout.type_shift
        self._lowest_type = 1 << layout.type_shift
        self._units_per_page = layout.units_per_page
        self._largest = layout.largest_request
        self._rounding = layout.size + layout.unit - 1
        self._region_shift = arch.pool_region_shift
        self._tags = TagTable(layout.units_per_page, layout.unit)
        self._big: dict[int, BigBlock] = {}
        self._plans: dict[tuple[int, int, int], PoolPlan] = {}
        self._requests: dict[tuple[int, int, TagLike], PoolPlan] = {}
        self.strict_tags = strict_tags

        self.nonpaged, self.nonpaged_nx, self.paged = (
            PoolDescriptor(
                name,
                memory=memory,
                base=base,
                limit=limit >> PAGE_SHIFT,
                sides=self._tags.paged if paged else self._tags.nonpaged,
                paged=paged,
                stop=kernel.stop,
            )
            for name, base, limit, paged in (
                ("NonPagedPool", arch.nonpaged_pool_start, nonpaged_bytes, False),
                ("NonPagedPoolNx", arch.nonpaged_nx_pool_start, nonpaged_nx_bytes, False),
                ("PagedPool", arch.paged_pool_start, paged_bytes, True),
            )
        )
        self._pools_by_region = {
            pool.base >> self._region_shift: pool for pool in self.descriptors
        }

    # --- the public face -----------------------------------------------------------------

    def allocate(self, pool_type: PoolType | int, size: int, tag: TagLike) -> int | None:
        """Allocate a block, as ExAllocatePoolWithTag does.

        Its bytes are whatever was there: garbage in a fresh page, stale contents otherwise
        (POOL_ZERO_ALLOCATION in the type clears them).

        Args:
            pool_type: pool and modifier bits.
            size: bytes; 0 is served as 1.
            tag: the pool tag.

        Returns:
            The block's address, aligned to 16 bytes on x64 and 8 on x86, to a page for
            requests over the largest that a block with a header can serve; None when the
            pool is exhausted.

        Raises:
            BugCheck: BAD_POOL_CALLER for a bad IRQL (8), must-succeed pool (0x9A), tag 0
                (0x9B) or tag ``BIG `` (0x9C); BAD_POOL_HEADER (3, 0xE) for a damaged free
                block.
            NtStatusError: STATUS_INSUFFICIENT_RESOURCES, when exhausted and the type
                carries POOL_RAISE_IF_ALLOCATION_FAILURE.
            TypeError, ValueError: an argument no caller could pass.

        Source:
            [doc] ExAllocatePoolWithTag; docs/sources.md, pool sections 2 and 3.
        """
        # Requests repeat: look the whole request up before looking at its parts.
        plan = None
        if type(size) is int and type(tag) in _TAG_TYPES:
            plan = self._requests.get((as_index(pool_type), size, tag))
        if plan is None:
            plan = self._plan_request(pool_type, size, tag)
        observer = self._kernel.observer
        if observer is None:
            return self.allocate_planned(plan) or None
        address = None
        try:
            address = self.allocate_planned(plan) or None
        except NtStatusError:
            observer.pool_allocated(None, PoolType(pool_type), size, tag)
            raise
        observer.pool_allocated(address, PoolType(pool_type), size, tag)
        return address

    def _plan_request(self, pool_type: int, size: int, tag: TagLike) -> PoolPlan:
        pool_type = unsigned("pool_type", pool_type, 32)
        size = unsigned("size", size, self._memory.arch.address_bits)
        plan = self.plan(pool_type, size, PoolTag(tag))
        if len(self._requests) >= _MOST_PLANS:
            self._requests.clear()
        if plan[1] != _NEVER:
            self._requests[pool_type, size, tag] = plan
        return plan

    def free(self, address: int | None, tag: TagLike | None = None) -> None:
        """Free a block, as ExFreePool (no tag) or ExFreePoolWithTag does.

        Args:
            address: what the allocating routine returned.
            tag: the tag to check, or None (or 0) for no check. A mismatch only matters for
                a block with PROTECTED_POOL, or always with ``strict_pool_tags``.

        Raises:
            BugCheck: BAD_POOL_CALLER for a block already freed (7), a bad IRQL (9), a wrong
                tag (0xA) or an address outside the pools (0x46); BAD_POOL_HEADER for a
                damaged neighbor (0x20), free list (3) or header (6), or a page-aligned
                address in a pool that nobody allocated (0x22);
                PAGE_FAULT_IN_NONPAGED_AREA where there is no memory.
            TypeError, ValueError: an argument no caller could pass.

        Source:
            [doc] ExFreePoolWithTag; docs/sources.md, pool section 3, "Free order".
        """
        if type(address) is not int:
            bits = self._memory.arch.address_bits
            address = 0 if address is None else unsigned("address", address, bits)
        self.free_block(address, 0 if tag is None else PoolTag(tag))
        if self._kernel.observer is not None:
            self._kernel.observer.pool_freed(address)

    def usage(self, tag: TagLike) -> PoolTagUsage:
        """Snapshot of one tag's row of the pool tag table.

        Args:
            tag: the tag, with or without PROTECTED_POOL.

        Returns:
            Its counters; all zero for a tag that never allocated.
        """
        self._kernel.check_running()
        return self._tags.usage(PoolTag(tag).unprotected)

    def tags(self) -> Mapping[PoolTag, PoolTagUsage]:
        """Snapshot of the whole pool tag table, by tag, ordered by the tags' text."""
        self._kernel.check_running()
        return self.rows()

    def query(self, address: int) -> PoolAllocation | None:
        """Find the live block whose body holds an address.

        Args:
            address: any address.

        Returns:
            The block, or None when the address lies in no live block.
        """
        self._kernel.check_running()
        return self.find(address)

    def statistics(self, pool: PoolDescriptor) -> PoolStatistics:
        """Snapshot of the pages of one pool (``nonpaged``, ``nonpaged_nx`` or ``paged``)."""
        runs = pool.runs
        return PoolStatistics(pages=runs.in_use, peak_pages=runs.peak, limit_pages=runs.limit)

    # --- allocate and free ---------------------------------------------------------------

    # A lookaside miss costs little more than one of the two methods `allocate_planned` and
    # `free_block`, so each is one flat piece of code that counts its operations: positions
    # are in units, what every request of one kind needs is looked up once (`PoolPlan`), and
    # what they do to the free lists is PoolDescriptor's insert_head and insert_tail written
    # out. Whatever is rare or damaged is left to the methods that follow.
    #
    # A *position* is the unit of a block's body, counted from the arena's base; the header is
    # at position - 1. Links are two words a unit on both machines.

    def allocate_block(self, pool_type: int, size: int, tag: int) -> int:
        """What `allocate` does, on plain ints, with 0 for NULL."""
        return self.allocate_planned(self.plan(pool_type, size, tag))

    def serves(self, pool_type: int) -> bool:
        """Whether a pool type can be asked for at all (also where asking stops the machine)."""
        return not pool_type & ~POOL_TYPE_BITS and pool_type & 3 != 3

    def plan(self, pool_type: int, size: int, tag: int) -> PoolPlan:
        """Work out, once for each type, size and tag, what every such request needs.

        Raises:
            ValueError: a type or size that no pool could have.
        """
        plan = self._plans.get((pool_type, size, tag))
        if plan is not None:
            return plan
        if size < 0:
            raise ValueError(f"size {size}: give a number of bytes, 0 or more")
        pool, max_irql = self._pool_of(pool_type)
        if size > self._largest or pool_type & MUST_SUCCEED_BIT or tag in _REFUSED_TAGS:
            # Not for the hot path; the rest of the plan is not looked at.
            return pool, _NEVER, 0, 0, 0, tag, [], (pool_type, size)
        # Free builds serve a zero-byte request with a minimum block.
        units = (max(size, 1) + self._rounding) >> self._unit_shift
        plan = (
            pool,
            max_irql,
            units,
            units << 16 | (pool_type & HEADER_TYPE_BITS | IN_USE) << self._type_shift,
            (units << self._unit_shift) - self._header_size - max(size, 1),
            tag,
            self._tags.open(pool.sides, tag & _TAG_MASK),
            (pool_type, size),
        )
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[pool_type, size, tag] = plan
        return plan

    def allocate_planned(self, plan: PoolPlan) -> int:
        """Allocate what a plan says.

        Args:
            plan: from `plan`.

        Returns:
            The block's address, 0 for NULL.
        """
        pool, max_irql, units, sizes, unused, tag, side, request = plan
        base, words, ulongs, _, marks, _, listed, head_addresses = pool.hot
        if self._kernel.gate > max_irql:
            return self._allocate_otherwise(pool, *request, tag)
        index = listed.find(1, units - 1)
        if index < 0:
            address = self._take_fresh_page(pool, units)
            if not address:
                return self._exhausted(*request, pool)
            base, words, ulongs, _, marks, _, listed, head_addresses = pool.hot
            position = (address - base) >> self._unit_shift
            header_at = position - 1 << self._ulong_shift
            ulongs[header_at] = sizes
        else:
            # Unlink the head entry of the first list that has one.
            head_at = 2 * index
            address = words[head_at]
            position = (address - base) >> self._unit_shift
            entry_at = 2 * position
            try:
                head = head_addresses[index]
                if words[entry_at] == head and words[head_at + 1] == address:
                    # The only entry of its list.
                    if words[entry_at + 1] != head:
                        pool.stop_damaged(address)
                    words[head_at] = words[head_at + 1] = head
                    listed[index] = 0
                else:
                    pool.unlink(address, entry_at)
            except IndexError:
                pool.stop_damaged(address)
            # Carve the block out of it.
            header_at = position - 1 << self._ulong_shift
            header = ulongs[header_at]
            rest = (header >> 16) - units
            if rest != index + 1 - units:
                self._stop_freed_header_changed(address - self._header_size)
            previous = header & self._size_mask
            if not rest:
                ulongs[header_at] = previous | sizes
            else:
                behind_at = header_at + (units + rest << self._ulong_shift)
                try:
                    if previous:
                        # Take the end; the remainder stays in front.
                        ulongs[header_at] = previous | rest << 16
                        remainder = address
                        address += rest << self._unit_shift
                        position += rest
                        header_at = behind_at - (units << self._ulong_shift)
                        ulongs[header_at] = rest | sizes
                        behind = units
                    else:
                        # The block begins its page: take the front; the remainder lies behind.
                        ulongs[header_at] = sizes
                        rest_at = header_at + (units << self._ulong_shift)
                        ulongs[rest_at] = units | rest << 16
                        ulongs[rest_at + 1] = ulongs[header_at + 1]
                        remainder = address + (units << self._unit_shift)
                        entry_at += 2 * units
                        behind = rest
                    if behind_at & _PAGE_ULONGS_MASK:
                        ulongs[behind_at] = ulongs[behind_at] & ~self._size_mask | behind
                except IndexError:
                    # A forged free block leads out of the memory that is backed.
                    wild = header_at if header_at >= len(ulongs) else behind_at
                    pool.fault(base + (wild << 2), write=True)
                if rest > 1:
                    # Link the remainder behind its list.
                    tail_at = 2 * rest - 1
                    blink = words[tail_at]
                    head = words[entry_at] = head_addresses[rest - 1]
                    words[entry_at + 1] = blink
                    words[tail_at] = remainder
                    if blink == head:
                        words[tail_at - 1] = remainder
                        listed[rest - 1] = 1
                    else:
                        pool.link(blink, 0, remainder)
        ulongs[header_at + 1] = tag
        marks[position] = unused
        side[units] += 1
        if request[0] & ZERO_BIT:
            self._memory.write(address, bytes(max(request[1], 1)))
        return address

    def free_block(self, address: int, tag: int = 0) -> None:
        """What `free` does, on plain ints, with 0 for NULL and for no tag."""
        try:
            pool = self._pools_by_region[address >> self._region_shift]
            base, words, ulongs, states, marks, sides, listed, head_addresses = pool.hot
            at = address - base
            unit_shift = self._unit_shift
            position = at >> unit_shift
            is_marked = marks[position] != NO_BLOCK and not at & self._unit_mask
        except (KeyError, IndexError):
            is_marked = False
        if not is_marked:
            self._free_unmarked(address, tag)
            return
        size_mask = self._size_mask
        ulong_shift = self._ulong_shift
        lowest_type = self._lowest_type
        header_at = position - 1 << ulong_shift
        header = ulongs[header_at]
        gate = self._kernel.gate
        if gate > 1 and (gate > 2 or header >> self._type_shift & PAGED_BIT):
            self._refuse_free_irql(address, header >> self._type_shift)
        if not header & self._in_use_bit:
            self._stop_already_freed(address)
        units = header >> 16 & size_mask
        behind_at = header_at + (units << ulong_shift)
        behind = lowest_type
        if behind_at & _PAGE_ULONGS_MASK or not units:
            if header_at ^ behind_at > _PAGE_ULONGS_MASK:
                self._stop_unless_next_agrees(address, units)
            else:
                behind = ulongs[behind_at]
                if behind & size_mask != units or not units:
                    self._stop_sizes_disagree(address, units)
        owner = ulongs[header_at + 1]
        side = sides.get(owner)
        if tag or side is None:
            self._check_tag(address, owner, tag)
            side = self._tags.find(sides, owner & _TAG_MASK)
        side[-units] += 1
        marks[position] = NO_BLOCK
        word = self._links.pop(address, None)

        # Merge with the block behind, then with the one in front.
        if behind < lowest_type:
            behind >>= 16
            if behind > 1:
                entry = address + (units << unit_shift)
                entry_at = 2 * (position + units)
                head_at = 2 * behind - 2
                head = head_addresses[behind - 1]
                if (
                    words[entry_at] == head == words[entry_at + 1]
                    and words[head_at] == entry == words[head_at + 1]
                ):
                    # The only entry of its list.
                    words[head_at] = words[head_at + 1] = head
                    listed[behind - 1] = 0
                else:
                    pool.unlink(entry, entry_at)
            units += behind
        previous = header & size_mask
        if previous:
            front_at = header_at - (previous << ulong_shift)
            if header_at ^ front_at > _PAGE_ULONGS_MASK:
                self._stop_previous_size(address, previous << unit_shift)
            front = ulongs[front_at]
            if front < lowest_type:
                # The header ends up inside the merged block, and must not look in use: a
                # second free of the same address reads it.
                ulongs[header_at] = header & (lowest_type - 1)
                if word is not None:
                    words[2 * position] = word  # else the link written below covers it
                header_at = front_at
                address -= previous << unit_shift
                position -= previous
                previous = front & size_mask
                front >>= 16
                if front > 1:
                    entry_at = 2 * position
                    head_at = 2 * front - 2
                    head = head_addresses[front - 1]
                    if (
                        words[entry_at] == head == words[entry_at + 1]
                        and words[head_at] == address == words[head_at + 1]
                    ):
                        words[head_at] = words[head_at + 1] = head
                        listed[front - 1] = 0
                    else:
                        pool.unlink(address, entry_at)
                units += front

        if units > size_mask:
            if units == self._units_per_page and not header_at & _PAGE_ULONGS_MASK:
                ulongs[header_at] &= lowest_type - 1
                states[at >> PAGE_SHIFT] = CACHED
                if word is not None:
                    words[2 * (at >> unit_shift)] = word
                pool.runs.give_back(at >> PAGE_SHIFT, 1)
                return
            units &= size_mask  # only overwritten sizes add up to this
        behind_at = header_at + (units << ulong_shift)
        if behind_at & _PAGE_ULONGS_MASK:
            if header_at ^ behind_at > _PAGE_ULONGS_MASK:
                self._check_mapped_behind(pool, behind_at)
            ulongs[behind_at] = ulongs[behind_at] & ~size_mask | units
        ulongs[header_at] = previous | units << 16
        if units > 1:
            # Link it in front of its list.
            entry_at = 2 * position
            head_at = 2 * units - 2
            flink = words[entry_at] = words[head_at]
            head = words[entry_at + 1] = head_addresses[units - 1]
            words[head_at] = address
            if flink == head:
                words[head_at + 1] = address
                listed[units - 1] = 1
            else:
                pool.link(flink, 1, address)

    # --- the rarer ways to allocate ------------------------------------------------------

    def _allocate_otherwise(
        self, pool: PoolDescriptor, pool_type: int, size: int, tag: int
    ) -> int:
        """Serve a request for whole pages, or refuse one that must not be made now."""
        _, max_irql = self._pool_of(pool_type)
        if self._kernel.gate > max_irql or tag in _REFUSED_TAGS or pool_type & MUST_SUCCEED_BIT:
            self._refuse_allocate(pool_type, size, tag)
        return self._allocate_big(pool, pool_type, size, tag)

    def _take_fresh_page(self, pool: PoolDescriptor, units: int) -> int:
        """Start a page with room for a block of ``units``, the rest of it one free block.

        Returns:
            Address of the block, 0 when there is no page.
        """
        page = pool.runs.take(1)
        if not page:
            return 0
        arena = pool.arena
        if page >= len(arena.states):
            pool.reach(page + 1)
        arena.map(page, BLOCKS)
        rest = self._units_per_page - units
        header_at = (page << _PAGE_ULONGS_SHIFT) + (units << self._ulong_shift)
        arena.ulongs[header_at] = units | rest << 16
        arena.ulongs[header_at + 1] = _FREE_TAG
        address = pool.base + (page << PAGE_SHIFT) + self._header_size
        if rest > 1:
            pool.insert_tail(address + (units << self._unit_shift), rest)
        return address

    def _write_header(
        self, arena: Arena, at: int, previous: int, units: int, tag: int, block_type: int = 0
    ) -> None:
        """Write the header of the block whose body is at a position.

        Args:
            arena: where.
            at: position of the body.
            previous: PreviousSize.
            units: BlockSize.
            tag: PoolTag.
            block_type: PoolType, 0 for a free block.
        """
        header_at = (at - self._header_size) >> 2
        arena.ulongs[header_at] = previous | units << 16 | block_type << self._type_shift
        arena.ulongs[header_at + 1] = tag

    def _allocate_big(self, pool: PoolDescriptor, pool_type: int, size: int, tag: int) -> int:
        """Allocate whole pages and hand the unused end of the last one to the pool.

        Choice: the tag is charged the bytes asked for, which is what the big page table
        records; the end handed back is charged to whoever gets it.
        """
        count = (size + PAGE_MASK) >> PAGE_SHIFT
        first = pool.runs.take(count)
        if not first:
            return self._exhausted(pool_type, size, pool)
        memory = self._memory
        pool.reach(first + count)
        memory.reserve(pool.arena, first, count)
        address = pool.base + (first << PAGE_SHIFT)
        tail_units = self._hand_back_tail(pool, first + count - 1, size & PAGE_MASK)
        self._big[address] = BigBlock(address, size, tag, pool_type, count, tail_units)
        memory.big_blocks[address] = size
        self._tags.count_big(pool.sides, tag & _TAG_MASK, ALLOCS, size)
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
        at = (page << PAGE_SHIFT) + (units << self._unit_shift) + self._header_size
        self._write_header(pool.arena, at, 0, 1, _FRAGMENT_TAG, IN_USE | int(pool.paged))
        at += 1 << self._unit_shift
        self._write_header(pool.arena, at, 1, rest, _FREE_TAG)
        pool.insert_tail(pool.base + at, rest)
        return units

    def _pool_of(self, pool_type: int) -> tuple[PoolDescriptor, int]:
        """The pool of a type and the highest IRQL at which it may be used.

        Choice: session types, of which a machine without sessions has no pool of its own,
        share the nonpaged and paged pool; their header keeps the session bit. The cache
        aligned types get the alignment of any other block.
        """
        if not self.serves(pool_type):
            raise ValueError(
                f"pool type {pool_type:#x}: give a PoolType with its modifier bits (0x7ff),"
                " not 3 or 7"
            )
        if pool_type & PAGED_BIT:
            return self.paged, 1
        return self.nonpaged_nx if pool_type & NX_BIT else self.nonpaged, 2

    def _refuse_allocate(self, pool_type: int, size: int, tag: int) -> NoReturn:
        """Stop the machine for a request that must not be made; which check comes first."""
        kernel = self._kernel
        kernel.check_running()
        shown = f"{size} bytes of pool type {pool_type:#x}, tag {PoolTag(tag)!s}"
        if not tag:
            parameters, why = (_NO_TAG, pool_type, size, 0), "without a tag"
        elif tag == _BIG_TAG:
            parameters, why = (_TAG_BIG, pool_type, size, 0), "with the tag 'BIG '"
        elif pool_type & MUST_SUCCEED_BIT:
            parameters, why = (_MUST_SUCCEED, pool_type, size, tag), "from must-succeed pool"
        else:
            parameters = (_ALLOCATE_IRQL, kernel.gate, pool_type, size)
            why = f"at IRQL {kernel.gate}"
        kernel.stop(BugCheckCode.BAD_POOL_CALLER, parameters, f"asked for {shown}, {why}")

    def _exhausted(self, pool_type: int, size: int, pool: PoolDescriptor) -> int:
        if pool_type & RAISE_BIT:
            raise NtStatusError(
                NtStatus.STATUS_INSUFFICIENT_RESOURCES,
                f"{pool.name} has no room for {size} bytes: {pool.runs.in_use} of"
                f" {pool.runs.limit} pages are in use",
            )
        return 0

    def _stop_freed_header_changed(self, header: int) -> NoReturn:
        """Choice: of the subcodes for a changed header of a freed block, 0xE."""
        self._kernel.stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_FREED_HEADER_CHANGED, header, self._ulong1(header), 0),
            f"the header of the free block at {header:#x} was changed after it was freed",
        )

    # --- the rarer ways to free ----------------------------------------------------------

    def _free_unmarked(self, address: int, tag: int) -> None:
        """Free what is not a live block with a header, as far as the marks know."""
        kernel = self._kernel
        kernel.check_running()
        if not 0 <= address < 1 << self._memory.arch.address_bits:
            raise ValueError(f"address {address:#x} does not fit a pointer")
        big = self._big.get(address)
        if big is not None:
            self._free_big(big, tag)
            return
        pool = self.descriptor_at(address)
        if not address & PAGE_MASK:
            # Choice of two documented stops: a page in a pool that nobody allocated lacks its
            # tracking entry; any other address is invalid.
            if pool is not None:
                kernel.stop(
                    BugCheckCode.BAD_POOL_HEADER,
                    (_NOT_TRACKED, address, 0, 0),
                    f"no allocation of {pool.name} starts at the page {address:#x}",
                )
            self._stop_invalid_address(address)
        # Reading the header comes first, and faults where there is none.
        in_use = self._ulong1(address - self._header_size) & self._in_use_bit
        if pool is None or address & self._unit_mask:
            # Choice: memory that is no pool, and addresses between units, are invalid.
            self._stop_invalid_address(address)
        if not in_use:
            self._stop_already_freed(address)
        at = address - pool.base
        if pool.arena.states[at >> PAGE_SHIFT] not in (BLOCKS, EXPOSED):
            # Inside a big allocation, where no header of the manager's can be.
            self._stop_invalid_address(address)
        # Bytes that look like the header of a block in use: NT frees it if the next header
        # agrees. From here on this page's headers are no longer the manager's alone.
        self._memory.expose(pool.arena, at >> PAGE_SHIFT)
        pool.arena.marks[at >> self._unit_shift] = 0
        self.free_block(address, tag)

    def _free_big(self, big: BigBlock, tag: int) -> None:
        kernel = self._kernel
        if kernel.gate > 2 or (kernel.gate > 1 and big.pool_type & PAGED_BIT):
            self._refuse_free_irql(big.address, big.pool_type)
        self._check_tag(big.address, big.tag, tag)
        pool = self._pools_by_region[big.address >> self._region_shift]
        arena = pool.arena
        self._tags.count_big(pool.sides, big.tag & _TAG_MASK, FREES, -big.size)
        memory = self._memory
        del self._big[big.address]
        del memory.big_blocks[big.address]
        first = (big.address - pool.base) >> PAGE_SHIFT
        word = self._links.pop(big.address, None)
        if word is not None:
            arena.words[2 * (first << PAGE_SHIFT >> self._unit_shift)] = word
        last = first + big.pages - 1
        tail_state = arena.states[last]
        cached = big.pages <= pool.cached_pages
        memory.release(arena, first, big.pages, cached=cached)
        if not big.tail_units:
            pool.runs.give_back(first, big.pages)
            return
        # The last page stays as long as a block in its tail is in use.
        # Choice: its front becomes a block, which is freed together with the Frag unit.
        arena.states[last] = tail_state
        units = big.tail_units + 1
        header_at = last << _PAGE_ULONGS_SHIFT
        entry = big.address + (last - first << PAGE_SHIFT) + self._header_size
        behind = arena.ulongs[header_at + (units << self._ulong_shift)]
        if not behind >> self._type_shift:
            behind >>= 16
            if behind > 1:
                pool.unlink(entry + (units << self._unit_shift))
            units += behind
        if units == self._units_per_page:
            arena.unmap(last, 1, cached=cached)
            pool.runs.give_back(first, big.pages)
            return
        pool.runs.give_back(first, big.pages - 1)  # a single page never has a tail
        behind_at = header_at + (units << self._ulong_shift)
        if header_at ^ behind_at > _PAGE_ULONGS_MASK:
            self._check_mapped_behind(pool, behind_at)
            units &= self._size_mask
        self._write_header(arena, entry - pool.base, 0, units, _FREE_TAG)
        arena.ulongs[behind_at] = arena.ulongs[behind_at] & ~self._size_mask | units
        if units > 1:
            pool.insert_head(entry, units)

    def _check_tag(self, address: int, owner: int, tag: int) -> None:
        """Stop the machine when a free names another tag than the block's and it matters.

        Choice, where sources disagree: only PROTECTED_POOL makes it matter, unless the
        kernel was made strict. Tag 0 asks for no check, which a protected block refuses.
        """
        if tag == owner:
            return
        if owner & PROTECTED_POOL or (self.strict_tags and tag):
            self._kernel.stop(
                BugCheckCode.BAD_POOL_CALLER,
                (_WRONG_TAG, address, owner, tag),
                f"the block at {address:#x} has the tag {_shown(owner)} and was freed"
                f" {f'with {_shown(tag)}' if tag else 'without a tag'}",
            )

    def _stop_unless_next_agrees(self, address: int, units: int) -> None:
        """Check the next header where BlockSize says that it lies in another page."""
        following = address - self._header_size + (units << self._unit_shift)
        if self._ulong1(following) & self._size_mask != units:
            self._stop_sizes_disagree(address, units)

    def _check_mapped_behind(self, pool: PoolDescriptor, behind_at: int) -> None:
        """Before PreviousSize is written where overwritten sizes say, in another page."""
        behind = pool.base + (behind_at << 2)
        if self._memory.is_unmapped(behind, 1):
            pool.fault(behind, write=True)

    def _ulong1(self, header: int) -> int:
        """The first 32 bits of a header, wherever it is; faults where nothing is mapped."""
        header &= (1 << self._memory.arch.address_bits) - 1  # below NULL is the top of memory
        return int.from_bytes(self._memory.read(header, 4), "little")

    def _refuse_free_irql(self, address: int, block_type: int) -> NoReturn:
        kernel = self._kernel
        kernel.check_running()
        kernel.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_FREE_IRQL, kernel.gate, block_type & PAGED_BIT, address),
            f"the block at {address:#x} was freed at IRQL {kernel.gate}",
        )

    def _stop_already_freed(self, address: int) -> NoReturn:
        self._kernel.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_ALREADY_FREED, 0, self._ulong1(address - self._header_size), address),
            f"the block at {address:#x} is already free, or its header is overwritten",
        )

    def _stop_sizes_disagree(self, address: int, units: int) -> NoReturn:
        entry = address - self._header_size
        length = units << self._unit_shift
        self._kernel.stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_SIZES_DISAGREE, entry, entry + length, self._ulong1(entry)),
            f"the header at {entry + length:#x}, behind the block at {address:#x}, does not"
            " agree on that block's size: one of the two headers was overwritten",
        )

    def _stop_previous_size(self, address: int, previous: int) -> NoReturn:
        entry = address - self._header_size
        self._kernel.stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_PREVIOUS_SIZE_TOO_LARGE, entry - previous, 0, entry),
            f"the header at {entry:#x} puts the block before it in another page",
        )

    def _stop_invalid_address(self, address: int) -> NoReturn:
        self._kernel.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_INVALID_ADDRESS, address, 0, 0),
            f"{address:#x} was freed, which is no address that a pool allocates",
        )

    # --- for tools -----------------------------------------------------------------------

    def find(self, address: int) -> PoolAllocation | None:
        """What `query` does, also on a stopped machine."""
        memory = self._memory
        first = memory.big_pages.get(address >> PAGE_SHIFT)
        if first is not None:
            big = self._big[first << PAGE_SHIFT]
            used = big.pages << PAGE_SHIFT
            if big.tail_units:
                used += (big.tail_units << self._unit_shift) - (1 << PAGE_SHIFT)
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
        ulong1 = arena.ulongs[at >> 2]
        block_size = (ulong1 >> 16 & self._size_mask) << self._unit_shift
        if not header + self._header_size <= address < header + block_size:
            return None
        unused = arena.marks[(at >> self._unit_shift) + 1]
        return PoolAllocation(
            address=header + self._header_size,
            size=max(block_size - self._header_size - unused, 0),
            tag=PoolTag(arena.ulongs[(at >> 2) + 1]),
            pool_type=self._reported_type(header, ulong1 >> self._type_shift),
            block_size=block_size,
        )

    def rows(self) -> Mapping[PoolTag, PoolTagUsage]:
        """What `tags` does, also on a stopped machine."""
        return self._tags.snapshot()

    def charged_elsewhere(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags for blocks outside the pools, by paged and tag."""
        return Counter()

    def row_of(self, tag: int, *, paged: bool) -> int:
        """The tag of the row that blocks of a tag are charged to."""
        return self._tags.row_of(tag, paged=paged)

    def descriptor_at(self, address: int) -> PoolDescriptor | None:
        """The pool whose address range holds an address."""
        return self._pools_by_region.get(address >> self._region_shift)

    @property
    def descriptors(self) -> tuple[PoolDescriptor, PoolDescriptor, PoolDescriptor]:
        """The three pools: NonPaged, NonPagedNx, Paged."""
        return self.nonpaged, self.nonpaged_nx, self.paged

    @property
    def big_blocks(self) -> Mapping[int, BigBlock]:
        """The big page table, by address."""
        return self._big

    def _reported_type(self, address: int, bits: int) -> PoolType:
        kept = bits & HEADER_TYPE_BITS
        if self.descriptor_at(address) is self.nonpaged_nx:
            kept |= NX_BIT  # the header's byte has no room for this bit
        return PoolType(kept)

"""The pool manager: ExAllocatePoolWithTag and ExFreePoolWithTag over three pools.

The classic pool of Vista to Windows 10 1809. This is its face: it looks at arguments, tells
who listens, and answers questions. The work is done behind `Requests`, by `blocks` and `big`.

Source:
    docs/sources.md, pool sections 1 to 3 and 5.1; each choice the spec leaves open is marked
    "Choice" where it is made.
"""

from __future__ import annotations

from collections import Counter
from operator import index as as_index
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from lookaside_sim.errors import NtStatusError
from lookaside_sim.memory import Memory
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.nt.types import PoolTag, PoolType, TagLike
from lookaside_sim.pool.accounting import PoolTagUsage, TagTable
from lookaside_sim.pool.big import BigBlock, BigBlocks
from lookaside_sim.pool.blocks import Blocks, exhausted
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.plans import (
    HEADER_TYPE_BITS,
    MOST_PLANS,
    NEVER,
    NX_BIT,
    QUOTA_BIT,
    RAISE_BIT,
    Plans,
    PoolPlan,
    served,
)
from lookaside_sim.pool.requests import Requests
from lookaside_sim.pool.stops import PoolStops

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookaside_sim.kernel import Kernel

_TAG_TYPES: Final = frozenset({PoolTag, int, bytes, str})
_LOW_SHARE: Final = 16
"""A low priority request fails while less than this part of the pool is left. Choice."""


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


class Outside(Protocol):
    """Blocks in an address range of their own, outside the three pools."""

    def find(self, address: int) -> PoolAllocation | None:
        """The live block that holds an address."""

    def descriptor_at(self, address: int) -> PoolDescriptor | None:
        """The pool whose rules an address follows."""

    def charged(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags, by paged and tag."""


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

    Attributes:
        requests: the one way into the blocks.
        tag_table: what each tag holds.
        stops: what the pool stops the machine for.
    """

    __slots__ = (
        "_big",
        "_header_size",
        "_kernel",
        "_known",
        "_memory",
        "_outside",
        "_plans",
        "_pools_by_region",
        "_region_shift",
        "_size_mask",
        "_type_shift",
        "_unit_shift",
        "nonpaged",
        "nonpaged_nx",
        "paged",
        "requests",
        "stops",
        "tag_table",
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
        self._header_size = layout.size
        self._unit_shift = layout.unit_shift
        self._size_mask = layout.size_mask
        self._type_shift = layout.type_shift
        self._region_shift = arch.pool_region_shift
        self.tag_table = TagTable(layout.units_per_page, layout.unit)
        self._known: dict[tuple[int, int, TagLike], PoolPlan] = {}
        self._outside: dict[int, Outside] = {}

        self.nonpaged, self.nonpaged_nx, self.paged = (
            PoolDescriptor(
                name,
                memory=memory,
                base=base,
                limit=limit >> PAGE_SHIFT,
                sides=self.tag_table.paged if paged else self.tag_table.nonpaged,
                paged=paged,
                stop=kernel.stop,
            )
            for name, base, limit, paged in (
                ("NonPagedPool", arch.nonpaged_pool_start, nonpaged_bytes, False),
                ("NonPagedPoolNx", arch.nonpaged_nx_pool_start, nonpaged_nx_bytes, False),
                ("PagedPool", arch.paged_pool_start, paged_bytes, True),
            )
        )
        pools = self.descriptors
        self._pools_by_region = {pool.base >> self._region_shift: pool for pool in pools}
        self._plans = Plans(layout, self.tag_table, *pools)
        self.stops = PoolStops(kernel, memory, strict_tags=strict_tags)
        blocks = Blocks(kernel, memory, self.tag_table, self.stops, pools)
        self._big = blocks.big = BigBlocks(
            kernel, memory, self.tag_table, self.stops, blocks, pools
        )
        self.requests = Requests(kernel, blocks)

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
            plan = self._known.get((as_index(pool_type), size, tag))
        if plan is None:
            plan = self._plan_request(pool_type, size, tag)
        observer = self._kernel.observer
        if observer is None:
            return self.requests.top.allocate(plan) or None
        address = None
        try:
            address = self.requests.top.allocate(plan) or None
        except NtStatusError:
            observer.pool_allocated(None, PoolType(pool_type), size, tag)
            raise
        observer.pool_allocated(address, PoolType(pool_type), size, tag)
        return address

    def _plan_request(self, pool_type: int, size: int, tag: TagLike) -> PoolPlan:
        pool_type = unsigned("pool_type", pool_type, 32)
        size = unsigned("size", size, self._memory.arch.address_bits)
        plan = self.plan(pool_type, size, PoolTag(tag))
        if len(self._known) >= MOST_PLANS:
            self._known.clear()
        if plan[1] != NEVER:
            self._known[pool_type, size, tag] = plan
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
        self.requests.top.free(address, 0 if tag is None else PoolTag(tag))
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
        return self.tag_table.usage(PoolTag(tag).unprotected)

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

    # --- for callers that have plain ints ------------------------------------------------

    def allocate_block(self, pool_type: int, size: int, tag: int) -> int:
        """What `allocate` does, on plain ints, with 0 for NULL, told to nobody."""
        return self.requests.top.allocate(self._plans.plan(pool_type, size, tag))

    def free_block(self, address: int, tag: int = 0) -> None:
        """What `free` does, on plain ints, with 0 for NULL and for no tag."""
        self.requests.top.free(address, tag)

    def plan(self, pool_type: int, size: int, tag: int) -> PoolPlan:
        """Work out what every request of a type, size and tag needs; see `Plans.plan`."""
        return self._plans.plan(pool_type, size, tag)

    def pool_of(self, pool_type: int) -> tuple[PoolDescriptor, int]:
        """The pool of a type and the highest IRQL at which it may be used."""
        return self._plans.pool_of(pool_type)

    def serves(self, pool_type: int) -> bool:
        """Whether a pool type can be asked for at all."""
        return served(pool_type)

    def add_outside(self, base: int, outside: Outside) -> None:
        """Blocks lie in another region too, from now on."""
        self._outside[base >> self._region_shift] = outside

    # --- the documented variants ---------------------------------------------------------

    def allocate_charged(
        self, pool_type: PoolType | int, size: int, tag: TagLike
    ) -> int | None:
        """Allocate a block charged to the current process.

        Args:
            pool_type: as for `allocate`; with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE a failure is
                NULL.
            size: bytes.
            tag: tag.

        Returns:
            The block's address; None only with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE.

        Raises:
            NtStatusError: STATUS_INSUFFICIENT_RESOURCES for no memory,
                STATUS_QUOTA_EXCEEDED when the process may not have so much.

        Source:
            [doc] ExAllocatePoolWithQuotaTag; docs/sources.md, pool section 2. x86 grows the request
            by the pointer to the process, x64 has room for it in the header. The System
            process and page-aligned blocks are not charged.
        """
        kernel = self._kernel
        kernel.keep_quota()
        pool_type = int(pool_type)
        quiet = pool_type & QUOTA_BIT
        pool_type &= ~(QUOTA_BIT | RAISE_BIT)
        pointer_size = kernel.arch.pointer_size
        process = kernel.processes.current
        charged = not process.is_system
        grown = size + (pointer_size if charged and pointer_size == 4 else 0)
        if grown > kernel.arch.pool_header.largest_request:
            charged, grown = False, size
        try:
            address = self.allocate(pool_type | RAISE_BIT, grown, tag)
            if address is not None and charged:
                block = self.find(address)
                assert block is not None
                try:
                    kernel.processes.charge(process, block)
                except NtStatusError:
                    self.free(address)
                    raise
                kernel.keep_quota().bill(block, process.address)
        except NtStatusError:
            if not quiet:
                raise
            return None
        return address

    def allocate_with_priority(
        self, pool_type: PoolType | int, size: int, tag: TagLike, priority: int
    ) -> int | None:
        """Allocate with a priority.

        Args:
            pool_type: as for `allocate`.
            size: bytes.
            tag: tag.
            priority: EX_POOL_PRIORITY: 0 low, 16 normal, 32 high; plus 8 to have the end of
                the block guarded in special pool, or plus 9 to have its start.

        Source:
            [doc] ExAllocatePoolWithTagPriority; docs/sources.md, pool section 1. Choice: a low
            request fails while less than a sixteenth of the pool is left.
        """
        self._kernel.check_running()
        plan = self.plan(int(pool_type), size, PoolTag(tag))
        if priority < 16:
            runs = plan[0].runs
            if (runs.limit - runs.in_use) * _LOW_SHARE < runs.limit:
                return exhausted(plan) or None
        at_start = bool(priority & 1) if priority & 8 else None
        plan = (*plan[:7], (plan[7][0], size, False, at_start))
        address = self.requests.top.allocate(plan) or None
        if self._kernel.observer is not None:
            self._kernel.observer.pool_allocated(address, PoolType(pool_type), size, tag)
        return address

    def allocate_special(
        self, pool_type: PoolType | int, size: int, tag: TagLike
    ) -> int | None:
        """Allocate from special pool where there is one, whoever asks."""
        plan = self.plan(int(pool_type), size, PoolTag(tag))
        plan = (*plan[:7], (plan[7][0], size, True, None))
        address = self.requests.top.allocate(plan) or None
        if self._kernel.observer is not None:
            self._kernel.observer.pool_allocated(address, PoolType(pool_type), size, tag)
        return address

    # --- for tools -----------------------------------------------------------------------

    def find(self, address: int) -> PoolAllocation | None:
        """What `query` does, also on a stopped machine."""
        outside = self._outside.get(address >> self._region_shift)
        if outside is not None:
            return outside.find(address)
        memory = self._memory
        first = memory.big_pages.get(address >> PAGE_SHIFT)
        if first is not None:
            big = self._big.table[first << PAGE_SHIFT]
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
        return self.tag_table.snapshot()

    def charged_elsewhere(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags for blocks outside the pools, by paged and tag."""
        charged: Counter[tuple[bool, int]] = Counter()
        for outside in self._outside.values():
            charged.update(outside.charged())
        return charged

    def row_of(self, tag: int, *, paged: bool) -> int:
        """The tag of the row that blocks of a tag are charged to."""
        return self.tag_table.row_of(tag, paged=paged)

    def descriptor_at(self, address: int) -> PoolDescriptor | None:
        """The pool whose address range holds an address."""
        region = address >> self._region_shift
        outside = self._outside.get(region)
        if outside is not None:
            return outside.descriptor_at(address)
        return self._pools_by_region.get(region)

    def ordinary_at(self, address: int) -> PoolDescriptor | None:
        """The pool an address lies in; none for what lies outside."""
        return self._pools_by_region.get(address >> self._region_shift)

    @property
    def descriptors(self) -> tuple[PoolDescriptor, PoolDescriptor, PoolDescriptor]:
        """The three pools: NonPaged, NonPagedNx, Paged."""
        return self.nonpaged, self.nonpaged_nx, self.paged

    @property
    def big_blocks(self) -> Mapping[int, BigBlock]:
        """The big page table, by address."""
        return self._big.table

    def _reported_type(self, address: int, bits: int) -> PoolType:
        kept = bits & HEADER_TYPE_BITS
        if self.descriptor_at(address) is self.nonpaged_nx:
            kept |= NX_BIT  # the header's byte has no room for this bit
        return PoolType(kept)

"""The pool manager: ExAllocatePoolWithTag and ExFreePoolWithTag over three pools.

The classic pool of Vista to Windows 10 1809. This is its face: it looks at arguments, tells
who listens, and answers questions. The work is done behind `Requests`, by `blocks` and `big`.

Source:
    docs/sources.md, pool sections 1 to 3 and 5.1; each choice the spec leaves open is marked
    "Choice" where it is made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from operator import index as as_index
from typing import Final, NoReturn

from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.arguments import integer, unsigned
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE
from lookaside_sim.nt.types import PoolTag, PoolType, TagLike
from lookaside_sim.pool.accounting import ALLOCS, FREES, PoolTagUsage, TagTable
from lookaside_sim.pool.big import BigBlock, BigBlocks
from lookaside_sim.pool.blocks import Blocks, exhausted
from lookaside_sim.pool.calls import AllocateBlock, FreeBlock
from lookaside_sim.pool.check import PoolBlock, blocks_of_page, check_pools
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.find import Finder, Outside
from lookaside_sim.pool.headers import Headers
from lookaside_sim.pool.model import Model
from lookaside_sim.pool.plans import (
    MOST_PLANS,
    MUST_SUCCEED_BIT,
    NEVER,
    POOL_TYPE_BITS,
    QUOTA_BIT,
    TAG_MASK,
    Plans,
    PoolPlan,
    served,
)
from lookaside_sim.pool.requests import Requests
from lookaside_sim.pool.stops import KnownBlocks, PoolStops
from lookaside_sim.pool.switch import Switch
from lookaside_sim.pool.tails import ByteTails
from lookaside_sim.pool.values import PoolAllocation, PoolLimits, PoolRange, PoolStatistics

_TAG_TYPES: Final = frozenset({PoolTag, int, bytes, str})
_LOW_SHARE: Final = 16
"""A low priority request fails while less than this part of the pool is left. Choice."""


class PoolManager:
    """The pools of one kernel.

    Obtained as `Kernel.pool`, not made by hand.

    Args:
        machine: what they stand on.
        limits: bytes each pool may have; whole pages of them count.
        strict_tags: whether a free with a wrong tag always stops the machine. By default
            only a block with PROTECTED_POOL in its tag is checked.

    Attributes:
        requests: the one way into the blocks.
        tag_table: what each tag holds.
        stops: what the pool stops the machine for.
        nonpaged: the pool NonPagedPool.
        nonpaged_nx: the pool NonPagedPoolNx.
        paged: the pool PagedPool.
    """

    __slots__ = (
        "_big",
        "_finder",
        "_headers",
        "_known",
        "_machine",
        "_plans",
        "_switch",
        "nonpaged",
        "nonpaged_nx",
        "paged",
        "requests",
        "stops",
        "tag_table",
    )

    def __init__(
        self, machine: Machine, limits: PoolLimits, *, strict_tags: bool = False
    ) -> None:
        arch, memory = machine.arch, machine.memory
        layout = arch.pool_header
        self._machine = machine
        self.tag_table = TagTable(layout.units_per_page, layout.unit)
        self._known: dict[tuple[int, int, TagLike], PoolPlan] = {}
        self.stops = PoolStops(machine, memory, strict_tags=strict_tags)
        tags = self.tag_table
        descriptor = partial(
            PoolDescriptor, memory=memory, stop=machine.stop, history=self.stops.history
        )
        self.nonpaged = descriptor(
            "NonPagedPool",
            base=arch.nonpaged_pool_start,
            limit=limits.nonpaged >> PAGE_SHIFT,
            sides=tags.nonpaged,
        )
        self.nonpaged_nx = descriptor(
            "NonPagedPoolNx",
            base=arch.nonpaged_nx_pool_start,
            limit=limits.nonpaged_nx >> PAGE_SHIFT,
            sides=tags.nonpaged,
            is_nx=True,
        )
        self.paged = descriptor(
            "PagedPool",
            base=arch.paged_pool_start,
            limit=limits.paged >> PAGE_SHIFT,
            sides=tags.paged,
            paged=True,
        )
        pools = self.nonpaged, self.nonpaged_nx, self.paged
        shift = arch.pool_region_shift
        by_region = {pool.base >> shift: pool for pool in pools}
        nonpaged_nx = self.nonpaged_nx if arch.has_nx_pool else self.nonpaged
        self._plans = Plans(layout, self.tag_table, self.nonpaged, nonpaged_nx, self.paged)
        blocks = Blocks(machine, memory, self.tag_table, self.stops, by_region)
        tails = ByteTails(memory, blocks)
        self._big = blocks.big = BigBlocks(
            machine, memory, self.tag_table, self.stops, tails, by_region
        )
        self._headers = Headers(memory)
        self._finder = Finder(memory, by_region, self._big.table)
        self.requests = Requests(machine, blocks)
        self._switch = Switch(
            memory,
            pools,
            self.requests,
            self._big,
            model=Model(machine, memory, self.stops, blocks, tails),
            blocks=blocks,
            tails=tails,
            plan=self.plan,
        )

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
        # True and False are equal to a type, and none.
        if (
            type(size) is int
            and type(tag) in _TAG_TYPES
            and pool_type is not True
            and pool_type is not False
        ):
            try:
                plan = self._known.get((as_index(pool_type), size, tag))
            except TypeError:
                plan = None  # what is wrong is said below
        if plan is None:
            plan = self._plan_request(pool_type, size, tag)
        if self._machine.hooks.listening:
            request = plan.request
            call = AllocateBlock(
                PoolType(as_index(pool_type)), request.size, PoolTag(request.tag)
            )
            return self._machine.hooks.run(call, self._serve, plan)
        return self.requests.top.allocate(plan) or None

    def _serve(self, plan: PoolPlan) -> int | None:
        return self.requests.top.allocate(plan) or None

    def _plan_request(self, pool_type: int, size: int, tag: TagLike) -> PoolPlan:
        pool_type = unsigned("pool_type", pool_type, 32)
        size = unsigned("size", size, self._machine.arch.address_bits)
        plan = self._plans.plan(pool_type, size, PoolTag(tag))
        if len(self._known) >= MOST_PLANS:
            self._known.clear()
        if plan.max_irql != NEVER and type(tag) in _TAG_TYPES:
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
            bits = self._machine.arch.address_bits
            address = 0 if address is None else unsigned("address", address, bits)
        checked = 0 if tag is None else PoolTag(tag)
        if self._machine.hooks.listening:
            call = FreeBlock(address, PoolTag(checked) if checked else None)
            self._machine.hooks.run(call, self.free_block, address, checked)
        else:
            self.requests.top.free(address, checked)

    def usage(self, tag: TagLike) -> PoolTagUsage:
        """Snapshot of one tag's row of the pool tag table.

        Args:
            tag: the tag, with or without PROTECTED_POOL.

        Returns:
            Its counters; all zero for a tag that never allocated.
        """
        self._machine.check_running()
        return self.tag_table.usage(PoolTag(tag).unprotected)

    def tags(self) -> Mapping[PoolTag, PoolTagUsage]:
        """Snapshot of the whole pool tag table, by tag, ordered by the tags' text."""
        self._machine.check_running()
        return self.rows()

    def query(self, address: int) -> PoolAllocation | None:
        """Find the live block whose body holds an address.

        Args:
            address: any address.

        Returns:
            The block, or None when the address lies in no live block.
        """
        self._machine.check_running()
        return self.find(integer("address", address))

    def statistics(self, pool: PoolDescriptor) -> PoolStatistics:
        """Snapshot of the pages of one pool (``nonpaged``, ``nonpaged_nx`` or ``paged``)."""
        runs = pool.runs
        return PoolStatistics(pages=runs.in_use, peak_pages=runs.peak, limit_pages=runs.limit)

    # --- for callers that have plain ints ------------------------------------------------

    def allocate_block(self, pool_type: int, size: int, tag: int) -> int:
        """What `allocate` does, on plain ints, with 0 for NULL, told to nobody."""
        return self.requests.top.allocate(self.plan(pool_type, size, tag))

    def free_block(self, address: int, tag: int = 0) -> None:
        """What `free` does, on plain ints, with 0 for NULL and for no tag, told to nobody."""
        self.requests.top.free(address, tag)

    def plan(self, pool_type: int, size: int, tag: int) -> PoolPlan:
        """Work out what every request of a type, size and tag needs; see `Plans.plan`.

        The type may come out of memory that was overwritten. Choice: bits that say nothing are
        not looked at, and must-succeed pool, of whatever kind, is refused as such.
        """
        if not served(pool_type):
            pool_type &= MUST_SUCCEED_BIT if pool_type & MUST_SUCCEED_BIT else POOL_TYPE_BITS
        return self._plans.plan(pool_type, size, tag)

    def pool_of(self, pool_type: int) -> tuple[PoolDescriptor, int]:
        """The pool of a type and the highest IRQL at which it may be used."""
        return self._plans.pool_of(pool_type)

    def range_of(self, pool_type: int) -> PoolDescriptor:
        """The pool of a type."""
        return self.pool_of(pool_type)[0]

    def check_tag(self, address: int, owner: int, tag: int) -> None:
        """Stop when a free names another tag than the block's and it matters."""
        self.stops.check_tag(address, owner, tag)

    def refuse_parameters(self, address: int) -> NoReturn:
        """Stop for a free with parameters that do not fit the block."""
        self.stops.extended_parameters(address)

    def know_blocks(self, blocks: KnownBlocks) -> None:
        """Have stops say what somebody knows of the blocks they are about."""
        self.stops.blocks = blocks

    def charge(self, tag: int, size: int, *, paged: bool) -> None:
        """Charge a tag for a block outside the pools; give back what a negative size says."""
        table = self.tag_table
        sides = table.paged if paged else table.nonpaged
        table.count_big(sides, tag & TAG_MASK, ALLOCS if size > 0 else FREES, size)

    def bill(self, address: int, process: int) -> None:
        """Write ProcessBilled, and the bit that says so; not outside the pools.

        Source:
            docs/sources.md, pool section 2: x64 has room in the header, x86 takes the block's
            last pointer.
        """
        headers, pool = self._headers, self.ordinary_at(address)
        if pool is None:
            return
        self.leave_model()  # no slot knows that bit
        headers.set_bit(pool, address, QUOTA_BIT)
        if self._machine.arch.pointer_size == 8:
            at = (address - pool.base - headers.size) // 8 + 1
            pool.arena.words[at] = self._scrambled(address, process)
        else:
            last = address + headers.bytes_of(pool, address) - headers.size - 4
            self._machine.memory.write_pointer(last, process)

    def billed(self, address: int) -> int | None:
        """The process that a live block says pays for it; None where none does."""
        headers, pool = self._headers, self.ordinary_at(address)
        if (
            pool is None
            or not headers.is_live(pool, address)
            or not headers.type_of(pool, address) & QUOTA_BIT
        ):
            return None
        if self._machine.arch.pointer_size == 8:
            at = (address - pool.base - headers.size) // 8 + 1
            return self._scrambled(address, pool.arena.words[at])
        last = address + headers.bytes_of(pool, address) - headers.size - 4
        return self._machine.memory.read_pointer(last)

    def _scrambled(self, address: int, process: int) -> int:
        """ProcessBilled of a block for a process; and the process for ProcessBilled.

        Source:
            docs/sources.md, pool section 2: the process, the cookie and the header's address.
        """
        cookie = self._machine.quota_cookie
        return process ^ cookie ^ (address - self._headers.size) if cookie else process

    def serves(self, pool_type: int) -> bool:
        """Whether a pool type can be asked for at all."""
        return served(pool_type)

    # --- the documented variants ---------------------------------------------------------

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
        self._machine.check_running()
        plan = self._plan_request(pool_type, size, tag)
        priority = unsigned("priority", priority, 32)
        at_start = bool(priority & 1) if priority & 8 else None
        request = plan.request
        plan = plan.with_request(request._replace(at_start=at_start))
        call = AllocateBlock(
            PoolType(request.pool_type), request.size, PoolTag(request.tag), priority=priority
        )
        return self._machine.hooks.run(call, self._serve_with_priority, plan, priority)

    def _serve_with_priority(self, plan: PoolPlan, priority: int) -> int | None:
        runs = plan.pool.runs
        if priority < 16 and (runs.limit - runs.in_use) * _LOW_SHARE < runs.limit:
            return exhausted(plan) or None
        return self.requests.top.allocate(plan) or None

    def allocate_special(
        self, pool_type: PoolType | int, size: int, tag: TagLike
    ) -> int | None:
        """Allocate from special pool where there is one, whoever asks."""
        self._machine.check_running()
        plan = self._plan_request(pool_type, size, tag)
        request = plan.request
        plan = plan.with_request(request._replace(special=True))
        call = AllocateBlock(
            PoolType(request.pool_type), request.size, PoolTag(request.tag), special=True
        )
        return self._machine.hooks.run(call, self._serve, plan)

    # --- for tools -----------------------------------------------------------------------

    def find(self, address: int) -> PoolAllocation | None:
        """What `query` does, also on a stopped machine."""
        return self._finder.find(address)

    def rows(self) -> Mapping[PoolTag, PoolTagUsage]:
        """What `tags` does, also on a stopped machine."""
        return self.tag_table.snapshot()

    def leave_model(self) -> None:
        """Keep what is in the pools in bytes from now on; see `lookaside_sim.pool.switch`.

        Whoever works on headers where they lie asks for this. Nothing the machine does
        changes, but pool calls take longer.
        """
        self._switch.leave()

    def blocks_in_page(self, address: int) -> Iterator[PoolBlock]:
        """The headers of the page that holds an address, front to back; none for others."""
        pool = self.ordinary_at(address)
        if pool is not None and pool.has_blocks(address):
            page = (address - pool.base) >> PAGE_SHIFT
            yield from blocks_of_page(self._machine.memory, pool, page)

    def is_live(self, address: int) -> bool:
        """Whether a live block starts at an address, whatever its header says; looks only."""
        pool = self.ordinary_at(address)
        if pool is None:
            block = self.find(address)
            return block is not None and block.address == address
        return address in self.big_blocks or (
            pool.has_blocks(address) and self._headers.is_live(pool, address)
        )

    def live_blocks(self) -> Iterator[int]:
        """Addresses of the live blocks of the three pools, whatever their headers say."""
        memory = self._machine.memory
        shift = memory.arch.pool_header.unit_shift
        for pool in self.descriptors:
            for address in range(pool.base, pool.end, PAGE_SIZE):
                if pool.has_blocks(address):
                    page = (address - pool.base) >> PAGE_SHIFT
                    for position in sorted(memory.block_starts(pool.arena, page)):
                        yield pool.base + (position << shift)
        yield from self.big_blocks

    def pages_of_blocks(self, paged: bool) -> Iterator[int]:
        """Addresses of the pages whose blocks have headers."""
        for pool in self.descriptors:
            if pool.paged is paged:
                for address in range(pool.base, pool.end, PAGE_SIZE):
                    if pool.has_blocks(address):
                        yield address

    def check(self) -> None:
        """Walk every page and verify every invariant; see `lookaside_sim.pool.check`."""
        check_pools(self, self._machine.memory)

    def add_outside(self, base: int, outside: Outside) -> None:
        """Blocks lie in another region too, from now on."""
        self._finder.add_outside(base, outside)

    def charged_elsewhere(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags for blocks outside the pools, by paged and tag."""
        return self._finder.charged_elsewhere()

    def row_of(self, tag: int, *, paged: bool) -> int:
        """The tag of the row that blocks of a tag are charged to."""
        return self.tag_table.row_of(tag, paged=paged)

    def descriptor_at(self, address: int) -> PoolRange | None:
        """The pool whose rules an address follows."""
        return self._finder.descriptor_at(address)

    def ordinary_at(self, address: int) -> PoolDescriptor | None:
        """The pool an address lies in; none for what lies outside."""
        return self._finder.ordinary_at(address)

    @property
    def descriptors(self) -> tuple[PoolDescriptor, PoolDescriptor, PoolDescriptor]:
        """The three pools: NonPaged, NonPagedNx, Paged."""
        return self.nonpaged, self.nonpaged_nx, self.paged

    @property
    def big_blocks(self) -> Mapping[int, BigBlock]:
        """The big page table, by address."""
        return self._big.table

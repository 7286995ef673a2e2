"""The pool manager with everything NT can switch on.

`PoolManager` is the pool and nothing else. This subclass, which has no state of its own, takes
its place (`Kernel.manage_pool`) as soon as somebody wants more: the verifier, a ledger of who
allocated what, the small-pool lists, delayed frees, quota. Each is asked for at two places,
before and after the plain pool does its work, so the plain pool's hot paths stay as they are.

Flow of an allocation: verifier's checks → injected failure → special pool, else small list,
else the plain pool → ledger. A free: verifier's checks → quota → special pool, else small list,
else delayed free list, else the plain pool → ledger.

Source:
    docs/sources.md, pool sections 2 to 4, 6 and 7.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NoReturn

from lookaside_sim.errors import NtStatusError
from lookaside_sim.memory.arena import NO_BLOCK
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from lookaside_sim.nt.types import PoolTag, PoolType, TagLike
from lookaside_sim.pool.accounting import ALLOCS, FREES
from lookaside_sim.pool.manager import (
    HEADER_TYPE_BITS,
    IN_USE,
    NX_BIT,
    PAGED_BIT,
    RAISE_BIT,
    ZERO_BIT,
    PoolAllocation,
    PoolManager,
    PoolPlan,
)
from lookaside_sim.pool.small_lists import DELAYED_FREES, SMALL_LISTS, ParkedBlocks

if TYPE_CHECKING:
    from lookaside_sim.pool.descriptor import PoolDescriptor
    from lookaside_sim.verifier.special_pool import SpecialBlock

QUOTA_BIT: Final = 0x8
"""Bit of the pool type, and of the type byte in a header: charged to a process."""
_TAG_MASK: Final = 0x7FFF_FFFF
_INVALID_PARAMETERS: Final = 0x99  # BAD_POOL_CALLER, parameter 1
_LOW_SHARE: Final = 16
"""A low priority request fails while less than this part of the pool is left. Choice."""


class ManagedPool(PoolManager):
    """The pools of one kernel, with the switches of `Kernel` and of its verifier."""

    __slots__ = ()

    # --- allocate ------------------------------------------------------------------------

    def allocate_planned(self, plan: PoolPlan) -> int:
        """Allocate what a plan says; see `PoolManager.allocate_planned`."""
        return self._allocate(plan, at_start=None, special=False)

    def _allocate(self, plan: PoolPlan, *, at_start: bool | None, special: bool) -> int:
        kernel = self._kernel
        kernel.check_running()
        pool_type, size = plan[7]
        tag = plan[5]
        verification = kernel.verification
        watched = verification is not None and verification.watches_caller()
        block: SpecialBlock | None = None
        if verification is not None and (watched or special):
            if watched:
                verification.check_allocate(pool_type, size, tag)
                if verification.injects_failure(pool_type, size, tag):
                    return 0
            elif verification.special_pool is not None:
                verification.special_pool.check_irql(0x30, pool_type, size)
            if self._may_be_special(pool_type, tag):
                block = verification.allocate_special(pool_type, size, tag, at_start=at_start)
        if block is not None:
            address = block.address
            self._count_special(block, ALLOCS)
            if pool_type & ZERO_BIT:
                self._memory.write(address, bytes(size))
        else:
            address = self._allocate_ordinary(plan)
        if not address:
            if watched and verification is not None:
                verification.counters.allocations_failed += 1
            return 0
        if kernel.ledger is not None:
            record = kernel.ledger.add(
                address,
                size,
                tag,
                pool_type,
                kernel.drivers.current,
                kernel.drivers.call_site(),
                verified=watched,
            )
            if watched and verification is not None:
                ordinary = None if block is not None else self.find(address)
                verification.allocated(record, ordinary)
        return address

    def _may_be_special(self, pool_type: int, tag: int) -> bool:
        """Whether the plain pool would serve the request at all; if not, it says why."""
        return bool(tag) and tag != PoolTag(b"BIG ") and not pool_type & 0x2

    def _allocate_ordinary(self, plan: PoolPlan) -> int:
        pool, max_irql, units, sizes, unused, tag, side, request = plan
        kernel = self._kernel
        small_lists = kernel.small_pool_lists
        if small_lists is None or units > SMALL_LISTS or kernel.gate > max_irql:
            return super().allocate_planned(plan)
        small = small_lists.of(kernel.processor, _kind(request[0]))[units - 1]
        entry = small.try_allocate()
        if not entry:
            return super().allocate_planned(plan)
        parked = ParkedBlocks(kernel)
        small.took(parked.link(entry))
        block_type = sizes >> self._type_shift
        if parked.revive(pool, entry, block_type, unused):
            parked.set_tag(pool, entry, tag)
        side[units] += 1
        if request[0] & ZERO_BIT:
            self._memory.write(entry, bytes(request[1]))
        return entry

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
        pool_type = int(pool_type)
        quiet = pool_type & QUOTA_BIT
        pool_type &= ~(QUOTA_BIT | RAISE_BIT)
        pointer_size = kernel.arch.pointer_size
        process = kernel.processes.current
        charged = not process.is_system
        grown = size + (pointer_size if charged and pointer_size == 4 else 0)
        if grown > self._largest:
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
                self._store_process(block, process.address)
        except NtStatusError:
            if not quiet:
                raise
            return None
        return address

    def _store_process(self, block: PoolAllocation, process: int) -> None:
        """Write ProcessBilled, and the bit that says so."""
        if self._is_special(block.address):
            return
        pointer_size = self._kernel.arch.pointer_size
        pool = self._pools_by_region[block.address >> self._region_shift]
        header_at = (block.address - pool.base - self._header_size) >> 2
        pool.arena.ulongs[header_at] |= QUOTA_BIT << self._type_shift
        if pointer_size == 8:
            words = pool.arena.words
            words[(block.address - pool.base - self._header_size) // 8 + 1] = process
        else:
            last = block.address + block.block_size - self._header_size - pointer_size
            self._memory.write_pointer(last, process)

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
                return self._exhausted(int(pool_type), size, plan[0]) or None
        at_start = bool(priority & 1) if priority & 8 else None
        address = self._allocate(plan, at_start=at_start, special=False) or None
        if self._kernel.observer is not None:
            self._kernel.observer.pool_allocated(address, PoolType(pool_type), size, tag)
        return address

    def allocate_special(
        self, pool_type: PoolType | int, size: int, tag: TagLike
    ) -> int | None:
        """Allocate from special pool where there is one, whoever asks."""
        plan = self.plan(int(pool_type), size, PoolTag(tag))
        address = self._allocate(plan, at_start=None, special=True) or None
        if self._kernel.observer is not None:
            self._kernel.observer.pool_allocated(address, PoolType(pool_type), size, tag)
        return address

    # --- free ----------------------------------------------------------------------------

    def free_block(self, address: int, tag: int = 0) -> None:
        """What `free` does, on plain ints; see `PoolManager.free_block`."""
        kernel = self._kernel
        kernel.check_running()
        if type(address) is not int:
            raise TypeError(f"address {address!r}: give an int")
        ledger, verification = kernel.ledger, kernel.verification
        record = None if ledger is None else ledger.live.get(address)
        is_special = self._is_special(address)
        if verification is not None and address >= 0:
            watched = verification.watches_caller() or (record is not None and record.verified)
            if watched and (record is not None or not is_special):
                block = None if is_special else self.find(address)
                if block is not None and block.address != address:
                    block = None
                verification.check_free(address, record, block)
        if is_special:
            self._free_special(address, tag)
        else:
            self._free_ordinary(address, tag)
        if ledger is not None:
            removed = ledger.remove(address, kernel.drivers.call_site())
            if removed is not None and removed.verified and verification is not None:
                verification.freed(removed)

    def stop_bad_parameters(self, address: int) -> NoReturn:
        """Stop for a free with parameters that do not fit the block.

        Raises:
            BugCheck: BAD_POOL_CALLER (0x99).
        """
        self._kernel.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_INVALID_PARAMETERS, address, 0, 0),
            f"{address:#x} was freed with extended parameters, which no block here has",
        )

    def _free_special(self, address: int, tag: int) -> None:
        verification = self._kernel.verification
        assert verification is not None
        special = verification.special_pool
        assert special is not None
        block = special.check_free(address)
        special.check_irql(0x31, block.pool_type, address)
        self._check_tag(address, block.tag, tag)
        self._count_special(block, FREES)
        self._kernel.processes.uncharge(address)
        special.free(block)

    def _free_ordinary(self, address: int, tag: int) -> None:
        pool = self.descriptor_at(address)
        live = pool is not None and self._is_live(pool, address)
        if live:
            assert pool is not None
            header_at = (address - pool.base - self._header_size) >> 2
            header = pool.arena.ulongs[header_at]
            if header >> self._type_shift & QUOTA_BIT:
                self._uncharge(pool, address, header)
            if self._park(pool, address, header, tag):
                return
        super().free_block(address, tag)

    def _is_live(self, pool: PoolDescriptor, address: int) -> bool:
        """Whether a block with a header, allocated and not freed, starts at an address."""
        at = address - pool.base
        arena = pool.arena
        if at & self._unit_mask or not 0 < at >> PAGE_SHIFT < len(arena.states):
            return False
        return arena.marks[at >> self._unit_shift] != NO_BLOCK

    def _uncharge(self, pool: PoolDescriptor, address: int, header: int) -> None:
        """Give the quota of a block back to the process its header names."""
        kernel = self._kernel
        if kernel.arch.pointer_size == 8:
            process = pool.arena.words[(address - pool.base - self._header_size) // 8 + 1]
        else:
            size = (header >> 16 & self._size_mask) << self._unit_shift
            process = self._memory.read_pointer(address + size - self._header_size - 4)
        owner = pool.arena.ulongs[((address - pool.base - self._header_size) >> 2) + 1]
        kernel.processes.uncharge(address, process, owner)

    def _park(self, pool: PoolDescriptor, address: int, header: int, tag: int) -> bool:
        """Park a block that is freed on a small list, or on the delayed free list.

        Returns:
            Whether it was; if not, the plain pool frees it, or finds what is wrong with it.
        """
        kernel = self._kernel
        small_lists = kernel.small_pool_lists
        if small_lists is None and kernel.pending_frees is None:
            return False
        units = header >> 16 & self._size_mask
        behind = address - self._header_size + (units << self._unit_shift)
        sound = (
            header >> self._type_shift & IN_USE
            and units
            and (address - pool.base) & ~PAGE_MASK == (behind - 1 - pool.base) & ~PAGE_MASK
            and kernel.gate <= (1 if pool.paged else 2)
        )
        if not sound:
            return False
        if behind & PAGE_MASK:
            following = pool.arena.ulongs[(behind - pool.base) >> 2]
            if following & self._size_mask != units:
                return False
        owner = pool.arena.ulongs[((address - pool.base - self._header_size) >> 2) + 1]
        self._check_tag(address, owner, tag)
        parked = ParkedBlocks(kernel)
        if small_lists is not None and units <= SMALL_LISTS:
            small = small_lists.of(kernel.processor, _kind_of(self, pool))[units - 1]
            if small.try_free():
                self._tags.find(pool.sides, owner & _TAG_MASK)[-units] += 1
                parked.park(pool, address, small.first)
                small.put(address)
                return True
        if kernel.pending_frees is None:
            return False
        waiting = kernel.pending_frees[pool.name]
        self._tags.find(pool.sides, owner & _TAG_MASK)[-units] += 1
        parked.park(pool, address, waiting[-1] if waiting else 0)
        waiting.append(address)
        if len(waiting) >= DELAYED_FREES:
            self._free_pending(pool, waiting)
        return True

    def _free_pending(self, pool: PoolDescriptor, waiting: list[int]) -> None:
        """Free all blocks that wait, newest first, as the chain leads."""
        parked = ParkedBlocks(self._kernel)
        layout = self._kernel.arch.pool_header
        while waiting:
            address = waiting.pop()
            header_at = (address - pool.base - layout.size) >> 2
            units = pool.arena.ulongs[header_at] >> 16 & layout.size_mask
            if parked.revive(pool, address, IN_USE | int(pool.paged), 0):
                owner = pool.arena.ulongs[header_at + 1]
                # The free below counts it a second time.
                self._tags.find(pool.sides, owner & _TAG_MASK)[-units] -= 1
                super().free_block(address)

    # --- for tools and checks ------------------------------------------------------------

    def find(self, address: int) -> PoolAllocation | None:
        """What `query` does, also in special pool."""
        if not self._is_special(address):
            return super().find(address)
        verification = self._kernel.verification
        assert verification is not None
        assert verification.special_pool is not None
        block = verification.special_pool.find(address)
        if block is None:
            return None
        kept = block.pool_type & (HEADER_TYPE_BITS | NX_BIT)
        return PoolAllocation(
            address=block.address,
            size=block.size,
            tag=block.tag,
            pool_type=PoolType(kept),
            # From the data's first byte on there is room to the page's end, or the header.
            block_size=block.size + self._header_size,
        )

    def descriptor_at(self, address: int) -> PoolDescriptor | None:
        """The pool an address belongs to, that of its block in special pool."""
        if not self._is_special(address):
            return super().descriptor_at(address)
        verification = self._kernel.verification
        assert verification is not None
        assert verification.special_pool is not None
        block = verification.special_pool.find(address)
        return None if block is None else self._pool_of(block.pool_type)[0]

    def charged_elsewhere(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags for blocks outside the pools, by paged and tag."""
        charged: Counter[tuple[bool, int]] = Counter()
        verification = self._kernel.verification
        if verification is not None and verification.special_pool is not None:
            for block in verification.special_pool.blocks.values():
                charged[bool(block.pool_type & PAGED_BIT), block.tag & _TAG_MASK] += PAGE_SIZE
        return charged

    def _is_special(self, address: int) -> bool:
        verification = self._kernel.verification
        return (
            verification is not None
            and verification.special_pool is not None
            and verification.special_pool.holds(address)
        )

    def _count_special(self, block: SpecialBlock, what: int) -> None:
        """Charge the tag a page. Choice, as nobody documents what NT charges."""
        pool, _ = self._pool_of(block.pool_type)
        size = PAGE_SIZE if what == ALLOCS else -PAGE_SIZE
        self._tags.count_big(pool.sides, block.tag & _TAG_MASK, what, size)


def _kind(pool_type: int) -> int:
    """Which of the three sets of small lists serves a pool type."""
    if pool_type & PAGED_BIT:
        return int(PoolType.PagedPool)
    return pool_type & NX_BIT


def _kind_of(manager: PoolManager, pool: PoolDescriptor) -> int:
    if pool.paged:
        return int(PoolType.PagedPool)
    return NX_BIT if pool is manager.nonpaged_nx else 0

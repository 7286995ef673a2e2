"""Blocks with headers, as their bytes have it: where NT's own decisions are told.

`model` tells the same on slots, as long as nobody can have damaged a header; from the first
such write on (`switch`) everything is decided here. A lookaside miss costs little more than one of the two methods `Blocks.allocate` and
`Blocks.free`, so each is one flat piece of code that counts its operations: positions are in
units, what every request of one kind needs is looked up once (`PoolPlan`), and what they do to
the free lists is PoolDescriptor's insert_head and insert_tail written out. Whatever is rare
or damaged is left to `big`, `stops` and the methods that follow.

A *position* is the unit of a block's body, counted from the arena's base; the header is at
position - 1. Links are two words a unit on both machines.

All state that NT keeps in memory is kept in simulated memory: the headers and free-list links
of every block are words of its page, and the decisions below read those words. Overwriting
them has the consequences it has on NT.

Flow of an allocation: free list, else fresh page -> split -> header -> accounting. A free:
header -> checks -> accounting -> merge -> free list, or page back.

Source:
    docs/sources.md, pool section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from lookaside_sim.errors import NtStatusError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import BLOCKS, CACHED, EXPOSED, NO_BLOCK, mark_of
from lookaside_sim.memory.slots import UNKNOWN
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT
from lookaside_sim.nt.types import NtStatus, PoolTag
from lookaside_sim.pool.accounting import TagTable
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.plans import (
    IN_USE,
    MUST_SUCCEED_BIT,
    PAGED_BIT,
    RAISE_BIT,
    REFUSED_TAGS,
    TAG_MASK,
    PoolPlan,
)
from lookaside_sim.pool.stops import PoolStops

FREE_TAG: Final = PoolTag(b"Free")
PAGE_ULONGS_SHIFT: Final = PAGE_SHIFT - 2
PAGE_ULONGS_MASK: Final = (1 << PAGE_ULONGS_SHIFT) - 1


def exhausted(plan: PoolPlan) -> int:
    """Answer a request for which there is no memory.

    Returns:
        0, for NULL.

    Raises:
        NtStatusError: the type asks for it.
    """
    pool, (pool_type, size, *_) = plan.pool, plan.request
    if pool_type & RAISE_BIT:
        raise NtStatusError(
            NtStatus.STATUS_INSUFFICIENT_RESOURCES,
            f"{pool.name} has no room for {size} bytes: {pool.runs.in_use} of"
            f" {pool.runs.limit} pages are in use",
        )
    return 0


class Elsewhere(Protocol):
    """What serves the requests that no block with a header can."""

    def allocate(self, plan: PoolPlan) -> int:
        """Serve a request; 0 for NULL."""

    def free(self, address: int, tag: int) -> bool:
        """Free what starts at an address; whether anything of it does."""


class Blocks:
    """The blocks of one kernel's pools.

    Args:
        machine: the machine.
        memory: its address space.
        tags: the tag table.
        stops: what it stops for.
        pools: the pools, by the number of their region.

    Attributes:
        big: serves what no block with a header can; set once, when it is made.
    """

    __slots__ = (
        "_header_size",
        "_in_use_bit",
        "_lowest_type",
        "_machine",
        "_memory",
        "_pools_by_region",
        "_region_shift",
        "_size_mask",
        "_slots",
        "_stops",
        "_tags",
        "_type_shift",
        "_ulong_shift",
        "_unit_mask",
        "_unit_shift",
        "_units_per_page",
        "big",
    )

    big: Elsewhere

    def __init__(
        self,
        machine: Machine,
        memory: Memory,
        tags: TagTable,
        stops: PoolStops,
        pools: Mapping[int, PoolDescriptor],
    ) -> None:
        layout = memory.arch.pool_header
        self._machine = machine
        self._memory = memory
        self._slots = memory.slots.by_address
        self._tags = tags
        self._stops = stops
        self._header_size = layout.size
        self._unit_shift = layout.unit_shift
        self._unit_mask = layout.unit - 1
        self._ulong_shift = layout.unit_shift - 2
        self._size_mask = layout.size_mask
        self._type_shift = layout.type_shift
        self._in_use_bit = IN_USE << layout.type_shift
        self._lowest_type = 1 << layout.type_shift
        self._units_per_page = layout.units_per_page
        self._region_shift = memory.arch.pool_region_shift
        self._pools_by_region = pools

    def allocate(self, plan: PoolPlan) -> int:
        """Allocate what a plan says.

        Args:
            plan: from `plan`.

        Returns:
            The block's address, 0 for NULL.
        """
        pool, quick_irql, units, sizes, mark, tag, side = plan.parts
        base, words, ulongs, _, marks, _, listed, head_addresses = pool.hot
        if self._machine.gate > quick_irql:
            return self.allocate_otherwise(plan)
        unit_shift = self._unit_shift
        ulong_shift = self._ulong_shift
        index = listed.find(1, units - 1)
        if index < 0:
            address = self._take_fresh_page(pool, units)
            if not address:
                return exhausted(plan)
            base, words, ulongs, _, marks, _, listed, head_addresses = pool.hot
            position = (address - base) >> unit_shift
            header_at = position - 1 << ulong_shift
            ulongs[header_at] = sizes
        else:
            # Unlink the head entry of the first list that has one.
            head_at = 2 * index
            address = words[head_at]
            position = (address - base) >> unit_shift
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
            header_at = position - 1 << ulong_shift
            header = ulongs[header_at]
            rest = (header >> 16) - units
            if rest != index + 1 - units:
                self._stops.freed_header_changed(address - self._header_size)
            previous = header & self._size_mask
            if not rest:
                ulongs[header_at] = previous | sizes
            else:
                behind_at = header_at + (units + rest << ulong_shift)
                try:
                    if previous:
                        # Take the end; the remainder stays in front.
                        ulongs[header_at] = previous | rest << 16
                        remainder = address
                        address += rest << unit_shift
                        position += rest
                        header_at = behind_at - (units << ulong_shift)
                        ulongs[header_at] = rest | sizes
                        behind = units
                    else:
                        # The block begins its page: take the front; the remainder lies behind.
                        ulongs[header_at] = sizes
                        rest_at = header_at + (units << ulong_shift)
                        ulongs[rest_at] = units | rest << 16
                        ulongs[rest_at + 1] = ulongs[header_at + 1]
                        remainder = address + (units << unit_shift)
                        entry_at += 2 * units
                        behind = rest
                    if behind_at & PAGE_ULONGS_MASK:
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
        marks[position] = mark
        side[units] += 1
        return address

    def free(self, address: int, tag: int = 0) -> None:
        """Free the block at an address; 0 for NULL and for no tag."""
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
            self.free_unmarked(address, tag)
            return
        size_mask = self._size_mask
        ulong_shift = self._ulong_shift
        lowest_type = self._lowest_type
        header_at = position - 1 << ulong_shift
        header = ulongs[header_at]
        gate = self._machine.gate
        if gate > 1 and (gate > 2 or header >> self._type_shift & PAGED_BIT):
            self._stops.refuse_free_irql(address, header >> self._type_shift)
        if not header & self._in_use_bit:
            self._stops.already_freed(address)
        units = header >> 16 & size_mask
        behind_at = header_at + (units << ulong_shift)
        behind = lowest_type
        if behind_at & PAGE_ULONGS_MASK or not units:
            if header_at ^ behind_at > PAGE_ULONGS_MASK:
                self._stop_unless_next_agrees(address, units)
            else:
                behind = ulongs[behind_at]
                if behind & size_mask != units or not units:
                    self._stops.sizes_disagree(address, units)
        owner = ulongs[header_at + 1]
        side = sides.get(owner)
        if tag or side is None:
            self._stops.check_tag(address, owner, tag)
            side = self._tags.find(sides, owner & TAG_MASK)
        side[-units] += 1
        marks[position] = NO_BLOCK
        word = None
        if address in self._slots:
            slot = self._slots.pop(address)
            if slot.flink is not UNKNOWN:
                word = slot.flink.address
                slot.flink = UNKNOWN

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
            if header_at ^ front_at > PAGE_ULONGS_MASK:
                self._stops.previous_size(address, previous << unit_shift)
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
            if units == self._units_per_page and not header_at & PAGE_ULONGS_MASK:
                ulongs[header_at] &= lowest_type - 1
                states[at >> PAGE_SHIFT] = CACHED
                if word is not None:
                    words[2 * (at >> unit_shift)] = word
                pool.runs.give_back(at >> PAGE_SHIFT, 1)
                return
            units &= size_mask  # only overwritten sizes add up to this
        behind_at = header_at + (units << ulong_shift)
        if behind_at & PAGE_ULONGS_MASK:
            if header_at ^ behind_at > PAGE_ULONGS_MASK:
                self.check_mapped_behind(pool, behind_at)
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

    # --- the rarer ways -----------------------------------------------------------------

    def allocate_otherwise(self, plan: PoolPlan) -> int:
        """Serve a request for zeros or whole pages, or refuse one that must not be made now."""
        if self._machine.gate <= plan.max_irql:
            address = self.allocate(plan.unzeroed)
            if address:
                self._memory.write(address, bytes(max(plan.request.size, 1)))
            return address
        pool, tag, (pool_type, size, *_) = plan.pool, plan.tag, plan.request
        if (
            self._machine.gate > (1 if pool.paged else 2)
            or tag in REFUSED_TAGS
            or pool_type & MUST_SUCCEED_BIT
        ):
            self._stops.refuse_allocate(pool_type, size, tag)
        return self.big.allocate(plan)

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
        header_at = (page << PAGE_ULONGS_SHIFT) + (units << self._ulong_shift)
        arena.ulongs[header_at] = units | rest << 16
        arena.ulongs[header_at + 1] = FREE_TAG
        address = pool.base + (page << PAGE_SHIFT) + self._header_size
        if rest > 1:
            pool.insert_tail(address + (units << self._unit_shift), rest)
        return address

    def free_unmarked(self, address: int, tag: int) -> None:
        """Free what is not a live block with a header, as far as the marks know."""
        machine = self._machine
        machine.check_running()
        if not 0 <= address < 1 << self._memory.arch.address_bits:
            raise ValueError(f"address {address:#x} does not fit a pointer")
        if self.big.free(address, tag):
            return
        pool = self._pools_by_region.get(address >> self._region_shift)
        if not address & PAGE_MASK:
            # Choice of two documented stops: a page in a pool that nobody allocated lacks its
            # tracking entry; any other address is invalid.
            if pool is not None:
                self._stops.not_tracked(pool.name, address)
            if address < self._memory.arch.system_start:
                self._stops.user_address(address)
            self._stops.invalid_address(address)
        # Reading the header comes first, and faults where there is none.
        in_use = self._stops.ulong1(address - self._header_size) & self._in_use_bit
        if pool is None or address & self._unit_mask:
            # Choice: memory that is no pool, and addresses between units, are invalid.
            self._stops.invalid_address(address)
        if not in_use:
            self._stops.already_freed(address)
        at = address - pool.base
        if pool.arena.states[at >> PAGE_SHIFT] not in (BLOCKS, EXPOSED):
            # Inside a big allocation, where no header of the manager's can be.
            self._stops.invalid_address(address)
        # Bytes that look like the header of a block in use: NT frees it if the next header
        # agrees. From here on this page's headers are no longer the manager's alone.
        self._memory.expose(pool.arena, at >> PAGE_SHIFT)
        pool.arena.marks[at >> self._unit_shift] = mark_of(0)
        self.free(address, tag)

    def _stop_unless_next_agrees(self, address: int, units: int) -> None:
        """Check the next header where BlockSize says that it lies in another page."""
        following = address - self._header_size + (units << self._unit_shift)
        if self._stops.ulong1(following) & self._size_mask != units:
            self._stops.sizes_disagree(address, units)

    def check_mapped_behind(self, pool: PoolDescriptor, behind_at: int) -> None:
        """Before PreviousSize is written where overwritten sizes say, in another page."""
        behind = pool.base + (behind_at << 2)
        if self._memory.is_unmapped(behind, 1):
            pool.fault(behind, write=True)

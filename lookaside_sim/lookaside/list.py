"""The lookaside list that users hold: its hot path, and its life.

How the hot path stays short: the fields are plain attributes, kept exact, and the links are
references from slot to slot (`lookaside_sim.memory.slots`). A hit is taken only when the
entry's slot knows the link; anything else (an empty or full list, an entry the pool did not make, a list
that lies in somebody else's memory, a stopped machine) falls through to `on_memory`, which does
the same on memory.

Invariant, while nothing flushed the list and every entry came from it::

    current depth == (total frees - free misses) - (total allocates - allocate misses)

Source:
    docs/sources.md, lists sections 1 to 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
    ResetCounters,
    SetDepth,
)
from lookaside_sim.lookaside.check import chain, check_list
from lookaside_sim.lookaside.fields import ListFields
from lookaside_sim.lookaside.initialize import ListSettings, settings_or_status
from lookaside_sim.lookaside.on_memory import ListOnMemory
from lookaside_sim.lookaside.place import InMemory, place_at
from lookaside_sim.lookaside.routines import AllocateRoutine, FreeRoutine
from lookaside_sim.lookaside.shared import ListHost
from lookaside_sim.lookaside.tuning import DISABLED_MAXIMUM_DEPTH
from lookaside_sim.machine.program import Image
from lookaside_sim.memory.rests import Rest
from lookaside_sim.nt.arguments import integer, shown, text, unsigned
from lookaside_sim.nt.layouts import CACHE_LINE
from lookaside_sim.nt.types import ULONG_MASK, NtStatus, PoolTag, PoolType, TagLike


class LookasideList(ListOnMemory):
    """A LOOKASIDE_LIST_EX in simulated memory, not yet initialized.

    As a context manager it deletes itself on exit if it is still active.

    Args:
        kernel: the machine it lives on.
        name: symbol at its address, as debuggers print it; may be empty.
        address: where it lies, aligned to 16 bytes on x64: an address in a live
            pool block or in a region that can be written (the structure is then part of that
            memory), the address of a list that is not active (the memory is the same), or any
            unmapped address outside the pools. None takes the next place in a driver's zeroed
            data section. Whoever follows a link to a structure gives the place itself, and
            nothing is checked.
        older: whether the structure is an NPAGED_LOOKASIDE_LIST or PAGED_LOOKASIDE_LIST,
            which are larger. The routines take either.

    Attributes:
        address: where it lies.
        name: as given.
        owner: the image that initialized it, or in whose data it lies; None for code outside
            any.

    Raises:
        ValueError: the address is misaligned, already taken, or in a pool or region but not
            entirely within one live block or region.
        BugCheck: the machine has stopped.

    Source:
        [doc] LOOKASIDE_LIST_EX; docs/sources.md, lists section 1. Choice: a structure at an
        unmapped address makes a new piece of zeroed driver data there.
    """

    __slots__ = ("__weakref__", "owner")

    owner: Image | None

    def __new__(
        cls,
        kernel: ListHost,
        name: str = "",
        address: int | InMemory | None = None,
        *,
        older: bool = False,
    ) -> LookasideList:
        """Make a list of the kind that the machine has."""
        return object.__new__(kernel.lists.kind if cls is LookasideList else cls)

    def __init__(
        self,
        kernel: ListHost,
        name: str = "",
        address: int | InMemory | None = None,
        *,
        older: bool = False,
    ) -> None:
        shared = kernel.lists
        machine = shared.machine
        self._shared = shared
        self._machine = machine
        self._memory = machine.memory
        self._slots = machine.memory.slots.by_address if machine.memory.caching else {}
        self._pool = shared.pool
        self._requests = shared.pool.requests
        self._active = False
        self._leases = ()
        self._tail = b""
        self.owner = None
        self.name = text("name", name)
        ListFields.__init__(self, machine.arch)
        self._prepare_misses()
        if isinstance(address, InMemory):
            self._place, self.address = address, address.address
            return
        machine.check_running()
        arch = machine.arch
        size = arch.older_lookaside_size if older else arch.lookaside_size
        if address is None:
            self._place = None
            address = machine.program.find_data_place(size, CACHE_LINE if older else 0)
        else:
            address = unsigned("address", address, arch.address_bits)
            self._place = place_at(machine, shared.pool, address, size)
        self.address = address
        there = self._memory.structure_at(address)
        if self._place is not None:
            self.rest()
        elif isinstance(there, (LookasideList, Rest)) and there.address == address:
            self._take_over(there, size)
        else:
            self._tail = bytes(size - arch.lookaside_size)
            self._memory.attach(self)

    def _take_over(self, old: LookasideList | Rest, size: int) -> None:
        """Become the object for the structure of an inactive list, bytes and all."""
        if isinstance(old, LookasideList) and old.is_active:
            raise ValueError(f"address {self.address:#x}: the active list {old!r} is there")
        if old.image_size < size:
            raise ValueError(
                f"address {self.address:#x}: the structure there has {old.image_size:#x} bytes,"
                f" and {size:#x} are needed"
            )
        image = old.store_image()
        self._memory.take_over(old, self)
        self.load_image(image)
        if isinstance(old, LookasideList):
            old.move_out(InMemory(self._machine, self.address, old.image_size))

    # --- initialize ----------------------------------------------------------------------

    def initialize(
        self,
        *,
        pool_type: PoolType | int = PoolType.NonPagedPool,
        size: int,
        tag: TagLike,
        flags: int = 0,
        depth: int = 0,
        allocate: AllocateRoutine | None = None,
        free: FreeRoutine | None = None,
    ) -> NtStatus:
        """Initialize the list, as ExInitializeLookasideListEx does.

        On success the structure is written whole and appended to the system-wide list of
        nonpaged or paged lookaside lists. On failure nothing is written.

        Args:
            pool_type: pool the entries come from.
            size: bytes an entry must have; raised to one pointer. The field keeps 32 bits,
                which nothing checks: 4 GiB become 0.
            tag: pool tag of the entries.
            flags: EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL (1),
                EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE (2) or 0.
            depth: 0, or 256 to 1024 for the MaximumDepth (documented as "always zero").
            allocate: called with (pool type, bytes, tag, list) when the list is empty; None
                for ExAllocatePoolWithTag.
            free: called with (entry, list) when the list is full, and by flush and delete;
                None for ExFreePool.

        Returns:
            STATUS_SUCCESS, or, checked in this order, STATUS_INVALID_PARAMETER_8 (depth),
            STATUS_INVALID_PARAMETER_5 (flags), STATUS_INVALID_PARAMETER_4 (pool type).

        Raises:
            TypeError, ValueError: an argument no caller could pass.
            BugCheck: KERNEL_SECURITY_CHECK_FAILURE (3) when the system-wide list's end is
                corrupt.

        Source:
            [doc] ExInitializeLookasideListEx; docs/sources.md, lists section 3.
        """
        machine = self._machine
        machine.check_running()
        pool_type = unsigned("pool_type", pool_type, 32)
        size = unsigned("size", size, machine.arch.pointer_size * 8)
        flags = unsigned("flags", flags, 32)
        depth = integer("depth", depth)
        tag = PoolTag(tag)
        _check_routines(allocate, free)
        settings = settings_or_status(
            machine.arch, pool_type=pool_type, size=size, tag=tag, flags=flags, depth=depth
        )
        call = InitializeList(self, size, settings)
        return machine.hooks.run(call, self._set_up, settings, allocate, free)

    def initialize_older(
        self,
        *,
        pool_type: int,
        size: int,
        tag: TagLike,
        allocate: AllocateRoutine | None = None,
        free: FreeRoutine | None = None,
    ) -> None:
        """Initialize the list as the older N and Paged families do: nothing is checked.

        Args:
            pool_type: the pool type with the flags OR-ed in.
            size: bytes of an entry; no minimum applies.
            tag: pool tag.
            allocate: as for `initialize`.
            free: as for `initialize`.

        Raises:
            TypeError, ValueError: an argument no caller could pass.

        Source:
            [doc] ExInitializeNPagedLookasideList, ExInitializePagedLookasideList;
            docs/sources.md, lists section 5.
        """
        machine = self._machine
        machine.check_running()
        size = unsigned("size", size, machine.arch.pointer_size * 8)
        settings = ListSettings(unsigned("pool_type", pool_type, 32), size, PoolTag(tag))
        _check_routines(allocate, free)
        call = InitializeList(self, size, settings, is_older=True)
        machine.hooks.run(call, self._set_up_older, settings, allocate, free)

    def _set_up_older(
        self,
        settings: ListSettings,
        allocate: AllocateRoutine | None,
        free: FreeRoutine | None,
    ) -> None:
        self._set_up(settings, allocate, free, True)
        lock = self.arch.obsolete_lock_offset
        if lock is not None and lock < self.image_size:
            self._memory.write_pointer(self.address + lock, 0)

    def _set_up(
        self,
        settings: ListSettings | NtStatus,
        allocate: AllocateRoutine | None,
        free: FreeRoutine | None,
        older: bool = False,
    ) -> NtStatus:
        """Write every field and append the list to its system-wide list."""
        if isinstance(settings, NtStatus):
            return settings
        shared, routines = self._shared, self._shared.routines
        if self._place is not None:
            self._place.fetch(self)  # finds out whether the memory is still there
        links = self._flink, self._blink
        self.set_fields(bytes(self.arch.lookaside_size))
        # Inserting writes the links. Those of an active list lead into the system-wide list yet.
        self._flink, self._blink = links
        self._depth = shared.minimum_depth
        self._maximum_depth = settings.maximum_depth if self._depth else DISABLED_MAXIMUM_DEPTH
        self._type = settings.pool_type
        self._size = settings.size & ULONG_MASK
        self._tag = int(settings.tag)
        self._allocate_ex = routines.allocate_address(allocate, older=older)
        self._free_ex = routines.free_address(free, older=older)
        self._leases = routines.lease(self._allocate_ex, self._free_ex)
        self._prepare_misses()
        if self._place is not None:
            self._place.put_back(self)
        shared.registry.insert(self, paged=bool(settings.pool_type & 1))
        self._active = True
        program = self._machine.program
        self.owner = program.owner_of(self.address) or program.current
        return NtStatus.STATUS_SUCCESS

    # --- allocate and free ---------------------------------------------------------------

    def allocate(self) -> int | None:
        """Take the newest free entry, or ask the allocate routine for one.

        Counts one allocate and, when the list was empty, one miss, whether or not the
        routine had memory. The entry is not initialized: its first pointer is the old link,
        the rest as its last owner left it.

        Cost: constant for a hit; for a miss that of the allocate routine.

        Returns:
            The entry's address; None when the routine returned NULL.

        Raises:
            NtStatusError: STATUS_INSUFFICIENT_RESOURCES, when the list was made with
                RAISE_ON_FAIL and the pool is exhausted. The call is counted.
            BugCheck: what the pool stops for on a miss; PAGE_FAULT_IN_NONPAGED_AREA when a
                forged link is followed, or the list was never initialized.

        Source:
            [doc] ExAllocateFromLookasideListEx; docs/sources.md, lists sections 2 and 4.
        """
        held = self._held
        if held:
            slot = self._head
            link = slot.flink
            if link is not None:  # UNKNOWN, whose name costs a look more
                self._head = link
                self._held = held - 1
                self._pops += 1
                return slot.address
        elif self._plan is not None and self._machine.is_plain and not self._head.address:
            # An empty list with the default routine, on a running machine nobody listens to.
            self._missed_allocates += 1
            return self._requests.top.allocate(self._plan) or None
        return self._allocate_slowly()

    def free(self, entry: int | None) -> None:
        """Give an entry back: onto the list, or to the free routine when the list is full.

        Counts one free and, when the list was full, one miss. Nothing checks that the entry
        came from this list, or that it is not on it already.

        Cost: constant for a hit; for a full list that of the free routine.

        Args:
            entry: its address.

        Raises:
            BugCheck: what the pool stops for when the list is full;
                PAGE_FAULT_IN_NONPAGED_AREA when the entry's first pointer cannot be written.
            TypeError, ValueError: no address at all; nothing is counted.

        Source:
            [doc] ExFreeToLookasideListEx; docs/sources.md, lists sections 2 and 4.
        """
        held = self._held
        if held < self._depth:
            try:
                slot = self._slots[entry]  # type: ignore[index]
            except (KeyError, TypeError):
                slot = self._memory.cached(entry) or self._memory.slots.null
            # What starts no live block is none of a list's; a float may equal what does.
            if slot.used is entry or (slot.used and type(entry) is int):
                slot.flink = self._head
                self._head = slot
                self._held = held + 1
                return None
        elif type(entry) is int and self._plain_free and self._machine.is_plain:
            # A full list with the default routine, on a running machine nobody listens to.
            self._missed_frees += 1
            try:
                self._requests.top.free(entry)
                return None
            except ValueError:
                # No address: nothing is counted, and the slow path says what is wrong.
                self._missed_frees -= 1
        return self._free_slowly(entry)

    def _allocate_slowly(self) -> int | None:
        machine = self._machine
        if machine.bugcheck is not None:
            machine.check_running()
        if machine.hooks.listening:
            return machine.hooks.run(AllocateEntry(self), self._allocate_as_owner)
        return self._allocate_as_owner()

    def _allocate_as_owner(self) -> int | None:  # what a driver's list gets is that driver's
        if self._place is not None and (entry := self._place.take()):
            return entry
        program = self._machine.program
        if not program.running:
            image = program.owner_of(self.address)
            if image is not None:
                with image:
                    return self._allocate_in_steps()
        return self._allocate_in_steps()

    def _free_slowly(self, entry: int | None) -> None:
        machine = self._machine
        if machine.bugcheck is not None:
            machine.check_running()
        where = 0 if entry is None else unsigned("entry", entry, self.arch.address_bits)
        if machine.hooks.listening:
            machine.hooks.run(FreeEntry(self, where), self._free_in_steps, where)
        elif self._place is None or not self._place.give(where):
            self._free_in_steps(where)

    # --- flush and delete ----------------------------------------------------------------

    def flush(self) -> None:
        """Take all free entries off at once and give each, newest first, to the free routine.

        No counter changes.

        Raises:
            BugCheck: what the free routine stops for.

        Source:
            [doc] ExFlushLookasideListEx; docs/sources.md, lists section 5.
        """
        self._machine.check_running()
        self._machine.hooks.run(FlushList(self), self._flush)

    def delete(self) -> None:
        """Unlink the list from its system-wide list, then flush it.

        The fields stay as they were. Entries that callers hold are not touched.

        Raises:
            BugCheck: KERNEL_SECURITY_CHECK_FAILURE (3) when the neighbors no longer point at
                this list: it was deleted before, or its links are overwritten.

        Source:
            [doc] ExDeleteLookasideListEx; docs/sources.md, lists section 5.
        """
        self._machine.check_running()
        self._machine.hooks.run(DeleteList(self), self._remove_and_flush)

    def _remove_and_flush(self) -> None:
        self._shared.registry.remove(self)
        self._active = False
        self._flush()

    # --- what the debugger writes ----------------------------------------------------------

    def reset_counters(self) -> None:
        """Zero the four counters and the Last* fields, as ``!lookaside ADDRESS 1`` does."""
        self._machine.check_running()
        self._machine.hooks.run(ResetCounters(self), self._reset_counters)

    def set_depth(self, depth: int) -> None:
        """Write the field Depth, as ``!lookaside ADDRESS 2`` does.

        Args:
            depth: entries, 0 to 65535.
        """
        self._machine.check_running()
        depth = unsigned("depth", depth, 16)
        self._machine.hooks.run(SetDepth(self, depth), self._set_depth, depth)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # After a stop there is nothing left to delete on, and the stop is on its way up.
        if self._active and self._machine.bugcheck is None:
            self.delete()

    # --- what it is ----------------------------------------------------------------------

    def __repr__(self) -> str:
        state = "active" if self._active else "inactive"
        label = f" {self.name}" if self.name else ""
        seen = self.peek()
        if seen is None:
            return f"<LookasideList{label} @ {self.address:#x} not mapped>"
        return (
            f"<LookasideList{label} @ {self.address:#x} {seen.tag!s}"
            f" size={seen.size} depth={seen.current_depth}/{seen.depth} {state}>"
        )

    def entries(self) -> Iterator[int]:
        """The free entries, newest first, as the links in memory give them.

        Raises:
            InvariantError: the chain does not end.
        """
        return chain(self._memory, self.first, repr(self), self.arch.next_entry_lost_bits)

    def check(self) -> None:
        """Verify the list's invariants; see `lookaside_sim.lookaside.check`.

        Cost: of its free entries.

        Raises:
            InvariantError: the first one that does not hold.
        """
        check_list(self, self._pool)


def _check_routines(allocate: object, free: object) -> None:
    """Refuse what cannot be called.

    Raises:
        TypeError: it is neither None nor callable.
    """
    for role, routine in (("allocate", allocate), ("free", free)):
        if routine is not None and not callable(routine):
            raise TypeError(
                f"{role} {shown(routine)}: give a callable, or None for the default"
            )

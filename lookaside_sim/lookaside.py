"""A lookaside list: LOOKASIDE_LIST_EX and the routines that work on it.

Glossary, and what each printed label shows:

* an *entry* is one fixed-size piece of memory that the list hands out and takes back;
* the *free entries* form an SLIST, a LIFO chain whose links lie in the first pointer of the
  entries themselves; *current depth* is how many there are now (``Current Depth``);
* the *depth* is how many there may be (field Depth, printed as ``Max Depth``);
* the *maximum depth* is the ceiling of the depth (field MaximumDepth, not printed).

Invariant, while nothing flushed the list and every entry came from it::

    current depth == (total frees - free misses) - (total allocates - allocate misses)

The list trusts memory, as on NT: a link that was overwritten is followed, an entry freed
twice is handed out twice. No case of misuse is special here.

How the hot path stays short: the fields are plain attributes, kept exact, and the words with
the links are reached through `Memory.links`. A hit is taken only when the entry's word is
cached there; anything else (an empty or full list, an entry the pool did not make, a stopped
machine) falls through to the slow path, which does the same on bytes.

Source:
    docs/sources.md, lists sections 1 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Self

from lookaside_sim.errors import InvariantError, LookasideSimError, NtStatusError
from lookaside_sim.nt.arguments import integer, unsigned
from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT,
    ULONG_MASK,
    USHORT_MASK,
    NtStatus,
    PoolTag,
    PoolType,
    TagLike,
)
from lookaside_sim.tuning import DISABLED_MAXIMUM_DEPTH, SCAN_PERIOD, next_depth

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel
    from lookaside_sim.memory import Memory
    from lookaside_sim.pool.manager import PoolManager, PoolPlan

AllocateRoutine = Callable[[PoolType, int, PoolTag, "LookasideList"], int | None]
"""A LookasideListAllocateEx routine: (pool type, bytes, tag, list) to an address or None."""
FreeRoutine = Callable[[int, "LookasideList"], None]
"""A LookasideListFreeEx routine: (entry, list)."""

_VALID_FLAGS: Final = 3
_VALID_POOL_TYPE_BITS: Final = 0x3E7
_SEQUENCE_BITS: Final = {8: 48, 4: 16}  # by pointer size


class LookasideList:
    """A LOOKASIDE_LIST_EX in simulated memory, not yet initialized.

    As a context manager it deletes itself on exit if it is still active.

    Args:
        kernel: the machine it lives on.
        name: symbol at its address, as debuggers print it; may be empty.
        address: where it lies, aligned to 16 bytes on x64 and 8 on x86: an address in a live
            pool block (the structure is then part of that block), the address of a list that
            is not active (the memory is the same), or any unmapped address outside the
            pools. None takes the next place in a driver's zeroed data section.

    Raises:
        ValueError: the address is misaligned, already taken, or in a pool but not in it
            entirely within one live block.
        BugCheck: the machine has stopped.

    Source:
        [doc] LOOKASIDE_LIST_EX; docs/sources.md, lists section 1. Choice: a structure at an
        unmapped address makes a new piece of zeroed driver data there.
    """

    __slots__ = (
        "_active",
        "_allocate_ex",
        "_allocate_misses",
        "_blink",
        "_depth",
        "_embedded",
        "_first",
        "_flink",
        "_free_ex",
        "_free_misses",
        "_future",
        "_held",
        "_kernel",
        "_last_allocate_misses",
        "_last_total_allocates",
        "_links",
        "_maximum_depth",
        "_memory",
        "_plain_free",
        "_plan",
        "_pool",
        "_reserved",
        "_sequence_base",
        "_size",
        "_tag",
        "_total_allocates",
        "_total_frees",
        "_type",
        "address",
        "name",
    )

    address: int
    name: str
    _kernel: Kernel
    _memory: Memory
    _pool: PoolManager
    _links: dict[int, int]
    _active: bool
    _embedded: bool
    _plan: PoolPlan | None
    _plain_free: bool
    # The structure's fields. Counters only grow here and are wrapped where they are read.
    _first: int
    _held: int
    _sequence_base: int
    _reserved: int
    _depth: int
    _maximum_depth: int
    _total_allocates: int
    _allocate_misses: int
    _total_frees: int
    _free_misses: int
    _type: int
    _tag: int
    _size: int
    _allocate_ex: int
    _free_ex: int
    _flink: int
    _blink: int
    _last_total_allocates: int
    _last_allocate_misses: int
    _future: tuple[int, ...]

    def __new__(
        cls, kernel: Kernel, name: str = "", address: int | None = None
    ) -> LookasideList:
        """Make a list; on a kernel with the sanitizer, one that checks each call."""
        if cls is LookasideList and kernel.sanitizer is not None:
            from lookaside_sim.sanitizer import SanitizedList

            return object.__new__(SanitizedList)
        return object.__new__(cls)

    def __init__(self, kernel: Kernel, name: str = "", address: int | None = None) -> None:
        kernel.check_running()
        self._kernel = kernel
        self._memory = kernel.memory
        self._pool = kernel.pool
        self._links = kernel.memory.links
        self.name = name
        self._active = False
        self._reset(bytes(kernel.arch.lookaside_size))
        self._embedded = False
        if address is None:
            self.address = kernel.place_in_image(kernel.arch.lookaside_size)
        else:
            self.address = unsigned("address", address, kernel.arch.address_bits)
            self._check_place()
        there = self._memory.structure_at(self.address)
        if self._embedded:
            self._hide()
        elif isinstance(there, LookasideList) and there.address == self.address:
            self._take_over(there)
        else:
            self._memory.attach(self)

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
        kernel = self._kernel
        kernel.check_running()
        pool_type = unsigned("pool_type", pool_type, 32)
        size = unsigned("size", size, kernel.arch.pointer_size * 8)
        flags = unsigned("flags", flags, 32)
        depth = integer("depth", depth)
        tag = PoolTag(tag)
        for role, routine in (("allocate", allocate), ("free", free)):
            if routine is not None and not callable(routine):
                raise TypeError(f"{role} {routine!r}: give a callable, or None for the default")

        if kernel.verification is not None:
            kernel.verification.check_list_size(self, size)
        if depth == 0:
            depth = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE
        elif not EX_MAXIMUM_LOOKASIDE_DEPTH_BASE <= depth <= EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT:
            return NtStatus.STATUS_INVALID_PARAMETER_8
        size = max(size, kernel.arch.minimum_entry_size)
        if flags & ~_VALID_FLAGS or flags == _VALID_FLAGS:
            return NtStatus.STATUS_INVALID_PARAMETER_5
        if pool_type & ~_VALID_POOL_TYPE_BITS or pool_type & 3 == 3:
            return NtStatus.STATUS_INVALID_PARAMETER_4
        if flags & EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL:
            pool_type |= PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE
        elif flags & EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE:
            pool_type |= PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
        self.set_up(
            pool_type=int(pool_type),
            size=size,
            tag=tag,
            maximum_depth=depth,
            allocate_ex=kernel.routines.allocate_address(allocate),
            free_ex=kernel.routines.free_address(free),
        )
        return NtStatus.STATUS_SUCCESS

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
        kernel = self._kernel
        kernel.check_running()
        size = unsigned("size", size, kernel.arch.pointer_size * 8)
        if kernel.verification is not None:
            kernel.verification.check_list_size(self, size)
        self.set_up(
            pool_type=unsigned("pool_type", pool_type, 32),
            size=size,
            tag=PoolTag(tag),
            maximum_depth=EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
            allocate_ex=kernel.routines.allocate_address(allocate),
            free_ex=kernel.routines.free_address(free),
        )

    def set_up(
        self,
        *,
        pool_type: int,
        size: int,
        tag: PoolTag,
        maximum_depth: int,
        allocate_ex: int,
        free_ex: int,
    ) -> None:
        """Write every field and append the list to its system-wide list.

        What the initialize routines of all families share, once they have checked their
        arguments; call `initialize` or a `lookaside_sim.ddi` routine instead.

        Args:
            pool_type: the field Type.
            size: the field Size, in bytes.
            tag: the field Tag.
            maximum_depth: the field MaximumDepth, unless lists are disabled.
            allocate_ex: address of the allocate routine.
            free_ex: address of the free routine.
        """
        kernel = self._kernel
        if kernel.verification is not None:
            kernel.verification.check_list_initialize(self)
        if self._embedded:
            self._load()  # finds out whether the memory is still there
        flink, blink = self._flink, self._blink
        self._reset(bytes(kernel.arch.lookaside_size))
        # Inserting is what writes the links. Those of a list that is active still lead into
        # the system-wide list meanwhile.
        self._flink, self._blink = flink, blink
        self._depth = kernel.minimum_lookaside_depth
        self._maximum_depth = maximum_depth if self._depth else DISABLED_MAXIMUM_DEPTH
        self._type = pool_type
        self._size = size & ULONG_MASK
        self._tag = int(tag)
        self._allocate_ex = allocate_ex
        self._free_ex = free_ex
        self._prepare_misses()
        if self._embedded:
            self._store()
        kernel.registry.insert(self, paged=bool(pool_type & 1))
        self._active = True
        kernel.drivers.list_initialized(self)
        if kernel.drivers.owner_of(self) is not None:
            self._plan = None  # what it allocates belongs to its driver: see _allocate_slowly
        if kernel.observer is not None:
            kernel.observer.list_initialized(self)

    # --- allocate and free ---------------------------------------------------------------

    def allocate(self) -> int | None:
        """Take the newest free entry, or ask the allocate routine for one.

        Counts one allocate and, when the list was empty, one miss, whether or not the
        routine had memory. The entry is not initialized: its first pointer is the old link,
        the rest as its last owner left it.

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
            entry = self._first
            try:
                self._first = self._links[entry]
            except KeyError:
                return self._allocate_slowly()
            self._held = held - 1
            self._total_allocates += 1
            return entry
        if not self._first and self._plan is not None and self._memory.caching:
            # An empty list with the default routine, on a running machine nobody listens to.
            self._total_allocates += 1
            self._allocate_misses += 1
            return self._pool.allocate_planned(self._plan) or None
        return self._allocate_slowly()

    def free(self, entry: int | None) -> None:
        """Give an entry back: onto the list, or to the free routine when the list is full.

        Counts one free and, when the list was full, one miss. Nothing checks that the entry
        came from this list, or that it is not on it already.

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
            links = self._links
            # What is no int is in no cache, and told apart there: no type check on a hit.
            if entry in links or self._memory.cache(entry):
                links[entry] = self._first  # type: ignore[index]
                self._first = entry  # type: ignore[assignment]
                self._held = held + 1
                self._total_frees += 1
                return
        elif type(entry) is int and self._plain_free and self._memory.caching:
            # A full list with the default routine, on a running machine nobody listens to.
            self._total_frees += 1
            self._free_misses += 1
            try:
                self._pool.free_block(entry)
                return
            except ValueError:
                # No address: nothing is counted, and the slow path says what is wrong.
                self._total_frees -= 1
                self._free_misses -= 1
        self._free_slowly(entry)

    def _allocate_slowly(self) -> int | None:
        drivers = self._kernel.drivers
        if drivers.all and not drivers.running:
            owner = drivers.owner_of(self)
            if owner is not None:
                with owner:
                    return self._allocate_slowly()
        observer = self._kernel.observer
        if observer is None:
            return self._allocate_through_memory()
        entry = None
        try:
            entry = self._allocate_through_memory()
        except NtStatusError:
            observer.list_allocated(self, None)  # it is counted, so it is told
            raise
        observer.list_allocated(self, entry)
        return entry

    def _allocate_through_memory(self) -> int | None:
        kernel = self._kernel
        kernel.check_running()
        if self._embedded:
            self._load()
        self._total_allocates += 1
        if self._first:
            entry: int | None = self._pop()
            if self._embedded:
                self._store()
        else:
            self._allocate_misses += 1
            routine_address = self._allocate_ex
            pool_type, size, tag = self._type, self._size, self._tag
            if self._embedded:
                self._store()
            if routine_address == kernel.routines.default_allocate:
                plan = kernel.pool.plan(pool_type, size, tag)
                if not self._embedded:
                    self._plan = plan
                entry = kernel.pool.allocate_planned(plan)
            else:
                routine = kernel.routines.allocate_routine(routine_address)
                with kernel.unobserved():
                    entry = routine(PoolType(pool_type), size, PoolTag(tag), self)
        return entry or None

    def _free_slowly(self, entry: int | None) -> None:
        kernel = self._kernel
        kernel.check_running()
        where = 0 if entry is None else unsigned("entry", entry, kernel.arch.address_bits)
        if self._embedded:
            self._load()
        self._total_frees += 1
        if self._held >= self._depth:
            self._free_misses += 1
            routine_address = self._free_ex
            if self._embedded:
                self._store()
            self._give_back(where, routine_address)
        else:
            self._push(where)
            if self._embedded:
                self._store()
        if kernel.observer is not None:
            kernel.observer.list_freed(self, where)

    def _give_back(self, entry: int, routine_address: int) -> None:
        """Call the free routine at an address for one entry."""
        kernel = self._kernel
        if routine_address == kernel.routines.default_free:
            kernel.pool.free_block(entry)
        else:
            routine = kernel.routines.free_routine(routine_address)
            with kernel.unobserved():
                routine(entry, self)

    # --- the SLIST (docs/sources.md, lists section 2) -----------------------------------------

    def _pop(self) -> int:
        """InterlockedPopEntrySList on a list with a first entry, through memory."""
        entry = self._first
        link = self._links.get(entry)
        if link is None:
            link = self._memory.read_pointer(entry)
        self._first = self._as_next_entry(link)
        if self._first == link:
            self._memory.cache(entry)
        self._held = self._held - 1 & USHORT_MASK
        return entry

    def _push(self, entry: int) -> None:
        """InterlockedPushEntrySList, through memory."""
        self._memory.cache(entry)
        self._sequence_base -= 1  # the free is counted already, and may still fault
        if entry in self._links:
            self._links[entry] = self._first
        else:
            self._memory.write_pointer(entry, self._first)
        self._first = self._as_next_entry(entry)
        self._held = self._held + 1 & USHORT_MASK
        self._sequence_base += 1

    def _as_next_entry(self, address: int) -> int:
        """What remains of an address in the header: on x64 its low 4 bits have no room."""
        return address & ~self._kernel.arch.next_entry_lost_bits

    @property
    def _sequence(self) -> int:
        """Sequence of the SLIST header: one more with every push, wrapping.

        Every counted free that did not miss is a push, so the hot path has one store less.
        """
        pushes = self._sequence_base + self._total_frees - self._free_misses
        return pushes & (1 << _SEQUENCE_BITS[self._kernel.arch.pointer_size]) - 1

    # --- flush and delete ----------------------------------------------------------------

    def flush(self) -> None:
        """Take all free entries off at once and give each, newest first, to the free routine.

        No counter changes.

        Raises:
            BugCheck: what the free routine stops for.

        Source:
            [doc] ExFlushLookasideListEx; docs/sources.md, lists section 5.
        """
        self._flush()
        if self._kernel.observer is not None:
            self._kernel.observer.list_flushed(self)

    def delete(self) -> None:
        """Unlink the list from its system-wide list, then flush it.

        The fields stay as they were. Entries that callers hold are not touched.

        Raises:
            BugCheck: KERNEL_SECURITY_CHECK_FAILURE (3) when the neighbors no longer point at
                this list: it was deleted before, or its links are overwritten.

        Source:
            [doc] ExDeleteLookasideListEx; docs/sources.md, lists section 5.
        """
        kernel = self._kernel
        kernel.check_running()
        if kernel.verification is not None:
            kernel.verification.check_list_delete(self)
        kernel.registry.remove(self)
        kernel.drivers.list_deleted(self)
        self._active = False
        self._flush()
        if self._kernel.observer is not None:
            self._kernel.observer.list_deleted(self)

    def _flush(self) -> None:
        self._kernel.check_running()
        if self._embedded:
            self._load()
        entry = self._first
        self._first = 0
        self._held = 0
        routine_address = self._free_ex
        if self._embedded:
            self._store()
        while entry:
            link = self._links.get(entry)
            if link is None:
                link = self._memory.read_pointer(entry)
            self._give_back(entry, routine_address)
            entry = self._as_next_entry(link)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # After a stop there is nothing left to delete on, and the stop is on its way up.
        if self._active and self._kernel.bugcheck is None:
            self.delete()

    # --- the fields ----------------------------------------------------------------------

    @property
    def total_allocates(self) -> int:
        """TotalAllocates: allocate calls, as a ULONG."""
        return self._current()._total_allocates & ULONG_MASK

    @property
    def allocate_misses(self) -> int:
        """AllocateMisses: allocate calls that found the list empty, as a ULONG."""
        return self._current()._allocate_misses & ULONG_MASK

    @property
    def total_frees(self) -> int:
        """TotalFrees: free calls, as a ULONG."""
        return self._current()._total_frees & ULONG_MASK

    @property
    def free_misses(self) -> int:
        """FreeMisses: free calls that found the list full, as a ULONG."""
        return self._current()._free_misses & ULONG_MASK

    @property
    def last_total_allocates(self) -> int:
        """LastTotalAllocates: TotalAllocates at the last depth scan."""
        return self._current()._last_total_allocates & ULONG_MASK

    @property
    def last_allocate_misses(self) -> int:
        """LastAllocateMisses: AllocateMisses at the last depth scan."""
        return self._current()._last_allocate_misses & ULONG_MASK

    @property
    def depth(self) -> int:
        """Depth: entries the list may hold now."""
        return self._current()._depth

    @property
    def maximum_depth(self) -> int:
        """MaximumDepth: ceiling of the depth; 0xFFFF marks a disabled list."""
        return self._current()._maximum_depth

    @property
    def current_depth(self) -> int:
        """ListHead.Depth: entries on the list now."""
        return self._current()._held

    @property
    def size(self) -> int:
        """Size: bytes of an entry, the minimum applied."""
        return self._current()._size

    @property
    def tag(self) -> PoolTag:
        """Tag of the entries."""
        return PoolTag(self._current()._tag)

    @property
    def type(self) -> PoolType:
        """Type: the pool type with the flags' bits merged in."""
        return PoolType(self._current()._type)

    @property
    def arch(self) -> Architecture:
        """The machine it lives on."""
        return self._kernel.arch

    @property
    def has_default_routines(self) -> bool:
        """Whether entries come from and go back to the pool straight."""
        current, routines = self._current(), self._kernel.routines
        return (
            current._allocate_ex == routines.default_allocate
            and current._free_ex == routines.default_free
        )

    @property
    def is_active(self) -> bool:
        """Whether the list was initialized and not yet deleted."""
        return self._active

    def __bytes__(self) -> bytes:
        """The structure as it lies in memory."""
        return self._look() if self._embedded else self.store_image()

    def __repr__(self) -> str:
        state = "active" if self._active else "inactive"
        label = f" {self.name}" if self.name else ""
        if self._embedded and not self._is_mapped():
            return f"<LookasideList{label} @ {self.address:#x} not mapped>"
        return (
            f"<LookasideList{label} @ {self.address:#x} {self.tag!s}"
            f" size={self.size} depth={self.current_depth}/{self.depth} {state}>"
        )

    # --- the structure in memory (docs/sources.md, lists section 1) ---------------------------

    @property
    def image_size(self) -> int:
        """Bytes of the structure."""
        return self._kernel.arch.lookaside_size

    def store_image(self) -> bytes:
        """Render the fields as the structure's bytes."""
        arch = self._kernel.arch
        if arch.pointer_size == 8:
            head = (self._held | self._sequence << 16).to_bytes(8, "little")
            head += (self._first | self._reserved).to_bytes(8, "little")
        else:
            head = (self._first | self._held << 32 | self._sequence << 48).to_bytes(8, "little")
        return head + arch.lookaside_list.pack(
            self._depth,
            self._maximum_depth,
            self._total_allocates & ULONG_MASK,
            self._allocate_misses & ULONG_MASK,
            self._total_frees & ULONG_MASK,
            self._free_misses & ULONG_MASK,
            self._type,
            self._tag,
            self._size,
            self._allocate_ex,
            self._free_ex,
            self._flink,
            self._blink,
            self._last_total_allocates & ULONG_MASK,
            self._last_allocate_misses & ULONG_MASK,
            *self._future,
        )

    def load_image(self, image: bytes) -> None:
        """Take every field over from the structure's bytes."""
        self._kernel.registry.forget_walks()
        self._reset(image)

    def _reset(self, image: bytes) -> None:
        arch = self._kernel.arch
        (
            self._depth,
            self._maximum_depth,
            self._total_allocates,
            self._allocate_misses,
            self._total_frees,
            self._free_misses,
            self._type,
            self._tag,
            self._size,
            self._allocate_ex,
            self._free_ex,
            self._flink,
            self._blink,
            self._last_total_allocates,
            self._last_allocate_misses,
            *future,
        ) = arch.lookaside_list.unpack_from(image, arch.slist_header_size)
        self._future = tuple(future)
        low = int.from_bytes(image[:8], "little")
        if arch.pointer_size == 8:
            high = int.from_bytes(image[8:16], "little")
            self._held = low & USHORT_MASK
            self._first = high & ~arch.next_entry_lost_bits
            self._reserved = high & arch.next_entry_lost_bits
            sequence = low >> 16
        else:
            self._first = low & ULONG_MASK
            self._held = low >> 32 & USHORT_MASK
            self._reserved = 0
            sequence = low >> 48
        self._sequence_base = sequence - (self._total_frees - self._free_misses)
        self._prepare_misses()

    def _prepare_misses(self) -> None:
        """Find out whether misses go straight to the pool."""
        self._plain_free = self._free_ex == self._kernel.routines.default_free
        self._plan = None  # made by the first miss, so that looking at a list plans nothing

    # A structure inside a pool block is not cached: whoever frees or overwrites the block
    # changes the list. Each operation loads the fields and stores them back, and in between
    # they are blanked so that no call can take the hot path.

    def _load(self) -> None:
        kernel = self._kernel
        if kernel.verification is not None:
            kernel.verification.check_touch(self.address, self.image_size, 0, by_driver=False)
        self._reset(self._memory.read(self.address, self.image_size))

    def _store(self) -> None:
        self._memory.write(self.address, self.store_image())
        self._hide()

    def _hide(self) -> None:
        self._held = 0
        self._depth = 0
        self._plain_free = False
        self._plan = None

    def entries(self) -> Iterator[int]:
        """The free entries, newest first, as the links in memory give them.

        Raises:
            InvariantError: the chain does not end.
        """
        current = self._current()
        entry, seen = current._first, set[int]()
        while entry:
            if entry in seen:
                raise InvariantError(
                    f"the free entries of {self!r} run in a ring at {entry:#x}"
                )
            seen.add(entry)
            yield entry
            entry = self._as_next_entry(self._memory.read_pointer(entry))

    def check(self) -> None:
        """Verify the list's invariants.

        The chain has as many entries as the header says; each lies in a live pool block with
        room for an entry; the fields are in their ranges.

        Raises:
            InvariantError: the first one that does not hold.
        """
        entries = list(self.entries())
        if len(entries) != self.current_depth:
            raise InvariantError(
                f"{self!r} says it has {self.current_depth} entries and has {len(entries)}"
            )
        for entry in entries:
            block = self._pool.find(entry)
            if block is None or entry + self.size > block.address + block.size:
                raise InvariantError(
                    f"the free entry {entry:#x} of {self!r} is in no live block"
                )
        if self.maximum_depth != DISABLED_MAXIMUM_DEPTH and self.depth > self.maximum_depth:
            raise InvariantError(f"{self!r}: depth is over maximum depth {self.maximum_depth}")

    @classmethod
    def over_memory(cls, kernel: Kernel, address: int) -> LookasideList:
        """Take whatever lies at an address for a list, as code that follows a link does."""
        found = object.__new__(cls)
        found._kernel = kernel
        found._memory = kernel.memory
        found._links = kernel.memory.links
        found._pool = kernel.pool
        found.name = ""
        found.address = address
        found._active = False
        found._embedded = True
        found._reset(bytes(kernel.arch.lookaside_size))
        return found

    def _current(self) -> Self:
        if not self._embedded:
            return self
        view = object.__new__(type(self))
        view._kernel = self._kernel
        view._pool = self._pool
        view._reset(self._look())
        return view

    def _is_mapped(self) -> bool:
        return self._memory.is_mapped(self.address, self.image_size)

    def _look(self) -> bytes:
        """Read the structure as a debugger does: that it is gone does not stop the machine."""
        if not self._is_mapped():
            raise LookasideSimError(
                f"the pool block with the lookaside list at {self.address:#x} was freed, and"
                " nothing is mapped there any more"
            )
        return self._memory.read(self.address, self.image_size)

    def _take_over(self, old: LookasideList) -> None:
        """Become the object for the structure of an inactive list, bytes and all."""
        if old._active:
            raise ValueError(f"address {self.address:#x}: the active list {old!r} is there")
        image = old.store_image()
        self._memory.take_over(old, self)
        self._reset(image)
        # Whoever still has the old object works on the memory that is the new one's.
        old._embedded = True
        old._hide()

    def _check_place(self) -> None:
        """Decide whether the structure lies in a pool block or is driver data of its own."""
        kernel, address = self._kernel, self.address
        alignment = kernel.arch.lookaside_alignment
        if address % alignment:
            raise ValueError(
                f"address {address:#x}: a LOOKASIDE_LIST_EX is aligned to {alignment} bytes"
            )
        if kernel.pool.descriptor_at(address) is None:
            return
        block = kernel.pool.find(address)
        if block is None or address + self.image_size > block.address + block.size:
            raise ValueError(
                f"address {address:#x}: the {self.image_size:#x} bytes there are not"
                " inside one live pool block"
            )
        self._embedded = True

    # --- for tests, the balance set manager and the registry ---------------------------------

    def adjust_depth(self, minimum_depth: int) -> None:
        """One scan of the balance set manager: sample the counters, set the depth.

        Args:
            minimum_depth: the system's minimum, in entries.

        Source:
            docs/sources.md, lists section 6.
        """
        if self._embedded:
            self._load()
        total = self._total_allocates
        misses = self._allocate_misses
        new_allocates = total - self._last_total_allocates
        new_misses = misses - self._last_allocate_misses
        # An untouched list at the minimum is a fixed point of the rule.
        if new_allocates or new_misses or self._depth != minimum_depth:
            self._last_total_allocates = total
            self._last_allocate_misses = misses
            self._depth = next_depth(
                self._depth,
                self._maximum_depth,
                new_allocates & ULONG_MASK,
                new_misses & ULONG_MASK,
                SCAN_PERIOD,
                minimum_depth,
            )
        if self._embedded:
            self._store()

    @property
    def next_entry(self) -> int | None:
        """ListEntry.Flink where the object knows it; None where memory must be asked."""
        if self._embedded and not self._kernel.drivers.is_unloaded(self.address):
            return None
        return self._flink

    @property
    def is_embedded(self) -> bool:
        """Whether the structure lies in a pool block."""
        return self._embedded

    def lose_memory(self) -> None:
        """The structure's memory is unmapped: from now on every use is a touch of it."""
        self._embedded = True
        self._hide()

    def disable(self) -> None:
        """Let the list hold nothing any more: Depth 0, MaximumDepth 0xFFFF."""
        if self._embedded:
            self._load()
        self._depth = 0
        self._maximum_depth = DISABLED_MAXIMUM_DEPTH
        if self._embedded:
            self._store()

    def reset_counters(self) -> None:
        """Zero the four counters and the Last* fields, as ``!lookaside ADDRESS 1`` does."""
        self._kernel.check_running()
        if self._embedded:
            self._load()
        self._sequence_base = self._sequence
        self._total_allocates = self._allocate_misses = 0
        self._total_frees = self._free_misses = 0
        self._last_total_allocates = self._last_allocate_misses = 0
        if self._embedded:
            self._store()

    def set_depth(self, depth: int) -> None:
        """Write the field Depth, as the balance set manager and ``!lookaside ADDRESS 2`` do.

        Args:
            depth: entries, 0 to 65535.
        """
        self._kernel.check_running()
        depth = unsigned("depth", depth, 16)
        if self._embedded:
            self._load()
        self._depth = depth
        if self._embedded:
            self._store()

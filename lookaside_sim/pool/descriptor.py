"""One pool: its pages and its free lists.

Glossary, used throughout the pool manager:

* a *unit* is the granularity of block sizes: 16 bytes on x64, 8 on x86;
* a *block* is a header and a body; its address, for a caller, is that of the body;
* an *entry* of a free list is the LIST_ENTRY in the body of a free block, so its address
  is also the body's;
* list ``i`` holds free blocks of ``i + 1`` units.

Source:
    docs/sources.md, pool section 3 (ListHeads; a free block of k units is on ListHeads[k-1]).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NoReturn, TypeAlias

from lookaside_sim.errors import InvariantError
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import BLOCKS, EXPOSED, RETURNED
from lookaside_sim.memory.slots import UNKNOWN, Slot
from lookaside_sim.memory.zeros import Buffer
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE
from lookaside_sim.pool.accounting import Side
from lookaside_sim.pool.pages import PageRuns

StopFunction = Callable[[BugCheckCode, tuple[int, int, int, int], str], NoReturn]

HotTuple: TypeAlias = tuple[
    int,
    memoryview,
    memoryview,
    bytearray,
    Buffer,
    dict[int, Side],
    bytearray,
    list[int],
]

_FREE_LINK_DAMAGED: Final = 3  # BAD_POOL_HEADER, parameter 1
_CACHED_PAGES_PAGED: Final = 1
_CACHED_PAGES_NONPAGED: Final = 3
"""Longest run of freed pages that goes to a page cache and so stays mapped. Choice, where the
depth of these caches is not known: they take every such run."""
_SPARE_PAGES: Final = 64
"""Pages of address space that every pool has beyond its limit, so that freed runs of pages
can wait for their size to be asked for again."""


@lru_cache
def _empty_heads(base: int, pointer_size: int) -> tuple[list[int], bytes]:
    """The addresses of the list heads, and the page of heads that all point at themselves."""
    addresses = list(range(base, base + PAGE_SIZE, 2 * pointer_size))
    page = b"".join(2 * address.to_bytes(pointer_size, "little") for address in addresses)
    return addresses, page


class PoolDescriptor:
    """A pool: NonPaged, NonPagedNx or Paged.

    The heads of the free lists fill the first page of the pool's arena, and a head is linked
    like any entry, so no list operation has a special case. Positions in the arena are *at*,
    bytes from its base.

    Args:
        name: as tools print it.
        memory: the address space.
        base: address of the pool.
        limit: pages it may use.
        sides: the side of the tag table that its blocks are charged to.
        stop: stops the machine.
        history: the end of a sentence on the block at an address.
        paged: whether its blocks may be paged out.
        is_nx: whether they cannot be executed.

    Attributes:
        arena: its memory.
        cached_pages: longest run of freed pages that stays mapped.
        runs: which pages of the arena are handed out.
        head_addresses: address of each list's head.
        listed: byte ``i`` is 1 when list ``i`` holds an entry, so that the first list with
            one is found without walking them all.
        heads: the heads as slots, by units, each made when it is first needed.
        hints: byte ``i`` is 1 when the list of ``i`` units may hold an entry; for `model`,
            which takes a hint back only when it finds the list empty.
        hot: what the pool manager's hot paths need of the pool and its arena, to be unpacked
            at once; made by `open`, and anew when the arena grows.
    """

    __slots__ = (
        "_align_mask",
        "_history",
        "_memory",
        "_pointer_shift",
        "_stop",
        "arena",
        "base",
        "cached_pages",
        "head_addresses",
        "heads",
        "hints",
        "hot",
        "is_nx",
        "listed",
        "name",
        "paged",
        "runs",
        "sides",
    )

    def __init__(
        self,
        name: str,
        *,
        memory: Memory,
        base: int,
        limit: int,
        sides: dict[int, Side],
        stop: StopFunction,
        history: Callable[[int], str],
        paged: bool = False,
        is_nx: bool = False,
    ) -> None:
        arch = memory.arch
        self.name = name
        self.base = base
        self.sides = sides
        self.paged = paged
        self.is_nx = is_nx
        self._memory = memory
        self._stop = stop
        self._history = history
        self.cached_pages = _CACHED_PAGES_PAGED if paged else _CACHED_PAGES_NONPAGED
        self._pointer_shift = 3 if arch.pointer_size == 8 else 2
        self._align_mask = arch.pointer_size - 1
        window = min(2 * limit + _SPARE_PAGES, arch.pool_region_size >> PAGE_SHIFT)
        executable = base == arch.nonpaged_pool_start
        self.head_addresses, heads = _empty_heads(base, arch.pointer_size)
        self.arena = memory.add_arena(base, window, executable=executable, heads=heads)
        self.runs = PageRuns(first=1, window=window - 1, limit=limit)
        self.listed = bytearray()
        self.hints = bytearray()
        self.heads: list[Slot] = []
        memory.watch_page(base >> PAGE_SHIFT, self.count_lists)

    hot: HotTuple

    @property
    def end(self) -> int:
        """The first address behind what its arena backs so far."""
        return self.base + (len(self.arena.states) << PAGE_SHIFT)

    def has_blocks(self, address: int) -> bool:
        """Whether the page that holds an address of the pool has blocks with headers."""
        page = (address - self.base) >> PAGE_SHIFT
        states = self.arena.states
        return page < len(states) and states[page] in (BLOCKS, EXPOSED)

    def reach(self, pages: int) -> None:
        """Back at least so many pages of the arena."""
        if self.arena.reach(pages):
            self._set_hot()

    def open(self) -> None:
        """Make what requests need: many a machine never uses all three pools."""
        if not self.heads:
            lists = len(self.head_addresses)
            self.listed.extend(bytes(lists))
            self.heads.extend([UNKNOWN] * (lists + 1))
            self.hints.extend(bytes(lists + 1))
            self.arena.open()
            self._set_hot()

    def _set_hot(self) -> None:
        arena = self.arena
        self.hot = (
            self.base,
            arena.words,
            arena.ulongs,
            arena.states,
            arena.marks,
            self.sides,
            self.listed,
            self.head_addresses,
        )

    def head(self, units: int) -> Slot:
        """The head of the list with blocks of a size."""
        if not self.heads:
            self.open()
        head = self.heads[units]
        if head is UNKNOWN:
            head = self.heads[units] = Slot(self.head_addresses[units - 1])
            slots = self._memory.slots
            if slots.decide:
                slots.make_head(self.arena, head)
        return head

    def insert_head(self, entry: int, units: int) -> None:
        """Link a free block in front of its list."""
        words = self.arena.words
        head = self.head_addresses[units - 1]
        flink = words[2 * units - 2]
        at = (entry - self.base) >> self._pointer_shift
        words[at] = flink
        words[at + 1] = head
        words[2 * units - 2] = entry
        if flink == head:
            words[2 * units - 1] = entry
            self.listed[units - 1] = 1
        else:
            self.link(flink, 1, entry)

    def insert_tail(self, entry: int, units: int) -> None:
        """Link a free block behind its list."""
        words = self.arena.words
        head = self.head_addresses[units - 1]
        blink = words[2 * units - 1]
        at = (entry - self.base) >> self._pointer_shift
        words[at] = head
        words[at + 1] = blink
        words[2 * units - 1] = entry
        if blink == head:
            words[2 * units - 2] = entry
            self.listed[units - 1] = 1
        else:
            self.link(blink, 0, entry)

    def unlink(self, entry: int, at: int = 0) -> None:
        """Take a free block off its list, checking that both neighbors point back at it.

        Args:
            entry: its list entry.
            at: index of the entry's Flink among the arena's words, where it is known.

        Raises:
            BugCheck: BAD_POOL_HEADER (3) when one does not; DRIVER_CORRUPTED_EXPOOL or
                PAGE_FAULT_IN_NONPAGED_AREA when the entry itself is not mapped.
        """
        words = self.arena.words
        shift = self._pointer_shift
        if not at:
            at = (entry - self.base) >> shift
        flink = words[at]
        blink = words[at + 1]
        next_at = flink - self.base
        previous_at = blink - self.base
        both = next_at | previous_at
        # A link out of the arena, on either side, finds no word that points back.
        if both >= 0 and not both & self._align_mask:
            next_at = (next_at >> shift) + 1
            previous_at >>= shift
            try:
                if words[next_at] == entry == words[previous_at]:
                    words[next_at] = blink
                    words[previous_at] = flink
                    if flink == blink:  # both are the head: the list is empty now
                        self.listed[previous_at >> 1] = 0
                    return
            except IndexError:
                pass
        self.stop_damaged(entry)

    def entries(self, index: int) -> Iterator[int]:
        """The entries of list ``index`` as forward links give them, for checks.

        Reads the arena's words: have them rendered first.

        Raises:
            InvariantError: a link leads out of the pool's memory, or the links run in a ring.
        """
        head = self.head_addresses[index]
        entry = self.arena.words[2 * index]
        seen: set[int] = set()
        while entry != head:
            if entry in seen or not self._holds(entry):
                raise InvariantError(
                    f"list {index} of {self.name} leads to {entry:#x}, which is"
                    f" {'on it already' if entry in seen else 'not in its memory'}"
                )
            seen.add(entry)
            yield entry
            entry = self.arena.words[(entry - self.base) >> self._pointer_shift]

    def may_hold(self, index: int) -> bool:
        """Whether the hints say that list ``index`` holds an entry."""
        if self._memory.slots.decide:
            return bool(self.hints and self.hints[index + 1])
        return bool(self.listed and self.listed[index])

    def _holds(self, address: int) -> bool:
        """Whether an address is mapped memory of this pool."""
        page = (address - self.base) >> PAGE_SHIFT
        states = self.arena.states
        return 0 <= page < len(states) and states[page] > RETURNED

    def link(self, entry: int, which: int, target: int) -> None:
        """Write Flink (0) or Blink (1) of an entry found by following a link."""
        at = ((entry - self.base) >> self._pointer_shift) + which
        if not self._holds(entry):
            self.fault(entry + (which << self._pointer_shift), write=True)
        self.arena.words[at] = target

    def stop_damaged(self, entry: int) -> NoReturn:
        """Stop for an entry whose links are unsound.

        Choice: a link that leads to unmapped memory is as damaged as any other; what cannot
        be read back is reported as 0. Only an entry that is itself unmapped is a fault.

        Raises:
            BugCheck: as `unlink` describes.
        """
        size = self._memory.arch.pointer_size
        if not self._memory.is_mapped(entry, 2 * size):
            self.fault(entry, write=False)
        back_from_next = self._read_back(self._memory.read_pointer(entry) + size)
        back_from_previous = self._read_back(self._memory.read_pointer(entry + size))
        self._stop(
            BugCheckCode.BAD_POOL_HEADER,
            (_FREE_LINK_DAMAGED, entry, back_from_next, back_from_previous),
            f"a free list link of the {self.name} block at {entry:#x} is damaged: its"
            f" neighbors point back at {back_from_next:#x} and {back_from_previous:#x}"
            f"{self._history(entry)}",
        )

    def _read_back(self, address: int) -> int:
        if not self._memory.is_mapped(address, self._memory.arch.pointer_size):
            return 0
        return self._memory.read_pointer(address)

    def fault(self, address: int, *, write: bool) -> NoReturn:
        """Stop for a touch of unmapped memory while walking headers or free lists.

        Raises:
            BugCheck: DRIVER_CORRUPTED_EXPOOL, or PAGE_FAULT_IN_NONPAGED_AREA in paged pool.
        """
        # The nonpaged pool's lock is a spin lock, so the walk runs at DISPATCH_LEVEL, where
        # a fault has a stop code of its own; the paged pool's lock is a mutex.
        if self.paged:
            self._stop(
                BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA,
                (address, 2 if write else 0, 0, 0),
                f"a header or link of {self.name} leads to {address:#x}, which is not mapped",
            )
        self._stop(
            BugCheckCode.DRIVER_CORRUPTED_EXPOOL,
            (address, 2, int(write), 0),
            f"a header or link of {self.name} leads to {address:#x}, which is not mapped",
        )

    def count_lists(self) -> None:
        """Find out which lists hold entries, after somebody else wrote over their heads."""
        for index, head in enumerate(self.head_addresses):
            self.listed[index] = self.arena.words[2 * index] != head

    @property
    def bytes_in_use(self) -> int:
        """Bytes of the pages taken from the system."""
        return self.runs.in_use * PAGE_SIZE

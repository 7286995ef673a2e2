"""One pool's range of the address space, backed by bytes from its start up to where it is used.

The bytes are one buffer, viewed in the widths its users work with, so that a word of any
block is one subtraction, one shift and one index away. The buffer doubles when the range in
use outgrows it, so a view must not be kept across `Arena.reach`.

Behind the bytes lie two tables of the simulator's own:

* `Arena.states`, one byte a page: what the page is;
* `Arena.marks`, one byte a unit: `NO_BLOCK`, or, where the body of a live block starts, how
  many bytes at the block's end were not asked for (`mark_of`). Headers in memory can be
  overwritten; the marks cannot, so they tell tools what is live. What NT does is decided by the
  headers alone. (While slots decide, they know all that, and a mark only says where there is one:
  see `slots`.)

Pages that nobody touched cost nothing, neither bytes nor marks: large buffers are the system's,
which backs what is written, and what is not written is zero.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, Literal, cast

from lookaside_sim.memory.notices import Changed, Notices
from lookaside_sim.memory.zeros import Buffer, mapping, written
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE, Architecture

UNMAPPED: Final = 0
"""Never mapped so far: its bytes are not made up yet."""
RETURNED: Final = 1
"""Unmapped again; the next owner sees its bytes as they were."""
CACHED: Final = 2
"""In a page cache: nobody's, but still mapped, with its bytes as they were."""
RESERVED: Final = 3
"""Mapped, but nobody has touched it: its bytes are not made up yet."""
BIG: Final = 4
"""Part of a big allocation."""
BLOCKS: Final = 5
"""Blocks with headers, which only the pool manager has written."""
EXPOSED: Final = 6
"""Blocks with headers that somebody else may have written: nothing in it is cached."""
HEADS: Final = 7
"""List heads of the pool manager."""
_MAPPED: Final = re.compile(rb"[^%c%c]+" % (UNMAPPED, RETURNED))

_ALL: Final = range(HEADS + 1)
_TO_BIG: Final = {UNMAPPED: RESERVED, RESERVED: RESERVED}
_TO_CACHED: Final = {RESERVED: RESERVED}
_TO_UNMAPPED: Final = {RESERVED: UNMAPPED}

NO_BLOCK: Final = 0
"""The mark where no block starts: what memory is before somebody writes."""
_NO_BYTE_UNUSED: Final = 0xFF

_LEAST_PAGES: Final = 16
"""Backed from the first use on."""
_LARGE: Final = 1 << 20
_GARBAGE_SIZE: Final = 1 << 16
_GARBAGE_STRIDE: Final = 0x9E3779B1  # odd, so neighboring pages start far apart


@lru_cache(maxsize=16)
def garbage(seed: int) -> bytes:
    """What fresh pages of a kernel are filled from.

    No byte is zero, so memory that was never initialized cannot pass for zeroed memory.
    """
    return random.Random(seed).randbytes(_GARBAGE_SIZE).replace(b"\0", b"\xa5")


def mark_of(unused: int) -> int:
    """The mark of a block with so many bytes at its end that were not asked for."""
    return _NO_BYTE_UNUSED - unused


unused_of = mark_of
"""How many bytes a mark says were not asked for."""


def _zeros(size: int) -> Buffer:
    return bytearray(size) if size < _LARGE else mapping(size)


def _word_format(pointer_size: int) -> Literal["Q", "I"]:
    """Of a pointer, for a view."""
    return "Q" if pointer_size == 8 else "I"


@lru_cache(maxsize=16)
def _begin(
    heads: bytes, pointer_size: int, unit_shift: int
) -> tuple[bytearray, memoryview, memoryview, bytearray, bytearray]:
    """The bytes of a first page, its views, states and marks, none of which can be written."""
    data = heads or bytes(PAGE_SIZE)
    view = memoryview(data)
    # Typed as what they will be: nobody writes here before `Arena.open`.
    return (
        cast(bytearray, data),
        view.cast(_word_format(pointer_size)),
        view.cast("I"),
        cast(bytearray, bytes([HEADS if heads else UNMAPPED])),
        cast(bytearray, bytes(PAGE_SIZE >> unit_shift)),
    )


_NOTHING: Final = cast(set[int], frozenset())


class Arena:
    """A range of pages.

    Args:
        arch: the machine.
        base: address of the range.
        pages: most pages it can ever have.
        garbage: what fresh pages are filled from; longer than a page.
        executable: whether code in it may run.
        notices: told of each change.
        heads: the bytes of its first page, where list heads lie in it from the start; none
            where no page is mapped so far.

    Attributes:
        base: address of the first byte.
        data: the bytes.
        executable: whether code in it may run.
        pages: most pages it can ever have.
        words: the bytes as pointer-sized words: links.
        ulongs: the bytes as 32-bit words: pool headers.
        states: one byte a page.
        marks: one byte a unit.
        unmade: pages that were mapped for blocks and whose bytes nobody has looked at so far:
            they are made up before anybody does.
    """

    __slots__ = (
        "_arch",
        "_garbage",
        "_notices",
        "base",
        "data",
        "executable",
        "marks",
        "pages",
        "states",
        "ulongs",
        "unmade",
        "words",
    )

    def __init__(
        self,
        arch: Architecture,
        base: int,
        pages: int,
        garbage: bytes,
        *,
        executable: bool = False,
        notices: Notices | None = None,
        heads: bytes = b"",
    ) -> None:
        self._arch = arch
        self._garbage = garbage
        self._notices = notices or Notices()
        self.executable = executable
        self.base = base
        self.pages = pages
        self.data: Buffer
        self.marks: Buffer
        self.data, self.words, self.ulongs, self.states, self.marks = _begin(
            heads, arch.pointer_size, arch.pool_header.unit_shift
        )
        self.unmade: set[int] = _NOTHING
        if not heads:
            self.open()

    def open(self) -> None:
        """Have bytes and tables of its own from now on; somebody is about to use the pool.

        Until then all machines share those of an arena that begins with the same list heads:
        most pools of most machines are never used.
        """
        if self.unmade is _NOTHING:
            self.unmade = set()
            self.states = bytearray(self.states)
            self.marks = bytearray(self.marks)
            self.data = bytearray(self.data)
            self._view()

    def shares(self, start: int, end: int) -> bool:
        """Whether its range, mapped or not, shares a byte with another range."""
        return start < self.base + (self.pages << PAGE_SHIFT) and self.base < end

    def reach(self, pages: int) -> bool:
        """Back at least so many pages.

        Returns:
            Whether the buffer was replaced, and every view of it with it.
        """
        have = len(self.states)
        if pages <= have:
            return False
        self.open()
        want = max(pages, 2 * have, _LEAST_PAGES)
        old = self.data  # lives until everybody was told, who may have lent its address
        self._grow(min(want, self.pages))
        if self._notices.listeners:
            self._notices.tell(Changed.BUFFER, self.base, len(self.data))
        del old
        return True

    def _grow(self, pages: int) -> None:
        """Back so many pages, more than before."""
        have = len(self.states)
        data = _zeros(pages << PAGE_SHIFT)
        self._copy(self.data, data)
        self.data = data
        self._view()
        self.states.extend(bytes(pages - have))
        marks = _zeros(pages * self._arch.pool_header.units_per_page)
        for at, piece in written(self.marks):
            marks[at : at + len(piece)] = piece
        self.marks = marks

    def forget_marks(self) -> None:
        """Have a block start nowhere."""
        for at, piece in written(self.marks):
            self.marks[at : at + len(piece)] = bytes(len(piece))

    def _view(self) -> None:
        view = memoryview(self.data)
        self.words = view.cast(_word_format(self._arch.pointer_size))
        self.ulongs = view.cast("I")

    def mapped_ranges(self) -> Iterator[tuple[int, int]]:
        """The starts and ends of what is mapped, in order."""
        for run in _MAPPED.finditer(self.states):
            first, behind = run.span()
            yield self.base + (first << PAGE_SHIFT), self.base + (behind << PAGE_SHIFT)

    def _copy(self, old: Buffer, new: Buffer) -> None:
        """Copy what there is to copy: pages that nobody wrote stay the system's."""
        if len(old) < _LARGE and len(self.unmade) < len(old) >> PAGE_SHIFT + 1:
            new[: len(old)] = old[:]
            return
        for at, page in written(old):
            new[at : at + PAGE_SIZE] = page

    def map_unmade(self, page: int) -> None:
        """Map a page of blocks; where it never was, its bytes are made up when needed."""
        before = self.states[page]
        self.states[page] = BLOCKS
        if before in (UNMAPPED, RESERVED):
            self.unmade.add(page)
        if before <= RETURNED and self._notices.listeners:
            self._tell(Changed.MAPPED, page, 1)

    def make_up(self, page: int) -> None:
        """Fill a page whose bytes somebody is about to look at."""
        self.unmade.discard(page)
        at = page << PAGE_SHIFT
        self.data[at : at + PAGE_SIZE] = self.fresh(page)

    def map(self, page: int, state: int) -> None:
        """Map a page; where it never was, full of garbage that seed and address decide.

        Args:
            page: its number in the arena.
            state: what it is from now on.
        """
        before = self.states[page]
        self.states[page] = state
        if before in (UNMAPPED, RESERVED):
            at = page << PAGE_SHIFT
            self.data[at : at + PAGE_SIZE] = self.fresh(page)
        if before <= RETURNED and self._notices.listeners:
            self._tell(Changed.MAPPED, page, 1)

    def fresh(self, page: int) -> bytes:
        """The bytes of a page that nobody has touched so far."""
        garbage = self._garbage
        start = ((self.base >> PAGE_SHIFT) + page) * _GARBAGE_STRIDE
        start %= len(garbage) - PAGE_SIZE
        return garbage[start : start + PAGE_SIZE]

    def look(self, at: int, size: int) -> bytes:
        """The bytes of a range within a mapped page as they are or would be; changes nothing.

        Args:
            at: where it begins, counted from the base.
            size: bytes.
        """
        page = at >> PAGE_SHIFT
        if self.states[page] == RESERVED:
            at -= page << PAGE_SHIFT
            return self.fresh(page)[at : at + size]
        return bytes(self.data[at : at + size])

    def map_big(self, first: int, count: int) -> None:
        """Map adjacent pages for a big allocation."""
        self._change(first, count, _TO_BIG, BIG)
        if self._notices.listeners:
            self._tell(Changed.MAPPED, first, count)

    def unmap(self, first: int, count: int, *, cached: bool) -> None:
        """Take adjacent pages from their owner.

        Args:
            first: the first page's number in the arena.
            count: how many.
            cached: whether they go to a page cache and stay mapped.
        """
        if cached:
            self._change(first, count, _TO_CACHED, CACHED)
        else:
            self._change(first, count, _TO_UNMAPPED, RETURNED)
            if self._notices.listeners:
                self._tell(Changed.UNMAPPED, first, count)

    def _change(self, first: int, count: int, special: dict[int, int], other: int) -> None:
        table = bytes(special.get(state, other) for state in _ALL).ljust(256)
        states = self.states[first : first + count]
        self.states[first : first + count] = states.translate(table)

    def _tell(self, what: Changed, first: int, count: int) -> None:
        self._notices.tell(what, self.base + (first << PAGE_SHIFT), count << PAGE_SHIFT)


class Arenas:
    """The arenas of one address space, no two in one pool region.

    Args:
        region_shift: address bits below the number of a pool region.
    """

    __slots__ = ("_by_region", "_region_shift")

    def __init__(self, region_shift: int) -> None:
        self._by_region: dict[int, Arena] = {}
        self._region_shift = region_shift

    def add(self, arena: Arena) -> None:
        """Take an arena in."""
        first = arena.base >> self._region_shift
        last = arena.base + (arena.pages << PAGE_SHIFT) - 1 >> self._region_shift
        self._by_region[first] = arena
        if last > first:
            self._by_region.update(dict.fromkeys(range(first + 1, last + 1), arena))

    def all(self) -> Iterator[Arena]:
        """Every arena, each once."""
        return iter(dict.fromkeys(self._by_region.values()))

    def near(self, address: int) -> Arena | None:
        """The arena that has the pool region of an address; it may begin or end elsewhere."""
        return self._by_region.get(address >> self._region_shift)

    def page_at(self, address: int) -> tuple[Arena, int] | None:
        """The mapped page that holds an address, with its number in the arena."""
        arena = self._by_region.get(address >> self._region_shift)
        if arena is None:
            return None
        page = (address - arena.base) >> PAGE_SHIFT
        if not 0 <= page < len(arena.states) or arena.states[page] <= RETURNED:
            return None
        return arena, page

    def in_regions(self, start: int, end: int) -> tuple[int, Arena | None]:
        """The first pool region of a range that an arena has, and the arena; None for none.

        Cost: of the regions of the range, or of those with arenas if they are fewer.
        """
        by_region, shift = self._by_region, self._region_shift
        first, last = start >> shift, end - 1 >> shift
        if first == last:
            return first << shift, by_region.get(first)
        numbers: Iterable[int] = range(first, last + 1)
        if last - first > len(by_region):
            numbers = sorted(number for number in by_region if first <= number <= last)
        for number in numbers:
            if number in by_region:
                return number << shift, by_region[number]
        return 0, None

    def set_aside(self, start: int, end: int) -> Arena | None:
        """The first arena whose range, mapped or not, shares a byte with another range."""
        shift = self._region_shift
        if start >> shift == end - 1 >> shift:
            arena = self._by_region.get(start >> shift)
            return arena if arena is not None and arena.shares(start, end) else None
        for arena in self._by_region.values():
            if arena.shares(start, end):
                return arena
        return None

    def is_unmapped(self, start: int, end: int) -> bool:
        """Whether no page that shares a byte with a range is mapped."""
        for arena in self._by_region.values():
            first = max(start - arena.base, 0) >> PAGE_SHIFT
            behind = max(end - arena.base + PAGE_SIZE - 1, 0) >> PAGE_SHIFT
            if max(arena.states[first:behind], default=0) > RETURNED:
                return False
        return True

"""One pool's range of the address space, backed by bytes from its start up to where it is used.

The bytes are one buffer, viewed in the widths its users work with, so that a word of any
block is one subtraction, one shift and one index away. The buffer doubles when the range in
use outgrows it, so a view must not be kept across `Arena.reach`.

Behind the bytes lie two tables of the simulator's own:

* `Arena.states`, one byte a page: what the page is;
* `Arena.marks`, one byte a unit: `NO_BLOCK`, or, where the body of a live block starts, how
  many bytes at the block's end were not asked for. Headers in memory can be overwritten; the marks
  cannot, so they tell tools what is live. What NT does is decided by the headers alone.
"""

from __future__ import annotations

import mmap
import random
from functools import lru_cache
from typing import Final

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

_ALL: Final = range(HEADS + 1)
_TO_BIG: Final = {UNMAPPED: RESERVED, RESERVED: RESERVED}
_TO_CACHED: Final = {RESERVED: RESERVED}
_TO_UNMAPPED: Final = {RESERVED: UNMAPPED}

NO_BLOCK: Final = 0xFF

_FIRST_PAGES: Final = 16
_LARGE: Final = 1 << 20
_GARBAGE_SIZE: Final = 1 << 16
_GARBAGE_STRIDE: Final = 0x9E3779B1  # odd, so neighboring pages start far apart


@lru_cache(maxsize=16)
def garbage(seed: int) -> bytes:
    """What fresh pages of a kernel are filled from.

    No byte is zero, so memory that was never initialized cannot pass for zeroed memory.
    """
    return random.Random(seed).randbytes(_GARBAGE_SIZE).replace(b"\0", b"\xa5")


class Arena:
    """A range of pages.

    Args:
        arch: the machine.
        base: address of the range.
        pages: most pages it can ever have.
        garbage: what fresh pages are filled from; longer than a page.

    Attributes:
        base: address of the first byte.
        data: the bytes.
        words: the bytes as pointer-sized words: links.
        ulongs: the bytes as 32-bit words: pool headers.
        states: one byte a page.
        marks: one byte a unit.
    """

    __slots__ = (
        "_arch",
        "_garbage",
        "base",
        "data",
        "marks",
        "pages",
        "states",
        "ulongs",
        "words",
    )

    def __init__(self, arch: Architecture, base: int, pages: int, garbage: bytes) -> None:
        self._arch = arch
        self._garbage = garbage
        self.base = base
        self.pages = pages
        self.data: bytearray | mmap.mmap = bytearray()
        self.states = bytearray()
        self.marks = bytearray()
        self.words = memoryview(b"")
        self.ulongs = memoryview(b"")
        self.reach(min(_FIRST_PAGES, pages))

    def reach(self, pages: int) -> bool:
        """Back at least so many pages.

        Returns:
            Whether the buffer was replaced, and every view of it with it.
        """
        have = len(self.states)
        if pages <= have:
            return False
        want = min(max(pages, 2 * have), self.pages)
        size = want << PAGE_SHIFT
        # A large buffer comes from the system, which backs only the pages that are touched.
        data = bytearray(size) if size < _LARGE else mmap.mmap(-1, size)
        data[: len(self.data)] = self.data[:]
        self.data = data
        view = memoryview(data)
        self.words = view.cast("Q" if self._arch.pointer_size == 8 else "I")
        self.ulongs = view.cast("I")
        self.states.extend(bytes(want - have))
        units = (want - have) * self._arch.pool_header.units_per_page
        self.marks.extend(bytes([NO_BLOCK]) * units)
        return True

    def map(self, page: int, state: int) -> None:
        """Map a page; where it never was, full of garbage that seed and address decide.

        Args:
            page: its number in the arena.
            state: what it is from now on.
        """
        before = self.states[page]
        self.states[page] = state
        if before not in (UNMAPPED, RESERVED):
            return
        garbage = self._garbage
        start = ((self.base >> PAGE_SHIFT) + page) * _GARBAGE_STRIDE
        start %= len(garbage) - PAGE_SIZE
        at = page << PAGE_SHIFT
        self.data[at : at + PAGE_SIZE] = garbage[start : start + PAGE_SIZE]

    def map_big(self, first: int, count: int) -> None:
        """Map adjacent pages for a big allocation."""
        self._change(first, count, _TO_BIG, BIG)

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

    def _change(self, first: int, count: int, special: dict[int, int], other: int) -> None:
        table = bytes(special.get(state, other) for state in _ALL).ljust(256)
        states = self.states[first : first + count]
        self.states[first : first + count] = states.translate(table)

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

from typing import Final

from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE, Architecture

UNMAPPED: Final = 0
BLOCKS: Final = 1
"""Blocks with headers, which only the pool manager has written."""
EXPOSED: Final = 2
"""Blocks with headers that somebody else may have written: nothing in it is cached."""
RESERVED: Final = 3
"""Part of a big allocation that nobody has touched: its bytes are not made up yet."""
BIG: Final = 4
"""Part of a big allocation."""
HEADS: Final = 5
"""List heads of the pool manager."""

NO_BLOCK: Final = 0xFF

_FIRST_PAGES: Final = 16
_GARBAGE_STRIDE: Final = 0x9E3779B1  # odd, so neighboring pages start far apart


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
        self.data = bytearray()
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
        data = bytearray(want << PAGE_SHIFT)  # zeroed lazily by the system where it is large
        data[: len(self.data)] = self.data
        self.data = data
        view = memoryview(data)
        self.words = view.cast("Q" if self._arch.pointer_size == 8 else "I")
        self.ulongs = view.cast("I")
        self.states.extend(bytes(want - have))
        units = (want - have) * self._arch.pool_header.units_per_page
        self.marks.extend(bytes([NO_BLOCK]) * units)
        return True

    def fill(self, page: int, state: int) -> None:
        """Map a page full of garbage, which depends on the seed and the address alone.

        Args:
            page: its number in the arena.
            state: what it is from now on.
        """
        garbage = self._garbage
        start = ((self.base >> PAGE_SHIFT) + page) * _GARBAGE_STRIDE
        start %= len(garbage) - PAGE_SIZE
        at = page << PAGE_SHIFT
        self.data[at : at + PAGE_SIZE] = garbage[start : start + PAGE_SIZE]
        self.states[page] = state

    def set_states(self, first: int, count: int, state: int) -> None:
        """Set the state of adjacent pages."""
        self.states[first : first + count] = bytes([state]) * count

"""What a fold of edits cannot know: the bytes of blocks, and pages whose headers say otherwise.

For runs of a size that somebody steps through, the machine is looked at after each step, at the
pages that the step touched. A page whose headers are not those of its live blocks and the free
runs between them, since somebody wrote over them, is told row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SIZE
from lookaside_sim.page.still import Recording
from lookaside_sim.run import Born, Died, Edit
from lookaside_sim.windbg.pool import PoolRow, pool_rows

MOST_STEPS: Final = 1000
"""Steps of a run that is looked at: each takes about a millisecond."""
BODY: Final = 32
"""Bytes of a block's body that are shown."""

Rows = tuple[tuple[int, int, int, str, str], ...]
"""Of each header in a page: offset, size, previous size, state, tag."""


class Dumps:
    """Looks at the machine of a run, step by step.

    Args:
        run: the run.
        header: bytes of a block's header, which is shown too.
    """

    def __init__(self, run: Recording, header: int) -> None:
        self._run = run
        self._header = header
        self._sizes: dict[int, int] = {}
        self._live: set[int] = set()
        self._by_page: dict[int, set[int]] = {}
        self._known: dict[int, str] = {}
        self._told: dict[int, Rows] = {}

    def add(self, address: int, size: int) -> None:
        """A block starts here."""
        self._sizes[address] = size
        self._live.add(address)
        self._by_page.setdefault(address & ~PAGE_MASK, set()).add(address)

    def follow(self, edits: Sequence[Edit]) -> None:
        """Blocks come and go."""
        for each in edits:
            if isinstance(each, Born):
                self.add(each.address, each.size)
            elif isinstance(each, Died):
                self._live.discard(each.address)

    def changes(
        self, position: int, touched: Iterable[int]
    ) -> tuple[list[tuple[int, str]], list[tuple[int, Rows]]]:
        """What is otherwise than when it was last looked at.

        Args:
            position: where the run stands.
            touched: addresses that the step was about.

        Returns:
            Address and bytes of blocks: header and body, two digits a byte, ``??`` for a hole; and
            address and rows of pages, no rows where the live blocks say it all.
        """
        # What is written at the end of a page may reach into the next.
        pages = sorted({address & ~PAGE_MASK for address in touched} & self._by_page.keys())
        if not pages:
            return [], []
        machine: Any = self._run.machine(position)
        dumps, rows = [], []
        for page in pages:
            for address in sorted(self._by_page[page]):
                text = self._dump(machine, address)
                if self._known.get(address) != text:
                    self._known[address] = text
                    dumps.append((address, text))
            told = self._rows(pool_rows(machine, page), page)
            if self._told.get(page, ()) != told:
                self._told[page] = told
                rows.append((page, told))
        return dumps, rows

    def _dump(self, machine: Any, address: int) -> str:
        count = self._header + min(BODY, self._sizes[address])
        seen = machine.peek(address - self._header, count)
        return "".join("??" if each is None else f"{each:02x}" for each in seen)

    def _rows(self, found: list[PoolRow], page: int) -> Rows:
        """The rows of a page; none where they are as its live blocks and the gaps make them."""
        rows = [
            (row.header - page, row.size, row.previous_size, row.state, str(row.tag))
            for row in found
        ]
        starts = {each - self._header - page for each in self._by_page[page] & self._live}
        at = before = 0
        was_free = False
        for offset, size, previous, state, _ in rows:
            is_free = state == "Free"
            if (
                offset != at
                or previous != before
                or (offset in starts) is is_free
                or (is_free and was_free)
            ):
                return tuple(rows)
            at, before, was_free = at + size, size, is_free
            starts.discard(offset)
        return () if not rows or (at == PAGE_SIZE and not starts) else tuple(rows)

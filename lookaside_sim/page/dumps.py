"""What lies in the blocks: header and first bytes, step by step, as far as a page has room.

A fold of edits knows no bytes. So for runs of a size that somebody steps through, the machine is
looked at after each step, at the blocks of the pages that the step touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lookaside_sim.nt.layouts import PAGE_MASK
from lookaside_sim.page.still import Recording

MOST_STEPS: Final = 1000
"""Steps of a run whose bytes are looked at: each takes about a millisecond."""
BODY: Final = 32
"""Bytes of a block's body that are shown."""


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
        self._by_page: dict[int, set[int]] = {}
        self._known: dict[int, str] = {}

    def add(self, address: int, size: int) -> None:
        """A block starts here, or did once."""
        self._sizes[address] = size
        self._by_page.setdefault(address & ~PAGE_MASK, set()).add(address)

    def changes(self, position: int, touched: Iterable[int]) -> list[tuple[int, str]]:
        """The blocks whose bytes are others than when they were last looked at.

        Args:
            position: where the run stands.
            touched: addresses that the step was about.

        Returns:
            Address and bytes of each: header and body, two digits a byte, ``??`` for a hole.
        """
        pages = {address & ~PAGE_MASK for address in touched}
        # What is written at the end of a page may reach into the next.
        looked_at = [
            each for page in sorted(pages) for each in sorted(self._by_page.get(page, ()))
        ]
        if not looked_at:
            return []
        machine: Any = self._run.machine(position)
        found = []
        for address in looked_at:
            count = self._header + min(BODY, self._sizes[address])
            seen = machine.peek(address - self._header, count)
            text = "".join("??" if each is None else f"{each:02x}" for each in seen)
            if self._known.get(address) != text:
                self._known[address] = text
                found.append((address, text))
        return found

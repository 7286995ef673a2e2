"""Runs of whole pages in one pool's address range, within its limit.

A freed run is kept under its length and reused newest first, as the system's page caches do.
Runs are only joined and split when the range has no fresh addresses left.
"""

from __future__ import annotations


class PageRuns:
    """Hands out page numbers.

    Args:
        first: number of the first page of the range.
        window: pages in the range.
        limit: pages that may be in use at once.

    Attributes:
        in_use: pages handed out and not given back.
        peak: the most that ever were.
    """

    __slots__ = ("_end", "_first", "_free", "_top", "in_use", "limit", "peak")

    def __init__(self, first: int, window: int, limit: int) -> None:
        self._first = first
        self._top = first
        self._end = first + window
        self._free: dict[int, list[int]] = {}
        self.limit = limit
        self.in_use = 0
        self.peak = 0

    def take(self, count: int) -> int:
        """Take ``count`` adjacent pages.

        Returns:
            Number of the first page, or 0 when the limit or the range does not allow it.
        """
        if self.in_use + count > self.limit:
            return 0
        run = self._free.get(count)
        if run:
            first = run.pop()
        elif self._top + count <= self._end:
            first = self._top
            self._top += count
        else:
            first = self._take_from_joined(count)
            if not first:
                return 0
        self.in_use += count
        if self.in_use > self.peak:
            self.peak = self.in_use
        return first

    def give_back(self, first: int, count: int) -> None:
        """Give pages back; any part of what was taken may come back on its own."""
        self.in_use -= count
        run = self._free.get(count)
        if run is None:
            self._free[count] = [first]
        else:
            run.append(first)

    def _take_from_joined(self, count: int) -> int:
        """Join all free runs, then split the first that is long enough."""
        runs = sorted((first, length) for length, all_ in self._free.items() for first in all_)
        joined: list[tuple[int, int]] = []
        for first, length in runs:
            if joined and joined[-1][0] + joined[-1][1] == first:
                first, length = joined[-1][0], joined.pop()[1] + length
            joined.append((first, length))
        if joined and sum(joined[-1]) == self._top:
            self._top = joined.pop()[0]
        self._free = {}
        found = 0
        for first, length in joined:
            if not found and length >= count:
                found, first, length = first, first + count, length - count
            if length:
                self._free.setdefault(length, []).append(first)
        if not found and self._top + count <= self._end:
            found = self._top
            self._top += count
        return found

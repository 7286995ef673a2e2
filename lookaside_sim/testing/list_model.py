"""What one lookaside list should be, as a few numbers and two Python lists."""

from __future__ import annotations

from typing import Final

from lookaside_sim.lookaside.tuning import next_depth
from lookaside_sim.nt.types import ULONG_MASK

__all__ = ["LEAST_DEPTH", "ListModel"]

LEAST_DEPTH: Final = 4
"""Entries a list keeps before it was ever tuned, and at the least."""


class ListModel:
    """What a list should be, in Python's terms.

    Args:
        maximum_depth: the field MaximumDepth.
        paged: in which second of three it is scanned.
    """

    def __init__(self, maximum_depth: int, paged: bool) -> None:
        self.maximum_depth = maximum_depth
        self.paged = paged
        self.depth = LEAST_DEPTH
        self.free: list[int] = []
        self.held: dict[int, None] = {}
        self.set_counters(0)

    def set_counters(self, value: int) -> None:
        """Set every counter, and what the last scan saw, to one value."""
        self.total_allocates = self.allocate_misses = value
        self.total_frees = self.free_misses = value
        self.last_total_allocates = self.last_allocate_misses = value

    def scan(self) -> None:
        """One scan of the balance set manager."""
        allocates = self.total_allocates - self.last_total_allocates & ULONG_MASK
        misses = self.allocate_misses - self.last_allocate_misses & ULONG_MASK
        self.last_total_allocates = self.total_allocates
        self.last_allocate_misses = self.allocate_misses
        self.depth = next_depth(self.depth, self.maximum_depth, allocates, misses)

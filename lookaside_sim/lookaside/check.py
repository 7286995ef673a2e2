"""The walk along a chain of entries, and the invariants of one list. For tests and views.

The equations: the chain has as many entries as the header says; each lies in a live pool block
with room for an entry; the depth is not over the maximum depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from lookaside_sim.errors import InvariantError
from lookaside_sim.lookaside.tuning import DISABLED_MAXIMUM_DEPTH
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.pool.kind import Pool


class CheckedList(Protocol):
    """A list, as the walk sees it."""

    @property
    def size(self) -> int:
        """Bytes of an entry."""

    @property
    def depth(self) -> int:
        """Entries it may hold."""

    @property
    def maximum_depth(self) -> int:
        """Ceiling of the depth."""

    @property
    def current_depth(self) -> int:
        """Entries it says it holds."""

    def entries(self) -> Iterator[int]:
        """The free entries."""


def chain(memory: Memory, first: int, whose: str, lost_bits: int = 0) -> Iterator[int]:
    """Look along a chain of entries, each of which begins with the link to the next.

    Args:
        memory: the address space.
        first: address of the first entry, 0 for none.
        whose: what is named when the chain does not end.
        lost_bits: low bits of a link that the list's header has no room for.

    Raises:
        InvariantError: the chain does not end, or leads to where nothing is mapped.
    """
    entry, seen = first, set[int]()
    while entry:
        if entry in seen:
            raise InvariantError(f"the free entries of {whose} run in a ring at {entry:#x}")
        seen.add(entry)
        yield entry
        link = memory.peek_pointer(entry)
        if link is None:
            raise InvariantError(
                f"the free entries of {whose} lead to {entry:#x}, where nothing is mapped"
            )
        entry = link & ~lost_bits


def check_list(checked: CheckedList, pool: Pool) -> None:
    """Verify the invariants of a list.

    Raises:
        InvariantError: the first one that does not hold.
    """
    entries = list(checked.entries())
    if len(entries) != checked.current_depth:
        raise InvariantError(
            f"{checked!r} says it has {checked.current_depth} entries and has {len(entries)}"
        )
    for entry in entries:
        block = pool.find(entry)
        if block is None or entry + checked.size > block.address + block.size:
            raise InvariantError(
                f"the free entry {entry:#x} of {checked!r} is in no live block"
            )
    maximum = checked.maximum_depth
    if maximum != DISABLED_MAXIMUM_DEPTH and checked.depth > maximum:
        raise InvariantError(f"{checked!r}: depth is over maximum depth {maximum}")

"""Whether the results of calls that overlapped fit some order of the calls.

Source:
    Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects" (1990);
    the search is that of Wing and Gong, "Testing and Verifying Concurrent Objects" (1993).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["Call", "find_order"]


@attrs.define(eq=False)
class Call:
    """One call of a thread.

    Attributes:
        entry: what was allocated or freed; None if nothing was.
        is_free: whether it freed the entry.
        refused: whether the backend refused a request meanwhile.
        begun: when it began, in steps of one clock for all threads.
        over: when it returned.
    """

    entry: int | None
    is_free: bool
    refused: bool
    begun: int
    over: int


def find_order(
    calls: Sequence[Call], free: Sequence[int], depth: int, order: str | None
) -> list[Call] | None:
    """Find an order in which one thread could have made the calls, with the same results.

    Args:
        calls: those of all threads.
        free: the entries free before, freed first first.
        depth: how many free entries are kept.
        order: which is handed out next: "lifo", "fifo", or None for any.

    Returns:
        The calls in that order, or None if there is none.
    """
    failed: set[tuple[frozenset[int], tuple[int, ...]]] = set()

    def search(left: frozenset[int], free: tuple[int, ...], made: list[Call]) -> bool:
        if not left:
            return True
        if (left, free) in failed:
            return False
        first_over = min(calls[number].over for number in left)
        for number in sorted(left):
            call = calls[number]
            if call.begun > first_over:
                continue  # another call was over before this one began
            after = _after(call, free, depth, order)
            if after is not None:
                made.append(call)
                if search(left - {number}, after, made):
                    return True
                made.pop()
        failed.add((left, free))
        return False

    found: list[Call] = []
    return found if search(frozenset(range(len(calls))), tuple(free), found) else None


def _after(
    call: Call, free: tuple[int, ...], depth: int, order: str | None
) -> tuple[int, ...] | None:
    """The free entries after a call, or None if it cannot have had its result."""
    entry = call.entry
    if call.is_free:
        assert entry is not None
        return (*free, entry) if len(free) < depth else free
    if entry is None:
        return free if call.refused and not free else None
    if not free:
        return free
    if entry not in free or (order and entry != free[-1 if order == "lifo" else 0]):
        return None
    return tuple(each for each in free if each != entry)

"""What a list would do for calls of which only the number is known, from one look to the next.

The order of the calls decides what hits. So there are two answers: what a list saves in the worst order, and in
the best one. Both hold for a list that is tuned as NT tunes it, at whatever depth it is meanwhile:

- A list that is never less deep than another holds, after the same calls, never less. A list whose every allocate and
  free hits A and F times ends with F - A entries more than at first, so it saves 2 A calls and what it holds more at
  the end: a deeper list saves no less.
- A list tuned by NT is never less deep than its minimum of 4, and never deeper than its maximum. So it saves no less than
  a list of the fixed depth 4 in the worst order, and no more than one of the maximum depth in the best.

Source:
    docs/advice.md: counts instead of calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from lookaside_sim.advise.policy import NT, Policy
from lookaside_sim.nt.types import PoolTag, PoolType

_MANY: Final = 1 << 62


@attrs.frozen
class Bounds:
    """What a list for the blocks of one tag would save, if they are all of one size.

    Attributes:
        pool_type: of the blocks.
        tag: of the blocks.
        size: of a block on average, in bytes; 0 where none was live at any look.
        total_allocates: allocate calls from the first look to the last.
        total_frees: free calls.
        at_least: pool calls saved in the worst order of the calls.
        at_most: pool calls saved in the best order.
    """

    pool_type: PoolType
    tag: PoolTag
    size: int
    total_allocates: int
    total_frees: int
    at_least: int
    at_most: int

    @property
    def calls(self) -> int:
        """Allocate and free calls."""
        return self.total_allocates + self.total_frees


def bounds_of(
    calls: Iterable[tuple[int, int]], least_depth: int, most_depth: int
) -> tuple[int, int]:
    """The fewest and the most calls that a list saves, whatever their order between two looks.

    Args:
        calls: allocate and free calls between each two looks. The list is empty at first.
        least_depth: a depth it never falls below, in entries.
        most_depth: a depth it never exceeds.

    Returns:
        Pool calls saved in the worst order, and in the best.
    """
    # By the entries held: the fewest calls saved until then.
    worst = {0: 0}
    held = best = 0
    for allocates, frees in calls:
        if allocates or frees:
            worst = _worst(worst, allocates, frees, least_depth)
            held, hits = _best(held, allocates, frees, most_depth)
            best += hits
    return min(worst.values()), best


def _best(held: int, allocates: int, frees: int, depth: int) -> tuple[int, int]:
    """Entries held and calls saved if allocates and frees take turns as well as they can.

    An allocate that misses although there was a free to come before it costs a hit now, and leaves an
    entry that can be worth no more than one later.
    """
    if not depth:
        return 0, 0
    allocate_hits = min(allocates, held + frees)
    free_hits = min(frees, depth - held + allocates)
    return held + free_hits - allocate_hits, allocate_hits + free_hits


def _worst(before: dict[int, int], allocates: int, frees: int, depth: int) -> dict[int, int]:
    """The fewest calls saved for each number of entries that may be held afterwards.

    Calls of one kind in a row miss most, so all of one kind go in a row; some of the other kind
    go before it, and the others behind it, as many as makes a difference: the depth.
    """
    after: dict[int, int] = {}
    for held, saved in before.items():
        for first in _splits(allocates, depth):
            now, hits = _in_rows(held, (-first, frees, first - allocates), depth)
            after[now] = min(after.get(now, _MANY), saved + hits)
        for first in _splits(frees, depth):
            now, hits = _in_rows(held, (first, -allocates, frees - first), depth)
            after[now] = min(after.get(now, _MANY), saved + hits)
    return after


def _splits(count: int, depth: int) -> Iterable[int]:
    """How many calls of one kind to make first, where it makes a difference."""
    if count <= 2 * depth + 1:
        return range(count + 1)
    return [*range(depth + 1), *range(count - depth, count + 1)]


def _in_rows(held: int, rows: Iterable[int], depth: int) -> tuple[int, int]:
    """Make frees (above 0) and allocates (below 0), so many in a row each."""
    hits = 0
    for row in rows:
        now = min(max(held + row, 0), depth)
        hits += abs(now - held)
        held = now
    return held, hits


def bounds(
    pool_type: PoolType,
    tag: PoolTag,
    size: int,
    calls: Iterable[tuple[int, int]],
    policy: Policy = NT,
) -> Bounds:
    """Say what a list would save for counted calls.

    Args:
        pool_type: of the blocks.
        tag: of the blocks.
        size: of a block, in bytes.
        calls: allocate and free calls between each two looks.
        policy: that the list is tuned by; its minimum and maximum depths count.

    Returns:
        The fewest and the most calls saved.
    """
    known = list(calls)
    if policy.fixed_depth is None:
        least, most = policy.minimum_depth, policy.maximum_depth
    else:
        least = most = policy.fixed_depth
    at_least, at_most = bounds_of(known, least, most)
    return Bounds(
        pool_type=pool_type,
        tag=tag,
        size=size,
        total_allocates=sum(allocates for allocates, _ in known),
        total_frees=sum(frees for _, frees in known),
        at_least=at_least,
        at_most=at_most,
    )

"""The depth tuning rule of lookaside lists, and nothing else.

The balance set manager samples each list and moves its Depth: up when too many allocations
missed, slowly down when hardly any did, quickly down when the list is hardly used.

Source:
    docs/sources.md, lists section 6 (ExAdjustLookasideDepth). [observed] The same numbers in
    every version looked at; Microsoft documents that the depth is tuned, not how.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.nt.types import ULONG_MASK

SCAN_PERIOD: Final = 3
"""Seconds between two scans of one list: one call a second, three phases. [observed]"""
MINIMUM_ALLOCATION_RATE: Final = 25
"""Allocations a second below which a list counts as hardly used. [observed]"""
MISS_RATIO_SCALE: Final = 1000
"""The miss ratio is counted in misses per this many allocations. [observed]"""
MINIMUM_MISS_RATIO: Final = 5
"""Misses a thousand allocations below which the depth shrinks by one. [observed]"""
IDLE_STEP: Final = 10
"""Entries by which the depth of a hardly used list shrinks. [observed]"""
CALM_STEP: Final = 1
"""Entries by which the depth of a busy list that hardly misses shrinks. [observed]"""
GROWTH_DIVISOR: Final = 2000
"""Divides miss ratio times room to grow; twice the ratio's scale. [observed]"""
GROWTH_BASE: Final = 5
"""Entries that a growing depth gains at least. [observed]"""
GROWTH_LIMIT: Final = 30
"""Entries that a growing depth gains at most. [observed]"""
MINIMUM_DEPTH: Final = 4
"""ExMinimumLookasideDepth: entries a list may always hold. [observed]"""
DISABLED_MAXIMUM_DEPTH: Final = 0xFFFF
"""MaximumDepth of a disabled list, which is never tuned. [observed]"""


def next_depth(
    depth: int,
    maximum_depth: int,
    allocates: int,
    misses: int,
    period: int = SCAN_PERIOD,
    minimum_depth: int = MINIMUM_DEPTH,
) -> int:
    """Compute the Depth a list gets from one scan.

    Args:
        depth: its Depth now, in entries.
        maximum_depth: its MaximumDepth; 0xFFFF leaves the depth alone.
        allocates: allocate calls since its last scan, as the difference of two ULONGs.
        misses: those that found it empty. May exceed ``allocates`` where increments were
            lost; the rule is applied as it is.
        period: seconds since its last scan.
        minimum_depth: the system's minimum.

    Returns:
        The new Depth, in entries.

    Source:
        docs/sources.md, lists section 6. The product of misses and scale, and that of ratio and
        room, wrap at 32 bits, as ULONG arithmetic does.
    """
    if maximum_depth == DISABLED_MAXIMUM_DEPTH:
        return depth
    if allocates < MINIMUM_ALLOCATION_RATE * period:
        target = depth - IDLE_STEP
        return target if target > minimum_depth else minimum_depth
    ratio = (misses * MISS_RATIO_SCALE & ULONG_MASK) // allocates
    if ratio < MINIMUM_MISS_RATIO:
        target = depth - CALM_STEP
        return target if target > minimum_depth else minimum_depth
    room = maximum_depth - depth & ULONG_MASK
    growth = (ratio * room & ULONG_MASK) // GROWTH_DIVISOR + GROWTH_BASE
    target = depth + (growth if growth < GROWTH_LIMIT else GROWTH_LIMIT)
    return target if target < maximum_depth else maximum_depth

"""What the tests of the depth rule share: the rule, written down again."""

from __future__ import annotations

ULONG = 1 << 32


def restated(
    depth: int, maximum: int, allocates: int, misses: int, period: int = 3, least: int = 4
) -> int:
    """Section 6 written down again, in other words."""
    if maximum == 0xFFFF:
        return depth
    per_second_is_low = allocates // period < 25
    if per_second_is_low:
        return max(least, depth - 10)
    per_mille = ((1000 * misses) % ULONG) // allocates
    if per_mille in range(5):
        return max(least, depth - 1)
    room = (maximum - depth) % ULONG
    proposed = 5 + ((room * per_mille) % ULONG) // 2000
    return min(maximum, depth + (30 if proposed > 30 else proposed))

"""How a list is made and tuned: the rule as NT has it, or with other constants.

Source:
    docs/sources.md, lists section 6; `lookaside_sim.lookaside.tuning` says what each constant is.
"""

from __future__ import annotations

from typing import Final

import attrs

from lookaside_sim.lookaside import tuning
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import EX_MAXIMUM_LOOKASIDE_DEPTH_BASE, ULONG_MASK

_NEVER: Final = 1 << 62
_WORD_BITS: Final = 16
"""Depth and MaximumDepth are fields of 16 bits."""


def _checked(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    unsigned(attribute.name, value, _WORD_BITS)


def _at_least_one(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{attribute.name} {value!r}: give 1 or more")


@attrs.frozen
class Policy:
    """What decides the depth of a list. The defaults are NT's.

    Attributes:
        fixed_depth: a depth that is never tuned, in entries; None for the rule.
        minimum_depth: of a list at first and when it is idle.
        maximum_depth: the list's MaximumDepth.
        period: seconds between two scans of a list.
        idle_rate: allocations a second below which a list counts as hardly used.
        idle_step: entries by which a hardly used list shrinks.
        calm_step: entries by which a busy list that hardly misses shrinks.
        miss_ratio: misses a thousand allocations below which a list hardly misses.
        growth_base: entries that a growing list gains at least.
        growth_limit: entries that it gains at most.
        processors: lists that share the calls; see ``turn``.
        turn: calls in a row that come from one processor, where there are several.
    """

    fixed_depth: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(_checked)
    )
    minimum_depth: int = attrs.field(default=tuning.MINIMUM_DEPTH, validator=_checked)
    maximum_depth: int = attrs.field(
        default=EX_MAXIMUM_LOOKASIDE_DEPTH_BASE, validator=_checked
    )
    period: int = attrs.field(default=tuning.SCAN_PERIOD, validator=_at_least_one)
    idle_rate: int = attrs.field(default=tuning.MINIMUM_ALLOCATION_RATE, validator=_checked)
    idle_step: int = attrs.field(default=tuning.IDLE_STEP, validator=_checked)
    calm_step: int = attrs.field(default=tuning.CALM_STEP, validator=_checked)
    miss_ratio: int = attrs.field(default=tuning.MINIMUM_MISS_RATIO, validator=_checked)
    growth_base: int = attrs.field(default=tuning.GROWTH_BASE, validator=_checked)
    growth_limit: int = attrs.field(default=tuning.GROWTH_LIMIT, validator=_checked)
    processors: int = attrs.field(default=1, validator=_at_least_one)
    turn: int = attrs.field(default=64, validator=_at_least_one)

    @property
    def first_depth(self) -> int:
        """The depth of a list that was just made."""
        return self.minimum_depth if self.fixed_depth is None else self.fixed_depth

    def scans(self, second: int, *, paged: bool) -> int:
        """How often a list was scanned until so many seconds had passed.

        Args:
            second: the seconds.
            paged: whether it is a paged list, which is scanned a second later.
        """
        if self.fixed_depth is not None:
            return 0
        return (second + self.period - self._first_scan(paged)) // self.period

    def next_scan(self, second: int, *, paged: bool) -> int:
        """The second in which a list is scanned next.

        Args:
            second: seconds that have passed.
            paged: whether it is a paged list.
        """
        if self.fixed_depth is not None:
            return _NEVER
        return self._first_scan(paged) + self.scans(second, paged=paged) * self.period

    def _first_scan(self, paged: bool) -> int:
        # A nonpaged list is scanned in the first second, and every period from then on.
        return (2 if paged else 1) % self.period or self.period

    def next_depth(self, depth: int, allocates: int, misses: int) -> int:
        """The depth a list gets from one scan; see `lookaside_sim.next_depth`.

        Args:
            depth: its depth now.
            allocates: allocate calls since its last scan.
            misses: those that found it empty.
        """
        if self.maximum_depth == tuning.DISABLED_MAXIMUM_DEPTH:
            return depth
        if allocates < self.idle_rate * self.period:
            return max(depth - self.idle_step, self.minimum_depth)
        ratio = (misses * tuning.MISS_RATIO_SCALE & ULONG_MASK) // max(allocates, 1)
        if ratio < self.miss_ratio:
            return max(depth - self.calm_step, self.minimum_depth)
        room = self.maximum_depth - depth & ULONG_MASK
        growth = (ratio * room & ULONG_MASK) // tuning.GROWTH_DIVISOR + self.growth_base
        return min(depth + min(growth, self.growth_limit), self.maximum_depth)


NT: Final = Policy()
"""As NT does it."""

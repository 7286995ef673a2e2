"""The notification events that tell drivers how much pool is left.

Source:
    [doc] Standard Event Objects; docs/sources.md, pool section 2 ("low/high events"). Choice of the
    thresholds, which NT computes from the size of memory: low while less than an eighth of a
    pool's limit is free, high while more than a quarter is.
"""

from __future__ import annotations

from typing import Final, Protocol

import attrs

from lookaside_sim.nt.arguments import shown, text
from lookaside_sim.pool.descriptor import PoolDescriptor

_LOW_SHARE: Final = 8
_HIGH_SHARE: Final = 4

CONDITIONS: Final = {
    "LowPagedPoolCondition": (True,),
    "HighPagedPoolCondition": (True,),
    "LowNonPagedPoolCondition": (False,),
    "HighNonPagedPoolCondition": (False,),
    "LowMemoryCondition": (False, True),
    "HighMemoryCondition": (False, True),
}
"""Names in the object directory ``\\KernelObjects``, and whether each is about the pools that are
not paged (False), that are (True), or both."""


class Conditioned(Protocol):
    """What the conditions are about; `PoolManager` is one."""

    @property
    def descriptors(self) -> tuple[PoolDescriptor, ...]:
        """The pools."""


@attrs.frozen
class MemoryCondition:
    """A notification event, signaled for as long as its condition holds.

    Attributes:
        name: one of `CONDITIONS`.
    """

    _pool: Conditioned
    name: str

    @property
    def is_set(self) -> bool:
        """Whether it is signaled now."""
        pool = self._pool
        pools = [each for each in pool.descriptors if each.paged in CONDITIONS[self.name]]
        limit = sum(each.runs.limit for each in pools)
        free = limit - sum(each.runs.in_use for each in pools)
        if self.name.startswith("Low"):
            return free * _LOW_SHARE < limit
        return free * _HIGH_SHARE > limit


def memory_condition(pool: Conditioned, name: str) -> MemoryCondition:
    """Open an event by name.

    Args:
        pool: the pool manager.
        name: with or without its object directory in front.

    Raises:
        ValueError: no such event.
    """
    short = text("event", name).removeprefix("\\KernelObjects\\")
    if short not in CONDITIONS:
        raise ValueError(f"event {shown(name)}: give one of {', '.join(CONDITIONS)}")
    return MemoryCondition(pool, short)

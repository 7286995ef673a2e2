"""The notification events that tell drivers how much pool is left.

Source:
    [doc] Standard Event Objects; docs/sources.md, pool section 2 ("low/high events"). Choice of the
    thresholds, which NT computes from the size of memory: low while less than an eighth of a
    pool's limit is free, high while more than a quarter is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel

_LOW_SHARE: Final = 8
_HIGH_SHARE: Final = 4

EVENT_NAMES: Final = (
    "LowPagedPoolCondition",
    "HighPagedPoolCondition",
    "LowNonPagedPoolCondition",
    "HighNonPagedPoolCondition",
    "LowMemoryCondition",
    "HighMemoryCondition",
)
"""Names in the object directory ``\\KernelObjects``."""


@attrs.frozen
class PoolEvent:
    """A notification event, signaled for as long as its condition holds.

    Attributes:
        name: one of `EVENT_NAMES`.
    """

    _kernel: Kernel
    name: str

    @property
    def is_set(self) -> bool:
        """Whether it is signaled now."""
        pool = self._kernel.pool
        if "NonPaged" in self.name:
            pools = [pool.nonpaged, pool.nonpaged_nx]
        elif "Paged" in self.name:
            pools = [pool.paged]
        else:
            pools = list(pool.descriptors)
        limit = sum(each.runs.limit for each in pools)
        free = limit - sum(each.runs.in_use for each in pools)
        if self.name.startswith("Low"):
            return free * _LOW_SHARE < limit
        return free * _HIGH_SHARE > limit


def pool_event(kernel: Kernel, name: str) -> PoolEvent:
    """Open an event by name.

    Args:
        kernel: the machine.
        name: with or without its object directory in front.

    Raises:
        ValueError: no such event.
    """
    short = name.removeprefix("\\KernelObjects\\")
    if short not in EVENT_NAMES:
        raise ValueError(f"event {name!r}: give one of {', '.join(EVENT_NAMES)}")
    return PoolEvent(kernel, short)

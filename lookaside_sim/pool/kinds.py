"""The pools a kernel can be built with, by name: the one place that chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lookaside_sim.machine.machine import Machine
from lookaside_sim.pool.kind import Pool
from lookaside_sim.pool.manager import PoolManager
from lookaside_sim.pool.values import PoolLimits

KINDS: Final[dict[str, Callable[..., Pool]]] = {"classic": PoolManager}
"""Called with the machine, the limits and ``strict_tags``."""


def make_pool(name: str, machine: Machine, limits: PoolLimits, *, strict_tags: bool) -> Pool:
    """Build the pool manager of a machine.

    Raises:
        ValueError: no such kind.
    """
    kind = KINDS.get(name)
    if kind is None:
        known = ", ".join(map(repr, KINDS))
        raise ValueError(f"pool={name!r}: give one of {known}")
    return kind(machine, limits, strict_tags=strict_tags)

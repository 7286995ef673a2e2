"""The modeled pool manager: blocks, pages, free lists, big allocations, tag accounting."""

from lookaside_sim.pool.accounting import PoolTagUsage
from lookaside_sim.pool.manager import PoolAllocation, PoolManager, PoolStatistics

__all__ = ["PoolAllocation", "PoolManager", "PoolStatistics", "PoolTagUsage"]

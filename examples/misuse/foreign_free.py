"""A pool block that no list allocated is freed to a list.

Scenario: requests come from the list or, when they are long, from the pool; the length is
not looked at on the way back.
"""

from lookaside_sim import Kernel, LookasideList, PoolType


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Requests")
    lookaside.initialize(size=64, tag=b"Rqst")
    block = kernel.pool.allocate(PoolType.NonPagedPool, 24, b"Long")
    lookaside.free(block)
    print(f"the list hands out the foreign block: {lookaside.allocate() == block}")

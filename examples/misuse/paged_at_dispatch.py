"""A paged list is used at DISPATCH_LEVEL.

Scenario: a request is freed and allocated under a spin lock, from paged pool. It works as long
as the list has an entry and the entry is in memory.
"""

from lookaside_sim import Kernel, LookasideList, PoolType, SpinLock


def misuse(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel, "Names")
    lookaside.initialize(pool_type=PoolType.PagedPool, size=64, tag=b"Name")
    lookaside.free(lookaside.allocate())
    with SpinLock(kernel, "NamesLock"):
        lookaside.free(lookaside.allocate())
    print("nothing noticed")

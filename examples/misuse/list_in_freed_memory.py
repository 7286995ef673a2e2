"""The memory that holds an active list is freed.

Scenario: the list lies in a device extension, which is freed without deleting the list.
"""

from lookaside_sim import Kernel, LookasideList, PoolType


def misuse(kernel: Kernel) -> None:
    extension = kernel.pool.allocate(PoolType.NonPagedPool, 256, b"DevX") or 0
    lookaside = LookasideList(kernel, "Requests", extension + 64)
    lookaside.initialize(size=64, tag=b"Rqst")
    kernel.pool.free(extension)
    print(f"lists still in freed memory: {len(kernel.lookaside_lists)}")

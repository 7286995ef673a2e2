"""What happens when the pool has nothing left.

Covers: the pool's byte limit, failed allocations, POOL_RAISE, what the list still serves.
Scenario: a machine with two pages of nonpaged pool. A list takes all of it; a failed
allocation is counted like any other miss; entries already on the list are still served. With
EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL the same failure is raised as an exception.
"""

from lookaside_sim import Kernel, LookasideList, NtStatusError, PoolType, ddi

POOL_BYTES = 2 * 4096
ENTRY_BYTES = 496


def main() -> None:
    kernel = Kernel(nonpaged_pool_bytes=POOL_BYTES)
    lookaside = LookasideList(kernel)
    lookaside.initialize(pool_type=PoolType.NonPagedPool, size=ENTRY_BYTES, tag=b"Full")

    entries = []
    while (entry := lookaside.allocate()) is not None:
        entries.append(entry)
    print(f"entries served:  {len(entries)}")
    print(f"allocates:       {lookaside.total_allocates}, misses: {lookaside.allocate_misses}")
    print(f"pool:            {kernel.pool.usage(b'Full').nonpaged_bytes} of {POOL_BYTES} bytes")

    lookaside.free(entries.pop())
    print(f"after one free:  {'served' if lookaside.allocate() else 'NULL'}")
    print(f"and then:        {'served' if lookaside.allocate() else 'NULL'}")

    raising = LookasideList(kernel)
    raising.initialize(
        pool_type=PoolType.NonPagedPool,
        size=ENTRY_BYTES,
        tag=b"Rais",
        flags=ddi.EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    )
    try:
        raising.allocate()
    except NtStatusError as error:
        print(f"raising list:    {error.status.name}")
    print(
        f"its counters:    {raising.total_allocates} allocate, {raising.allocate_misses} miss"
    )


if __name__ == "__main__":
    main()

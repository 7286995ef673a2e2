"""A walk through depth tuning: a burst, steady load, then nothing.

Covers: `Kernel.tick`, the depth of a list, hits and misses.
Scenario: each second a driver takes some entries and gives them back, then the balance set
manager runs. It looks at nonpaged lists every third second only, so the depth moves in steps:
up by 30 at most while many allocations miss, down by one while hardly any do, down by ten
once fewer than 25 allocations a second are made.
"""

from lookaside_sim import Kernel, LookasideList, PoolType

BURST_SECONDS = 12
STEADY_SECONDS = 9
IDLE_SECONDS = 15

BURST_ENTRIES = 120  # out at the same time
STEADY_ENTRIES = 40
ROUNDS = 5  # times a second that the entries are taken and given back


def one_second(lookaside: LookasideList, entries: int) -> None:
    for _ in range(ROUNDS):
        taken = [lookaside.allocate() for _ in range(entries)]
        for entry in taken:
            lookaside.free(entry)


def main() -> None:
    kernel = Kernel()
    lookaside = LookasideList(kernel, "mydriver!RequestLookaside")
    lookaside.initialize(pool_type=PoolType.NonPagedPoolNx, size=256, tag=b"Rqst")

    plan = [("burst", BURST_ENTRIES)] * BURST_SECONDS
    plan += [("steady", STEADY_ENTRIES)] * STEADY_SECONDS
    plan += [("idle", 0)] * IDLE_SECONDS

    print("second  load    allocates  hit rate  depth  on the list")
    for second, (load, entries) in enumerate(plan, 1):
        allocates, misses = lookaside.total_allocates, lookaside.allocate_misses
        one_second(lookaside, entries)
        kernel.tick()
        allocates = lookaside.total_allocates - allocates
        misses = lookaside.allocate_misses - misses
        rate = f"{100 * (allocates - misses) // allocates}%" if allocates else "-"
        print(
            f"{second:6}  {load:6}  {allocates:9}  {rate:>8}  {lookaside.depth:5}"
            f"  {lookaside.current_depth:11}"
        )


if __name__ == "__main__":
    main()

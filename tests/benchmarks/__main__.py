"""``python -m tests.benchmarks [ROUNDS]``: all figures of docs/performance.md, as one table of ratios.

A ratio is to one ``free(allocate())`` of a minimal Python class, measured in the same rounds: machines
differ and wander, so read those. Beside it stands what it comes to here, the best of all rounds.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from lookaside_sim import Kernel
from tests.benchmarks import bench, peers, processes

MINIMAL: Final = "a minimal class"


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        name: what is measured.
        measure: does it; nanoseconds.
        goal: what it should come to: a ratio, or a time with its unit; "" for none.
        rare: whether it is too long to be measured in every round.
    """

    name: str
    measure: Callable[[], float]
    goal: str = ""
    rare: bool = False


ROWS: Final = (
    Row(MINIMAL, lambda: bench.pairs(bench.Minimal())),
    Row("list, all hits", lambda: bench.pairs(bench.new_list()), "1.25"),
    Row(
        "the same, sanitized",
        lambda: bench.pairs(bench.new_list(Kernel(sanitizer=True))),
        "1.85",
    ),
    Row("list, every pair to the pool", bench.list_misses, "7"),
    Row("the same, in random order", bench.random_order, "5"),
    Row("pool alone", bench.pool_pairs, "4.5"),
    Row("pool, 13 sizes, 500 live", bench.mixed_sizes),
    Row("list to the pool, on bytes", lambda: bench.list_misses(bench.on_bytes())),
    Row("pool alone, on bytes", lambda: bench.pool_pairs(bench.on_bytes())),
    Row("list to the pool, with a driver", lambda: bench.list_misses(bench.with_driver())),
    Row("pool alone, with a driver", lambda: bench.pool_pairs(bench.with_driver()), "25"),
    Row("a listener adds to a hit", lambda: bench.told(_hits)),
    Row("a listener adds to a miss", lambda: bench.told(bench.list_misses)),
    Row("a listener adds to a pool call", lambda: bench.told(bench.pool_pairs)),
    Row("read of 64 bytes", lambda: bench.touches(64)),
    Row("read of a page of blocks", lambda: bench.touches(4096), "20 us"),
    Row("write of 64 bytes", lambda: bench.touches(64, write=True)),
    Row("check of 200 blocks", bench.checks, "2 ms"),
    Row("a kernel", bench.kernels, "40 us"),
    Row("a copy of a small machine", bench.clones),
    Row("tick over 10,000 idle lists", lambda: bench.ticks(busy=False), "0.5 ms", rare=True),
    Row("tick over 10,000 used lists", lambda: bench.ticks(busy=True), "4 ms", rare=True),
    Row("program of 50 steps", bench.program_of_fifty_steps, rare=True),
    Row("event of a trace, read", bench.reading, "1.7 us", rare=True),
    Row("event of a trace, run, 2 lists", bench.replaying, "2.5 us", rare=True),
)
_GOALS: Final = {"import lookaside_sim": "60 ms", "lookaside-sim --help": "80 ms"}
_UNITS: Final = ((1e6, "ms"), (1e3, "us"), (1, "ns"))
_RARE_ROUNDS: Final = 2


def _hits(kernel: Kernel) -> float:
    return bench.pairs(bench.new_list(kernel))


def _of_peer(pair: peers.Pair, count: int) -> Callable[[], float]:
    return lambda: bench.timed(pair, count)


def _with_unit(nanoseconds: float) -> str:
    size, unit = next(each for each in _UNITS if nanoseconds >= each[0] or each[0] == 1)
    return f"{nanoseconds / size:.3g} {unit}"


def measured(rounds: int) -> dict[Row, list[tuple[float, float]]]:
    """Each row's nanoseconds and ratios, of every round in which it was measured."""
    peer_rows = [
        Row(name, _of_peer(pair, count)) for name, (pair, count) in peers.installed().items()
    ]
    process_rows = [
        Row(name, lambda each=each: processes.processor_time(each), _GOALS.get(name, ""), True)  # type: ignore[misc]
        for name, each in processes.PROGRAMS.items()
    ]
    rows = (*ROWS, *process_rows, *peer_rows)
    found: dict[Row, list[tuple[float, float]]] = {row: [] for row in rows}
    for turn in range(rounds):
        now = [row for row in rows if not row.rare or turn < _RARE_ROUNDS]
        taken = {row: row.measure() for row in random.sample(now, len(now))}
        for row, value in taken.items():
            found[row].append((value, value / taken[ROWS[0]]))
    return found


def main(rounds: int) -> None:
    """Measure everything and print it."""
    print(f"CPython {sys.version.split()[0]}, {rounds} rounds")
    print(f"{'one of':32} {'ratio':>10} {'here':>9}   goal")
    for row, values in measured(rounds).items():
        ratio = statistics.median(ratio for _, ratio in values)
        best = min(value for value, _ in values)
        print(f"{row.name:32} {ratio:10,.2f} {_with_unit(best):>9}   {row.goal}".rstrip())
    memory = [("a kernel", bench.bytes_per_kernel(), 30_000)]
    if Path("/proc/self/statm").exists():
        memory.append(("a live 64-byte block of 10^6", bench.bytes_per_block(), 220))
    for name, size, goal in memory:
        print(f"{name:32} {size / goal:10.2f} {size:7,.0f} B   {goal:,} B (ratio: to the goal)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)

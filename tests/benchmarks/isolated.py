"""How many programs a second run on allocators in processes of their own.

Run ``python -m tests.benchmarks.isolated [PROGRAMS]``: small programs, as most of a check are, on an allocator in Python, and in C
where a compiler is. The goal is 2,000 a second of processor time, in the process that asks and the one that runs them
together.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

from lookaside_sim.testing import Contract
from lookaside_sim.testing.conformance.differences import Setting
from lookaside_sim.testing.conformance.isolated import IsolatedTrials
from lookaside_sim.testing.programs.example import Example
from lookaside_sim.testing.programs.steps import Allocate, AllocateFree, Free, FreeAt
from tests.testing.adapters.mistakes import COMPILER, compiled
from tests.testing.allocators import Slab

PROGRAM = (Allocate(2), Free(), Allocate(), FreeAt(1), AllocateFree(2), Free(oldest=True))


def processor_time() -> float:
    """Seconds that this process and those it has ended ran."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def measure(name: str, factory: Any, count: int) -> None:
    """Run so many programs, and print how many a second that are."""
    trials = IsolatedTrials(Setting(factory, Contract(capacity=True, grows=False)))
    cpu, wall = processor_time(), time.perf_counter()
    found = trials.first_difference(Example(PROGRAM) for _ in range(count))
    trials.close()
    cpu, wall = processor_time() - cpu, time.perf_counter() - wall
    assert found is None, found
    print(
        f"{name:10} {count / cpu:8,.0f} a second of processor time, {count / wall:8,.0f} of any"
    )


def main(count: int = 20_000) -> None:
    """Measure, and print a table."""
    measure("in Python", Slab, count)
    if COMPILER is not None:
        measure("in C", compiled(), count)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

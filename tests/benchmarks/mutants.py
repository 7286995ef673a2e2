"""How many mistakes a default check finds, how fast, and how short; and what it says wrongly.

Run by hand: ``python -m tests.benchmarks.mutants [EXAMPLES]``. With a number the correct designs
are checked with as many programs each, and nothing else is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from lookaside_sim.testing import AllocatorDifference, check_allocator
from tests.testing.adapters.mistakes import COMPILER, MISTAKES, compiled
from tests.testing.designs import DESIGNS
from tests.testing.mutants import FIXED, LOOKASIDE, MEMORY
from tests.testing.mutants_memory import MUTANTS

MOST_STEPS = 8
MOST_SECONDS = 2.0


def everything() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every mutant with its name and what it promises."""
    for level, broken in (("lookaside", LOOKASIDE), ("memory", MEMORY), ("fixed", FIXED)):
        for each in broken:
            yield each.__name__, each, {"level": level}
    for factory, promised in MUTANTS:
        yield factory.__name__, factory, promised
    if COMPILER is not None:
        for mistake in MISTAKES:
            yield f"{mistake} (C)", compiled(mistake), {"level": "memory"}


def find_mistakes() -> None:
    """Check every mutant, and say what is missed, slow or long."""
    good = total = 0
    for name, factory, promised in everything():
        total += 1
        begun = time.perf_counter()
        try:
            check_allocator(factory, **promised)
        except AllocatorDifference as difference:
            seconds, steps = time.perf_counter() - begun, len(difference.program)
            if seconds < MOST_SECONDS and steps <= MOST_STEPS and not difference.flaky:
                good += 1
            else:
                print(f"{name}: {seconds:.1f} s, {steps} steps, flaky: {difference.flaky}")
        else:
            print(f"{name}: not found")
    print(f"{good} of {total} mistakes found in {MOST_STEPS} steps and {MOST_SECONDS} s")


def check_designs(examples: int) -> None:
    """Check every correct design with so many programs."""
    reported = 0
    for factory, promised in DESIGNS:
        try:
            check_allocator(factory, max_examples=examples, **promised)
        except AllocatorDifference as difference:
            reported += 1
            print(f"{factory.__name__} is right, and reported: {difference}")
    print(f"{reported} of {len(DESIGNS)} correct designs reported in {examples} programs each")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        check_designs(int(sys.argv[1]))
    else:
        find_mistakes()

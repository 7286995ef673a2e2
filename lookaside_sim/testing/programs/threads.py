"""Directed programs for several threads, each in every schedule of a few changes of thread."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import Final

from lookaside_sim.testing.programs.example import Example
from lookaside_sim.testing.programs.steps import Allocate, AllocateFree, Free, Step, Together
from lookaside_sim.testing.programs.wants import Wants

__all__ = ["thread_examples"]

_ONE_CHANGE: Final = 24
"""Switch points at which one change of thread is tried."""
_TWO_CHANGES: Final = 12
"""Switch points at which each pair of changes is tried."""

# What was done before, and what two threads do then.
_PROGRAMS: Final[tuple[tuple[tuple[Step, ...], tuple[Step, ...], tuple[Step, ...]], ...]] = (
    ((), (Allocate(),), (Allocate(),)),
    ((Allocate(), Free()), (Allocate(),), (Allocate(),)),
    ((Allocate(2),), (Free(),), (Free(),)),
    ((Allocate(2), Free()), (Allocate(),), (Free(),)),
    ((Allocate(2), Free(2)), (Allocate(),), (Allocate(2), Free(oldest=True))),
    ((Allocate(3), Free(3)), (Allocate(), Free()), (Allocate(2), Free(2))),
    ((Allocate(2), Free()), (AllocateFree(2),), (AllocateFree(2),)),
)
_AFTER: Final = (Allocate(3),)
"""Hands out what the threads left on a list."""


def thread_examples(threads: int, wants: Wants) -> Iterator[Example]:
    """Programs for threads.

    Args:
        threads: how many.
        wants: what they are for.

    Returns:
        Each program in every schedule with one change in its first switch points, and with
        two changes in the very first.
    """
    for before, first, second in _PROGRAMS:
        bodies = (first, *([second] * (threads - 1)))
        for schedule in _schedules(threads):
            step = Together(bodies, schedule)
            yield wants.fit(Example((*before, step, *_AFTER)))


def _schedules(threads: int) -> Iterator[tuple[tuple[int, int], ...]]:
    yield ()
    others = range(1, threads)
    for at, to in product(range(_ONE_CHANGE), others):
        yield ((at, to),)
    for (at, again), to, back in product(
        combinations(range(_TWO_CHANGES), 2), others, range(threads)
    ):
        if to != back:
            yield ((at, to), (again, back))

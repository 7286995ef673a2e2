"""Lessons taken once for all tests."""

from __future__ import annotations

from functools import cache

from lookaside_sim.lessons import Taken, lesson_named, take

SEEDS = range(4)


@cache
def taken(name: str, seed: int) -> Taken:
    """A lesson with a seed."""
    return take(lesson_named(name), seed)

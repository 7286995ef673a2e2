"""Delta debugging: make what fails as small as can be, knowing nothing of what it is.

Independent of Hypothesis, so that a recorded trace or somebody's program can be reduced that
no strategy drew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

__all__ = ["minimize_number", "minimize_sequence"]


def minimize_sequence(
    items: Sequence[T], fails: Callable[[list[T]], bool], *, attempts: int = 10_000
) -> list[T]:
    """Take out of a failing sequence whatever is not needed for the failure.

    Args:
        items: a sequence for which ``fails`` is true.
        fails: whether a sequence still fails; must not depend on anything else.
        attempts: calls of ``fails`` to spend at most.

    Returns:
        A subsequence that fails, and unless the attempts ran out cannot lose any one item.

    Source:
        Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002):
        removal of chunks, halved when none can go.
    """
    current = list(items)
    if not current:
        return current
    chunk = len(current)
    while chunk:
        removed = False
        start = 0
        while start < len(current):
            if not attempts:
                return current
            attempts -= 1
            candidate = current[:start] + current[start + chunk :]
            if fails(candidate):
                current = candidate
                removed = True
            else:
                start += chunk
        # What was needed at first may not be any more once something else is gone.
        if chunk > 1 or not removed:
            chunk //= 2
    return current


def minimize_number(
    value: int, fails: Callable[[int], bool], *, least: int = 0, attempts: int = 64
) -> int:
    """Find a small number that still fails.

    Args:
        value: a number for which ``fails`` is true.
        fails: whether a number still fails.
        least: smallest number to try.
        attempts: calls of ``fails`` to spend at most.

    Returns:
        A failing number; the smallest one where failing numbers are all those from some
        boundary up.
    """
    low = least
    for candidate in _downward(value, least):
        if candidate >= value or attempts <= 0:
            break
        attempts -= 1
        if fails(candidate):
            value = candidate
            break
        low = max(low, candidate + 1)
    else:
        # Nothing small does. Where not even one less does, a search would be in vain.
        if low < value and attempts > 0:
            attempts -= 1
            if not fails(value - 1):
                return value
            value -= 1
    while low < value and attempts > 0:
        attempts -= 1
        middle = (low + value) // 2
        if fails(middle):
            value = middle
        else:
            low = middle + 1
    return value


def _downward(value: int, least: int) -> Iterator[int]:
    """Small candidates first: most failures need none of a large number."""
    yield least
    step = 1
    while least + step < value:
        yield least + step
        step *= 4

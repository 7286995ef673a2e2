"""Make a failing program small: fewer steps, smaller numbers, plainer settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from lookaside_sim.testing.conformance.differences import AllocatorDifference
from lookaside_sim.testing.programs.example import Example
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Free,
    FreeAt,
    Step,
    Tick,
)
from lookaside_sim.testing.reduce.minimize import minimize_number, minimize_sequence

__all__ = ["Shrinker"]

_SHRINKING_CALLS: Final = 300_000
"""Calls of the allocator to spend on shrinking: seconds at the very most. Calls and not
seconds, so that the report is the same on a slow machine."""


class Shrinker:
    """Reduces one failing example; any difference will do, the simplest is best.

    Args:
        difference_of: runs an example; returns what differs, or None.
        example: one that fails.
        difference: how.
    """

    def __init__(
        self,
        difference_of: Callable[[Example], AllocatorDifference | None],
        example: Example,
        difference: AllocatorDifference,
    ) -> None:
        self._difference_of = difference_of
        self._calls_left = _SHRINKING_CALLS
        self._keep(example, difference)

    def _keep(self, example: Example, difference: AllocatorDifference) -> None:
        # Nothing behind the step that failed is needed.
        steps = difference.program[1 : 1 + difference.steps_run]
        self._example = attrs.evolve(example, program=tuple(steps))
        self._best = difference

    def shrink(self) -> AllocatorDifference:
        """Reduce until nothing can go, or no calls are left.

        Returns:
            The difference of the smallest example found, with its program.
        """
        before: Example | None = None
        while self._example != before and self._calls_left > 0:
            before = self._example
            minimize_sequence(self._example.program, lambda steps: self._try(tuple(steps)))
            self._join()
            for index in range(len(self._example.program)):
                self._simplify(index)
            self._simplify_setting()
        return self._best

    def _try(self, program: tuple[Step, ...]) -> bool:
        return self._try_example(attrs.evolve(self._example, program=program))

    def _try_example(self, candidate: Example) -> bool:
        if self._calls_left <= 0:
            return False
        difference = self._difference_of(candidate)
        self._calls_left -= _cost(candidate.program)
        if difference is None:
            return False
        self._keep(candidate, difference)
        return True

    def _join(self) -> None:
        """Make one bulk step of two steps beside each other."""
        index = 0
        while index + 1 < len(self._example.program):
            program = self._example.program
            first, second = program[index : index + 2]
            joined = _joined(first, second)
            if joined is None or not self._try(
                (*program[:index], joined, *program[index + 2 :])
            ):
                index += 1

    def _simplify(self, index: int) -> None:
        """Make one step the plainest that still fails, its numbers small."""
        for name, least in (("seconds", 1), ("count", 1), ("index", 0)):
            step = self._step(index)
            value = getattr(step, name, None)
            if value is not None and step is not None:
                minimize_number(value, self._with_number(index, step, name), least=least)
        step = self._step(index)
        if isinstance(step, AllocateEachSecond) and step.seconds == 1:
            program = self._example.program
            plain = (Allocate(step.count), Tick())
            self._try((*program[:index], *plain, *program[index + 1 :]))
        elif isinstance(step, Free) and step.oldest:
            self._try_step(index, Free(step.count))
        elif isinstance(step, FreeAt):
            for plainer in (Free(), Free(oldest=True)):
                if self._try_step(index, plainer):
                    break

    def _with_number(self, index: int, step: Step, name: str) -> Callable[[int], bool]:
        def fails(number: int) -> bool:
            return self._try_step(index, _with(step, name, number))

        return fails

    def _step(self, index: int) -> Step | None:
        program = self._example.program
        return program[index] if index < len(program) else None

    def _try_step(self, index: int, step: Step) -> bool:
        program = self._example.program
        if index >= len(program):
            return False
        return self._try((*program[:index], step, *program[index + 1 :]))

    def _simplify_setting(self) -> None:
        """Prefer the default size, and addresses that are not used again."""
        now = self._example
        for plain in (
            attrs.evolve(now, size=32, reuse=False),
            attrs.evolve(now, reuse=False),
            attrs.evolve(now, size=32),
        ):
            if plain != now and self._try_example(plain):
                break


def _joined(first: Step, second: Step) -> Step | None:
    """One step for two, or None where there is none."""
    if isinstance(first, Allocate) and isinstance(second, Free):
        return AllocateFree(min(first.count, second.count))
    if type(first) is not type(second) or isinstance(first, AllocateEachSecond):
        return None
    for name in ("count", "seconds"):
        if hasattr(first, name) and _with(first, name, 1) == _with(second, name, 1):
            # Alike in everything but the number.
            return _with(first, name, getattr(first, name) + getattr(second, name))
    return None


def _with(step: Any, name: str, number: int) -> Step:
    changed: Step = attrs.evolve(step, **{name: number})
    return changed


def _cost(program: tuple[Step, ...]) -> int:
    """Calls a program makes, about."""
    return (
        sum(
            getattr(step, "count", 1)
            * (step.seconds if isinstance(step, AllocateEachSecond) else 1)
            for step in program
        )
        + 20
    )

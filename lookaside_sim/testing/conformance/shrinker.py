"""Make a failing program small: fewer steps, smaller numbers, plainer settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from lookaside_sim.testing.conformance.differences import AllocatorDifference
from lookaside_sim.testing.programs.example import Example, cost
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Fail,
    Free,
    FreeAt,
    Step,
    Tick,
    Together,
)
from lookaside_sim.testing.reduce.minimize import minimize_number, minimize_sequence

__all__ = ["Shrinker"]

_LEAST_CALLS: Final = 300_000
_MOST_RUNS: Final = 400
"""Calls of the allocator to spend on shrinking: so many, and for a long program as many as its
first form makes in so many runs. Calls and not seconds, so that the report is the same on a
slow machine. In steps that make many calls each, as in all that `check_allocator` tries, that
is more than enough; a program of ten thousand steps of which each counts may not come to its end,
and the report says so."""
_MANY_STEPS: Final = 100
_MANY_CALLS: Final = 5000
"""What makes a program long: it is put together first."""
_LAST: Final = 3
"""Steps at the end of a long program that are tried as they are, behind others in bulk."""
_NUMBERS: Final = (
    ("seconds", 1), ("bursts", 1), ("count", 1), ("entries", 1), ("after", 0), ("index", 0),
)  # fmt: skip
"""The numbers of a step, and the least of each."""


class Shrinker:
    """Reduces one failing example; any difference will do, the simplest is best.

    Args:
        difference_of: runs an example; returns what differs, or None.
        example: one that fails.
        difference: how.
        sizes: the entry sizes that are allowed; None is any.
    """

    def __init__(
        self,
        difference_of: Callable[[Example], AllocatorDifference | None],
        example: Example,
        difference: AllocatorDifference,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self._plain_size = 32 if sizes is None or 32 in sizes else min(sizes)
        self._difference_of = difference_of
        self._calls_left = max(_LEAST_CALLS, _MOST_RUNS * cost(difference.steps))
        self._passed: set[Example] = set()
        self._keep(example, difference)

    def _keep(self, example: Example, difference: AllocatorDifference) -> None:
        # Nothing behind the step that failed is needed.
        self._example = attrs.evolve(example, program=difference.steps)
        self._best = difference

    def shrink(self) -> AllocatorDifference:
        """Reduce until nothing can go, or no calls are left.

        Returns:
            The difference of the smallest example found, with its program: no step, no number
            and no pair of steps can be made smaller, and none can be left out if its neighbor
            does a little more. If the calls ran out, ``minimal`` is false.
        """
        before: Example | None = None
        program = self._example.program
        if len(program) > _MANY_STEPS or cost(program) > _MANY_CALLS:
            self._put_together()
        while self._example != before and self._calls_left > 0:
            before = self._example
            minimize_sequence(self._example.program, lambda steps: self._try(tuple(steps)))
            self._join()
            for index in range(len(self._example.program)):
                self._simplify(index)
            self._simplify_setting()
            if self._example == before:
                self._take_out_and_change()
        self._best.minimal = self._example == before and self._calls_left > 0
        return self._best

    def _put_together(self) -> None:
        """Make a few bulk steps of many small ones: the same calls, in an order that may do."""
        program = self._example.program
        allocations, frees = (
            sum(cost((step,)) - cost(()) for step in program if isinstance(step, kinds))
            for kinds in ((Allocate, AllocateFree), (Free, FreeAt, AllocateFree))
        )
        bulk: list[list[Step]] = []
        if allocations:
            bulk = [[AllocateFree(allocations)], [Allocate(allocations)]]
            bulk += [[Allocate(allocations), Free(max(frees, 1))]]
        for steps in bulk:
            if self._try(tuple(steps)) or self._try((*steps, *program[-_LAST:])):
                return
        self._try(tuple(_runs_joined(program)))

    def _take_out_and_change(self) -> None:
        """Leave one step out where another, doing a little more or less, makes up for it."""
        program = self._example.program
        for index, gone in enumerate(program):
            rest = (*program[:index], *program[index + 1 :])
            extra = getattr(gone, "count", 1)
            for other, step in enumerate(rest):
                for changed in _neighbors(step, extra):
                    if self._try((*rest[:other], changed, *rest[other + 1 :])):
                        return

    def _try(self, program: tuple[Step, ...]) -> bool:
        return self._try_example(attrs.evolve(self._example, program=program))

    def _try_example(self, candidate: Example) -> bool:
        if self._calls_left <= 0 or candidate in self._passed:
            return False
        difference = self._difference_of(candidate)
        self._calls_left -= cost(candidate.program)
        if difference is None:
            if len(candidate.program) <= _MANY_STEPS:
                self._passed.add(candidate)
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
        for name, least in _NUMBERS:
            step = self._step(index)
            value = getattr(step, name, None)
            if value is not None and step is not None:
                minimize_number(value, self._with_number(index, step, name), least=least)
        step = self._step(index)
        if isinstance(step, AllocateEachSecond) and step.seconds == 1:
            program = self._example.program
            self._try((*program[:index], Allocate(step.count), Tick(), *program[index + 1 :]))
        elif isinstance(step, Together):
            while any(self._try_step(index, each) for each in _smaller_threads(step)):
                changed = self._step(index)
                if not isinstance(changed, Together):
                    break
                step = changed
        elif isinstance(step, Allocate):
            self._try_step(index, attrs.evolve(step, alignment=None))
            self._try_step(index, attrs.evolve(step, size=None, alignment=None))
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
        now, size = self._example, self._plain_size
        for plain in (
            attrs.evolve(now, size=size, reuse=False, refused=None),
            attrs.evolve(now, refused=None),
            attrs.evolve(now, reuse=False),
            attrs.evolve(now, size=size),
            *(attrs.evolve(now, refused=each) for each in _plainer_fails(now.refused)),
        ):
            if plain != now and self._try_example(plain):
                break


def _plainer_fails(fail: Fail | None) -> Iterator[Fail]:
    """The same refusals with smaller numbers."""
    if fail is not None:
        for name, least in (("bursts", 1), ("count", 1), ("after", 0)):
            if getattr(fail, name) > least:
                yield attrs.evolve(fail, **{name: getattr(fail, name) - 1})


def _neighbors(step: Step, extra: int) -> Iterator[Step]:
    """A step with a little more or less in it."""
    for name in ("count", "entries", "seconds"):
        value = getattr(step, name, None)
        if value is not None:
            for number in (value - 1, value + extra, value + 1):
                if number >= 1:
                    yield _with(step, name, number)


def _smaller_threads(step: Together) -> Iterator[Together]:
    """The same threads with less in them, smallest first."""
    for index in range(len(step.schedule)):
        yield attrs.evolve(step, schedule=step.schedule[:index] + step.schedule[index + 1 :])
    for number, steps in enumerate(step.threads):
        shorter: list[tuple[Step, ...]] = [
            steps[:index] + steps[index + 1 :] for index in range(len(steps))
        ]
        for index, each in enumerate(steps):
            if getattr(each, "count", 1) > 1:
                less = _with(each, "count", each.count - 1)  # type: ignore[attr-defined]
                shorter.append((*steps[:index], less, *steps[index + 1 :]))
        for fewer in shorter:
            threads = (*step.threads[:number], fewer, *step.threads[number + 1 :])
            yield attrs.evolve(step, threads=threads)
            # With a call less there are fewer switch points before each change of thread.
            for sooner in range(1, 6):
                yield attrs.evolve(step, threads=threads, schedule=_sooner(step, sooner))
    for sooner in (8, 4, 2, 1):
        if step.schedule and step.schedule[0][0] >= sooner:
            yield attrs.evolve(step, schedule=_sooner(step, sooner))


def _sooner(step: Together, points: int) -> tuple[tuple[int, int], ...]:
    return tuple((max(at - points, 0), to) for at, to in step.schedule)


def _runs_joined(program: Sequence[Step]) -> list[Step]:
    """A program with each run of steps of one kind as one step."""
    done: list[Step] = []
    for step in program:
        joined = None
        if done and type(done[-1]) is type(step):
            joined = _joined(done[-1], step)
        if joined is None:
            done.append(step)
        else:
            done[-1] = joined
    return done


def _joined(first: Step, second: Step) -> Step | None:
    """One step for two, or None where there is none."""
    if isinstance(first, Allocate) and isinstance(second, Free) and first.size is None:
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

"""`check_allocator`: try many programs on an allocator and report the smallest that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from typing import Any, Final

import attrs

from lookaside_sim.testing.conformance.comparison import LEVELS, Factory, Run, split_program
from lookaside_sim.testing.conformance.differences import AllocatorDifference
from lookaside_sim.testing.conformance.oracle import Oracle
from lookaside_sim.testing.programs.drawn import Example, battery, random_examples
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Free,
    FreeAt,
    Program,
    Step,
    Tick,
)
from lookaside_sim.testing.reduce.minimize import minimize_number, minimize_sequence

__all__ = ["check_allocator", "shrink_program"]

_SHRINKING_CALLS: Final = 300_000
"""Calls of the allocator to spend on shrinking: seconds at the very most. Calls and not
seconds, so that the report is the same on a slow machine."""


def check_allocator(
    factory: Factory,
    *,
    level: str = "lookaside",
    max_examples: int = 200,
    seed: int | None = None,
    alignment: int | None = None,
    flush_order: bool = False,
) -> None:
    """Check an allocator against the contract of a level.

    Runs directed programs first, then random ones; each creates an allocator, uses it, frees
    everything and deletes it.

    Args:
        factory: ``factory(backend, size)`` makes the allocator under test. It gets its
            memory from ``backend.allocate(size)``, which returns an address or None, and
            gives it back with ``backend.free(address)``; it may keep its links there with
            ``backend.read(address, size)`` and ``backend.write(address, data)``.
        level: ``"memory"``, ``"fixed"`` or ``"lookaside"``; see `Allocator`.
        max_examples: programs to run.
        seed: chooses the random programs; None is a fixed choice, so that the same check of
            the same allocator always says the same.
        alignment: what entries must be aligned to. None is 16 bytes at level "lookaside",
            otherwise what the size can need (8 for 24 bytes, 16 for 32).
        flush_order: also check that flush gives entries back newest first.

    Raises:
        AllocatorDifference: the first difference, as a program from which no step and no
            count can be taken away.
        TypeError: the allocator lacks a method of the level.
        ValueError: no such level, or no examples.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r}: give one of {', '.join(LEVELS)}")
    if max_examples < 1:
        raise ValueError(f"max_examples={max_examples}: give 1 or more")
    checker = _Checker(factory, level, alignment, flush_order)
    for example in islice(chain(battery(level), random_examples(seed)), max_examples):
        difference = checker.difference(example)
        if difference is not None:
            raise checker.shrink(example, difference) from difference.__cause__


def shrink_program(
    factory: Factory,
    program: Program,
    *,
    level: str = "lookaside",
    reuse: bool = False,
) -> AllocatorDifference | None:
    """Reduce a program that breaks an allocator.

    Args:
        factory: makes the allocator.
        program: the steps, with a `Create` in front for another size than 32.
        level: the contract.
        reuse: whether the backend hands out addresses again.

    Returns:
        The difference with its shortest program, or None when there is no difference.
    """
    checker = _Checker(factory, level, None, False)
    size, steps = split_program(program)
    example = Example(tuple(steps), size, reuse)
    difference = checker.difference(example)
    return None if difference is None else checker.shrink(example, difference)


class _Checker:
    """Runs examples on one kind of allocator."""

    def __init__(
        self, factory: Factory, level: str, alignment: int | None, flush_order: bool
    ) -> None:
        self._factory = factory
        self._level = level
        self._alignment = alignment
        self._flush_order = flush_order
        self._oracle = Oracle() if level == "lookaside" else None
        self._calls = 0

    def difference(self, example: Example) -> AllocatorDifference | None:
        """Run one example; returns what differs."""
        self._calls += _cost(example.program)
        run = Run(
            self._factory,
            example.size,
            self._level,
            oracle=self._oracle,
            reuse=example.reuse,
            alignment=self._alignment,
            flush_order=self._flush_order,
        )
        try:
            run.execute(list(example.program))
        except AllocatorDifference as difference:
            return difference
        return None

    def shrink(self, example: Example, difference: AllocatorDifference) -> AllocatorDifference:
        """Make a failing example small; any difference will do, the simplest is best."""
        return _Shrinker(self, example, difference).run()

    def spend(self) -> int:
        """Calls made since the last time this was asked."""
        calls, self._calls = self._calls, 0
        return calls


class _Shrinker:
    """Reduces one failing example."""

    def __init__(
        self, checker: _Checker, example: Example, difference: AllocatorDifference
    ) -> None:
        self._checker = checker
        self._calls_left = _SHRINKING_CALLS
        checker.spend()
        self._keep(example, difference)

    def _keep(self, example: Example, difference: AllocatorDifference) -> None:
        # Nothing behind the step that failed is needed.
        steps = difference.program[1 : 1 + difference.steps_run]
        self._example = attrs.evolve(example, program=tuple(steps))
        self._best = difference

    def run(self) -> AllocatorDifference:
        """Reduce until nothing can go, or no calls are left."""
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
        difference = self._checker.difference(candidate)
        self._calls_left -= self._checker.spend()
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

"""Check an allocator: try many programs, report the smallest that breaks it, run it again."""

from __future__ import annotations

from itertools import chain, islice

from lookaside_sim.testing.conformance.comparison import Comparison
from lookaside_sim.testing.conformance.contract import Factory, check_level
from lookaside_sim.testing.conformance.differences import AllocatorDifference
from lookaside_sim.testing.conformance.oracle import Oracle
from lookaside_sim.testing.conformance.shrinker import Shrinker
from lookaside_sim.testing.programs.directed import battery
from lookaside_sim.testing.programs.drawn import random_examples
from lookaside_sim.testing.programs.example import Example
from lookaside_sim.testing.programs.steps import Program, split_program

__all__ = ["check_allocator", "run_program", "shrink_program"]


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
        ValueError: no such level, no examples, or an order of flush is asked of a level that
            promises none.
    """
    check_level(level)
    if max_examples < 1:
        raise ValueError(f"max_examples={max_examples}: give 1 or more")
    trials = _Trials(factory, level, alignment, flush_order)
    for example in islice(chain(battery(level), random_examples(seed)), max_examples):
        difference = trials.difference(example)
        if difference is not None:
            shrinker = Shrinker(trials.difference, example, difference)
            raise shrinker.shrink() from difference.__cause__


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
    trials = _Trials(factory, level, None, False)
    size, steps = split_program(program)
    example = Example(tuple(steps), size, reuse)
    difference = trials.difference(example)
    if difference is None:
        return None
    return Shrinker(trials.difference, example, difference).shrink()


def run_program(
    factory: Factory,
    program: Program,
    *,
    level: str = "lookaside",
    reuse: bool = False,
    alignment: int | None = None,
    flush_order: bool = False,
) -> None:
    """Run one program on an allocator under test; what a pasted regression calls.

    Args:
        factory: makes the allocator, as for `check_allocator`.
        program: the steps. A `Create` in front says the size of an entry, otherwise 32.
        level: the contract to check.
        reuse: whether the backend hands out addresses again as soon as they are given back.
        alignment: as for `check_allocator`.
        flush_order: as for `check_allocator`.

    Raises:
        AllocatorDifference: the allocator broke its contract.
        ValueError: no such level, a step that no single allocator can run, or an order of
            flush is asked of a level that promises none.
        TypeError: the allocator lacks a method of the level.
    """
    size, steps = split_program(program)
    comparison = Comparison(
        factory, size, level, reuse=reuse, alignment=alignment, flush_order=flush_order
    )
    comparison.execute(steps)


class _Trials:
    """Runs examples on one kind of allocator."""

    def __init__(
        self, factory: Factory, level: str, alignment: int | None, flush_order: bool
    ) -> None:
        self._factory = factory
        self._level = level
        self._alignment = alignment
        self._flush_order = flush_order
        self._oracle = Oracle() if level == "lookaside" else None

    def difference(self, example: Example) -> AllocatorDifference | None:
        """Run one example; returns what differs."""
        comparison = Comparison(
            self._factory,
            example.size,
            self._level,
            oracle=self._oracle,
            reuse=example.reuse,
            alignment=self._alignment,
            flush_order=self._flush_order,
        )
        try:
            comparison.execute(list(example.program))
        except AllocatorDifference as difference:
            return difference
        return None

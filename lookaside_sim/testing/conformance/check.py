"""Check an allocator: try many programs, report the smallest that breaks it, run it again."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from lookaside_sim.testing.conformance.allocator import Factory
from lookaside_sim.testing.conformance.contract import Contract, contract_of
from lookaside_sim.testing.conformance.differences import (
    TIME_LIMIT,
    AllocatorDifference,
    Setting,
)
from lookaside_sim.testing.conformance.isolated import IsolatedTrials
from lookaside_sim.testing.conformance.regression import run_regression
from lookaside_sim.testing.conformance.settings import examples_to_run, seed_to_use
from lookaside_sim.testing.conformance.shrinker import Shrinker
from lookaside_sim.testing.conformance.stating import check_threads
from lookaside_sim.testing.conformance.trials import Trials
from lookaside_sim.testing.conformance.wanted import wants_of
from lookaside_sim.testing.programs.directed import battery
from lookaside_sim.testing.programs.drawn import random_examples
from lookaside_sim.testing.programs.example import Example
from lookaside_sim.testing.programs.steps import Program, split_program
from lookaside_sim.testing.programs.threads import thread_examples

__all__ = ["check_allocator", "is_isolated", "run_program", "shrink_program"]


def check_allocator(
    factory: Factory,
    *,
    level: str = "lookaside",
    contract: Contract | None = None,
    isolate: bool | None = None,
    sizes: int | Iterable[int] | None = None,
    max_examples: int | None = None,
    seed: int | None = None,
    alignment: int | None = None,
    flush_order: bool = False,
    threads: int = 1,
    time_limit: float = TIME_LIMIT,
) -> None:
    """Check an allocator against a contract.

    Runs directed programs first, then random ones; each creates an allocator, uses it, frees
    everything and deletes it.

    Args:
        factory: ``factory(backend, size)`` makes the allocator under test. It gets its
            memory from ``backend.allocate(size)``, which returns an address or None, and
            gives it back with ``backend.free(address)``; it may keep its links there with
            ``backend.read(address, size)`` and ``backend.write(address, data)``.
        level: ``"memory"``, ``"fixed"`` or ``"lookaside"``; see `Contract`.
        contract: what it promises, instead of a level.
        isolate: whether to run it in a process of its own, where a crash or a hang is a
            difference as well; None does so for native code.
        sizes: the entry sizes it can be made for, if the contract does not say.
        max_examples: programs to run; None is what ``--lookaside-examples`` says, or the
            profile of Hypothesis, or 200.
        seed: chooses the random programs; None is what ``--lookaside-seed`` says, or a fixed
            choice, so that the same check of the same allocator always says the same.
        alignment: what entries must be aligned to. None is 16 bytes at level "lookaside",
            otherwise what the size can need (8 for 24 bytes, 16 for 32).
        flush_order: also check that flush gives entries back newest first.
        threads: how many threads use it at once, one at a time, changing at every call of the
            backend and at ``backend.switch()``. For allocators in Python.
        time_limit: seconds without any progress after which it hangs: of processor time, or of
            any for an isolated allocator.

    Raises:
        AllocatorDifference: the first difference, as a program from which no step and no
            count can be taken away.
        TypeError: the allocator lacks a method of the contract.
        ValueError: no such level, no examples, or an order of flush is asked of a level that
            promises none.
    """
    promised = contract_of(
        level, contract, alignment=alignment, flush_order=flush_order, sizes=sizes
    )
    count = examples_to_run(max_examples)
    check_threads(threads, sized=promised.sized)
    wants = wants_of(promised)
    drawn = random_examples(seed_to_use(seed), wants, threads)
    directed: Iterable[Example] = battery(wants)
    if threads > 1:
        # Schedules are many and short: they do not count.
        directed = chain(thread_examples(threads, wants), directed)
        count += sum(1 for _ in thread_examples(threads, wants))
    trials = _trials(Setting(factory, promised, isolate=isolate, time_limit=time_limit))
    try:
        found = trials.first_difference(islice(chain(directed, drawn), count))
        if found is not None:
            raise _reduced(trials, *found) from found[1].__cause__
    finally:
        trials.close()


def shrink_program(
    factory: Factory,
    program: Program,
    *,
    level: str = "lookaside",
    contract: Contract | None = None,
    isolate: bool | None = None,
    sizes: int | Iterable[int] | None = None,
    reuse: bool = False,
    alignment: int | None = None,
    flush_order: bool = False,
    time_limit: float = TIME_LIMIT,
) -> AllocatorDifference | None:
    """Reduce a program that breaks an allocator.

    Args:
        factory: makes the allocator.
        program: the steps, with a `Create` in front for another size than 32.
        level: the contract.
        contract: likewise, instead of a level.
        isolate: as for `check_allocator`.
        sizes: as for `check_allocator`; the program reported is of one of them.
        reuse: whether the backend hands out addresses again.
        alignment: as for `check_allocator`.
        flush_order: as for `check_allocator`.
        time_limit: as for `check_allocator`.

    Returns:
        The difference with its shortest program, or None when there is no difference.
    """
    promised = contract_of(
        level, contract, alignment=alignment, flush_order=flush_order, sizes=sizes
    )
    trials = _trials(Setting(factory, promised, reuse, isolate, time_limit))
    example = _example(program, reuse)
    try:
        difference = trials.difference(example)
        return None if difference is None else _reduced(trials, example, difference)
    finally:
        trials.close()


def run_program(
    factory: Factory,
    program: Program,
    *,
    level: str = "lookaside",
    contract: Contract | None = None,
    isolate: bool | None = None,
    reuse: bool = False,
    alignment: int | None = None,
    flush_order: bool = False,
    time_limit: float = TIME_LIMIT,
) -> None:
    """Run one program on an allocator under test; what a pasted regression calls.

    Args:
        factory: makes the allocator, as for `check_allocator`.
        program: the steps. A `Create` in front says the size of an entry, otherwise 32; a
            `Fail` before that holds for the creation.
        level: the contract to check.
        contract: likewise, instead of a level.
        isolate: as for `check_allocator`.
        reuse: whether the backend hands out addresses again as soon as they are given back.
        alignment: as for `check_allocator`.
        flush_order: as for `check_allocator`.
        time_limit: as for `check_allocator`.

    Raises:
        AllocatorDifference: the allocator broke its contract.
        ValueError: no such level, a step that no single allocator can run, or an order of
            flush is asked of a level that promises none.
        TypeError: the allocator lacks a method of the contract.
    """
    promised = contract_of(level, contract, alignment=alignment, flush_order=flush_order)
    trials = _trials(Setting(factory, promised, reuse, isolate, time_limit))
    try:
        difference = trials.difference(_example(program, reuse))
    finally:
        trials.close()
    if difference is not None:
        raise difference from difference.__cause__


def _example(program: Program, reuse: bool) -> Example:
    refused, size, steps = split_program(program)
    return Example(tuple(steps), size, reuse, refused)


def is_isolated(factory: Factory, asked: bool | None) -> bool:
    """Whether an allocator runs in a process of its own.

    Args:
        factory: makes it.
        asked: what the caller said; None for native code alone.
    """
    return _is_native(factory) if asked is None else asked


def _trials(setting: Setting) -> Trials | IsolatedTrials:
    if is_isolated(setting.factory, setting.isolate):
        return IsolatedTrials(setting)
    return Trials(setting)


def _is_native(factory: Any) -> bool:
    """Whether a factory makes allocators that can end the process."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return bool(getattr(factory, "is_native", False))


def _reduced(
    trials: Trials | IsolatedTrials, example: Example, difference: AllocatorDifference
) -> AllocatorDifference:
    """The smallest program, or the one found if it cannot be relied on."""
    trials.be_quick(True)
    again = trials.difference(example)
    if again is None:
        trials.be_quick(False)
        again = trials.difference(example)
    if again is None:
        difference.flaky = True
        return difference
    shrinker = functools.partial(
        Shrinker, trials.difference, example, again, trials.setting.contract.sizes
    )
    trials.be_quick(True)
    best = shrinker().shrink()
    trials.be_quick(False)
    if not _shows_again(best):
        # On a busy machine less time can be too little.
        best = shrinker().shrink()
        best.flaky = not _shows_again(best)
    return best


def _shows_again(difference: AllocatorDifference) -> bool:
    """Whether the regression fails, as far as its imports can be made here."""
    raised = run_regression(difference.regression, difference.setting.factory)
    return isinstance(raised, (AllocatorDifference, ImportError))

from __future__ import annotations

import inspect
import os

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lookaside_sim.testing import (
    AllocatorDifference,
    AllocatorMachine,
    Backend,
    Contract,
    Create,
    Fail,
    check_allocator,
)
from tests.testing.allocators import LinkedList, Passthrough
from tests.testing.conformance.test_misuse import Hardened
from tests.testing.conformance.test_sides import LosesLastByte, Sized
from tests.testing.conformance.test_together import CompareAndExchange, NotAtomic
from tests.testing.mutants import Fifo

QUICK = settings(
    max_examples=40, stateful_step_count=12, derandomize=True, database=None, deadline=None
)

SHORT = settings(QUICK, max_examples=80, stateful_step_count=8, phases=[Phase.generate])


class Lookaside(AllocatorMachine):
    factory = LinkedList


class Broken(AllocatorMachine):
    factory = Fifo


class Malloc(AllocatorMachine):
    factory = Sized
    contract = Contract.malloc(realloc=True)


class BrokenMalloc(Malloc):
    factory = LosesLastByte


class Misused(AllocatorMachine):
    factory = Hardened
    contract = Contract(double_free="refused", foreign_free="refused")


class Apart(AllocatorMachine):
    factory = Passthrough
    level = "memory"
    isolate = hasattr(os, "fork")


class Threads(AllocatorMachine):
    factory = CompareAndExchange
    level = "memory"
    threads = 2


class LostUpdates(Threads):
    factory = NotAtomic


@pytest.mark.parametrize("machine", [Lookaside, Malloc, Misused, Threads])
def test_a_correct_allocator_is_not_reported(machine: type[AllocatorMachine]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.parametrize("machine", [Broken, BrokenMalloc, LostUpdates])
def test_a_broken_allocator_is_reported_with_its_program(
    machine: type[AllocatorMachine],
) -> None:
    with pytest.raises(AllocatorDifference) as caught:
        run_state_machine_as_test(machine, settings=SHORT)
    assert isinstance(caught.value.program[0], (Create, Fail))
    assert caught.value.steps


def test_an_isolated_allocator_runs_at_the_end() -> None:
    run_state_machine_as_test(Apart, settings=settings(QUICK, max_examples=4))


class Twelve(Passthrough):
    def __init__(self, backend: Backend, size: int) -> None:
        assert size == 12
        super().__init__(backend, size)


class EverySetting(AllocatorMachine):
    factory = Twelve
    level = "memory"
    sizes = 12
    alignment = 16


class AlignedTooMuch(EverySetting):
    alignment = 64


def test_the_settings_are_those_of_check_allocator() -> None:
    run_state_machine_as_test(EverySetting, settings=SHORT)
    with pytest.raises(AllocatorDifference, match="not aligned to 64 bytes"):
        run_state_machine_as_test(AlignedTooMuch, settings=SHORT)


def test_the_settings_have_the_names_of_check_allocator() -> None:
    given = set(inspect.signature(check_allocator).parameters)
    # How many programs, and which, is said to Hypothesis.
    given -= {"factory", "max_examples", "seed"}
    assert given <= vars(AllocatorMachine).keys()


def test_threads_need_one_size() -> None:
    class Both(Malloc):
        threads = 2

    with pytest.raises(ValueError, match="threads=2: give 1 or more, and 1 with sized=True"):
        Both()

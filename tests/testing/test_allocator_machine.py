from __future__ import annotations

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
)
from tests.testing.allocators import LinkedList, Passthrough
from tests.testing.conformance.test_misuse import Hardened
from tests.testing.conformance.test_sides import LosesLastByte, Sized
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


@pytest.mark.parametrize("machine", [Lookaside, Malloc, Misused])
def test_a_correct_allocator_is_not_reported(machine: type[AllocatorMachine]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.parametrize("machine", [Broken, BrokenMalloc])
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

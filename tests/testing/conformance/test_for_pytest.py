from __future__ import annotations

import inspect
import unittest
from typing import Any

import pytest

from lookaside_sim.testing import (
    AllocatorConformance,
    AllocatorDifference,
    Backend,
    check_allocator,
)
from tests.testing.allocators import FixedSlab, ReferenceList
from tests.testing.mutants import Fifo, Grows, Misaligned


class TestReference(AllocatorConformance):
    factory = ReferenceList
    max_examples = 60


class TestFixed(AllocatorConformance):
    factory = FixedSlab
    level = "fixed"


def made_by_function(backend: Backend, size: int) -> ReferenceList:
    return ReferenceList(backend, size)


class TestOldStyle(AllocatorConformance, unittest.TestCase):
    factory = made_by_function
    max_examples = 40


@pytest.mark.parametrize(
    ("broken", "chosen", "test"),
    [
        (Fifo, "lookaside", "test_contract"),
        (Misaligned, "memory", "test_memory_safety"),
        (Grows, "fixed", "test_contract"),
    ],
)
def test_a_broken_allocator_fails_its_test(broken: Any, chosen: str, test: str) -> None:
    class Broken(AllocatorConformance):
        factory = broken
        level = chosen

    with pytest.raises(AllocatorDifference):
        getattr(Broken(), test)()


def test_a_run_says_how_many_programs_and_which(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from lookaside_sim.testing.conformance.settings import examples_to_run, seed_to_use

        def test_numbers():
            assert (examples_to_run(None), seed_to_use(None)) == (31, 5)
        """
    )
    result = pytester.runpytest_subprocess("--lookaside-examples=31", "--lookaside-seed=5")
    result.assert_outcomes(passed=1)


def test_every_setting_of_a_check_is_an_attribute() -> None:
    given = set(inspect.signature(check_allocator).parameters)
    assert given == {
        name for name in vars(AllocatorConformance) if not name.startswith(("_", "test_"))
    } | {"factory"}

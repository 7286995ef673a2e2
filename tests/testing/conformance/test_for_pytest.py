from __future__ import annotations

import unittest
from typing import Any

import pytest

from lookaside_sim.testing import AllocatorConformance, AllocatorDifference, Backend
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

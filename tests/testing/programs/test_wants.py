from __future__ import annotations

from lookaside_sim.testing.programs.example import BOUNDARY_SIZES, Example
from lookaside_sim.testing.programs.wants import Wants


def test_sizes_are_tried_at_the_boundaries_of_what_is_allowed() -> None:
    assert Wants().sizes_to_try() == BOUNDARY_SIZES
    assert Wants(sizes=(40,)).sizes_to_try() == (40,)
    tried = Wants(sizes=range(16, 5000, 16)).sizes_to_try()
    assert {16, 32, 4992} <= set(tried)
    assert all(size in range(16, 5000, 16) for size in tried)


def test_an_example_is_moved_to_the_nearest_size() -> None:
    example = Example((), 32)
    assert Wants().fit(example) is example
    assert Wants(sizes=range(8, 65)).fit(example) is example
    assert Wants(sizes=(40, 400)).fit(example).size == 40

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim.testing import minimize_number, minimize_sequence


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=30), st.sets(st.integers(0, 9), max_size=3))
def test_exactly_what_is_needed_stays(items: list[int], needed: set[int]) -> None:
    items = [*items, *needed]
    found = minimize_sequence(items, lambda part: needed <= set(part))
    assert sorted(found) == sorted(needed)


def test_order_is_kept_and_nothing_is_needed_of_nothing() -> None:
    assert minimize_sequence("abcdef", lambda part: {"e", "b"} <= set(part)) == ["b", "e"]
    assert minimize_sequence([], lambda part: True) == []


def test_attempts_are_limited() -> None:
    calls: list[int] = []

    def fails(part: list[int]) -> bool:
        calls.append(1)
        return len(part) > 50

    found = minimize_sequence(range(100), fails, attempts=7)
    assert len(calls) == 7
    assert len(found) > 50


@settings(derandomize=True, database=None, deadline=None)
@given(st.integers(1, 70_000), st.integers(1, 70_000))
def test_the_boundary_is_found(boundary: int, more: int) -> None:
    value = boundary + more
    assert minimize_number(value, lambda number: number >= boundary, least=1) == boundary


def test_a_small_number_is_found_where_failing_is_no_boundary() -> None:
    assert minimize_number(1000, lambda number: number % 10 == 0, least=0) == 0
    assert minimize_number(1000, lambda number: False) == 1000
    assert minimize_number(1000, lambda number: number >= 700, attempts=2) == 1000

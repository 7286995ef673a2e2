"""Which pages a pool hands out next."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim.pool.pages import PageRuns


def test_fresh_pages_come_in_order_of_address() -> None:
    runs = PageRuns(first=1, window=100, limit=100)
    assert [runs.take(1), runs.take(3), runs.take(1)] == [1, 2, 5]
    assert runs.in_use == 5


def test_a_freed_run_is_reused_for_its_length_newest_first() -> None:
    runs = PageRuns(first=1, window=100, limit=100)
    first, second, third = runs.take(2), runs.take(2), runs.take(1)
    runs.give_back(first, 2)
    runs.give_back(second, 2)
    runs.give_back(third, 1)
    assert runs.take(1) == third
    assert runs.take(2) == second
    assert runs.take(2) == first
    assert runs.take(2) == 6


def test_the_limit_counts_pages_in_use() -> None:
    runs = PageRuns(first=1, window=100, limit=4)
    assert runs.take(5) == 0
    run = runs.take(3)
    assert runs.take(2) == 0
    assert runs.take(1) == 4
    assert runs.take(1) == 0
    assert (runs.in_use, runs.peak) == (4, 4)
    runs.give_back(run, 3)
    assert runs.take(3) == run


def test_a_refused_request_changes_nothing() -> None:
    runs = PageRuns(first=1, window=3, limit=10)
    assert runs.take(2) == 1
    assert runs.take(2) == 0
    assert (runs.in_use, runs.peak) == (2, 2)
    assert runs.take(1) == 3


def test_peak_is_the_most_that_ever_were_in_use() -> None:
    runs = PageRuns(first=1, window=100, limit=100)
    for page in [runs.take(1) for _ in range(4)]:
        runs.give_back(page, 1)
    assert runs.take(2) == 5
    assert (runs.in_use, runs.peak) == (2, 4)


def test_freed_runs_are_joined_when_no_fresh_address_is_left() -> None:
    runs = PageRuns(first=1, window=6, limit=6)
    pages = [runs.take(1) for _ in range(6)]
    for page in (2, 4, 3):
        runs.give_back(pages[page - 1], 1)
    assert runs.take(3) == 2


def test_a_longer_joined_run_is_split() -> None:
    runs = PageRuns(first=1, window=6, limit=6)
    assert runs.take(5) == 1
    assert runs.take(1) == 6
    runs.give_back(1, 5)
    assert runs.take(2) == 1
    assert runs.take(3) == 3
    assert runs.in_use == 6


def test_the_first_run_that_is_long_enough_is_taken() -> None:
    runs = PageRuns(first=1, window=12, limit=12)
    assert [runs.take(n) for n in (1, 1, 4, 1, 4, 1)] == [1, 2, 3, 7, 8, 12]
    for first, count in ((8, 4), (1, 1), (3, 4)):
        runs.give_back(first, count)
    assert runs.take(3) == 3


def test_runs_at_the_end_become_fresh_addresses_again() -> None:
    runs = PageRuns(first=1, window=6, limit=6)
    assert [runs.take(n) for n in (2, 2, 2)] == [1, 3, 5]
    runs.give_back(3, 2)
    runs.give_back(5, 2)
    assert runs.take(3) == 3
    assert runs.take(1) == 6


def test_a_fragmented_window_cannot_serve_a_long_run() -> None:
    runs = PageRuns(first=1, window=5, limit=5)
    pages = [runs.take(1) for _ in range(5)]
    for page in pages[::2]:
        runs.give_back(page, 1)
    assert runs.take(2) == 0
    assert sorted(runs.take(1) for _ in range(3)) == [1, 3, 5]


def test_part_of_a_run_may_come_back_on_its_own() -> None:
    runs = PageRuns(first=1, window=4, limit=4)
    assert runs.take(4) == 1
    runs.give_back(1, 3)
    assert runs.in_use == 1
    assert runs.take(3) == 1
    runs.give_back(4, 1)
    assert runs.take(1) == 4


def fits(taken: set[int], count: int, window: int) -> bool:
    """Whether so many adjacent pages of the window are not in use."""
    return any(
        taken.isdisjoint(range(first, first + count)) for first in range(1, window - count + 2)
    )


@given(
    window=st.integers(1, 24),
    limit=st.integers(0, 24),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_against_a_set_of_pages(window: int, limit: int, steps: list[tuple[bool, int]]) -> None:
    """Runs never overlap, stay in the window, and are refused only for a reason."""
    runs = PageRuns(first=1, window=window, limit=limit)
    held: list[tuple[int, int]] = []
    taken: set[int] = set()
    peak = 0
    for take, number in steps:
        if take:
            count = number % 6 + 1
            first = runs.take(count)
            may_have = len(taken) + count <= limit and fits(taken, count, window)
            assert bool(first) == may_have
            if first:
                pages = set(range(first, first + count))
                assert pages <= set(range(1, window + 1))
                assert taken.isdisjoint(pages)
                taken |= pages
                held.append((first, count))
        elif held:
            first, count = held.pop(number % len(held))
            part = number % count + 1
            runs.give_back(first, part)
            taken -= set(range(first, first + part))
            if part < count:
                held.append((first + part, count - part))
        peak = max(peak, len(taken))
        assert (runs.in_use, runs.peak) == (len(taken), peak)

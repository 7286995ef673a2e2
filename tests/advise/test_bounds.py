"""Bounds for counted calls, against every order of the calls."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import PoolTag, PoolType
from lookaside_sim.advise import Policy, advise
from lookaside_sim.advise.bounds import bounds, bounds_of
from lookaside_sim.trace import Event

SECOND = 1_000_000


def saved_in_some_order(calls: list[tuple[int, int]], depth: int) -> set[int]:
    """Calls saved in each order that there is."""
    states = {0: {0}}
    for allocates, frees in calls:
        after: dict[int, set[int]] = {}
        for held, saved in states.items():
            for order in combinations(range(allocates + frees), allocates):
                now, hits = held, 0
                for place in range(allocates + frees):
                    step = -1 if place in order else 1
                    if 0 <= now + step <= depth:
                        now += step
                        hits += 1
                after.setdefault(now, set()).update(each + hits for each in saved)
        states = after
    return set().union(*states.values())


few = st.integers(0, 5)


@given(st.lists(st.tuples(few, few), max_size=3), st.integers(0, 4))
def test_every_order_of_a_fixed_depth(calls: list[tuple[int, int]], depth: int) -> None:
    saved = saved_in_some_order(calls, depth)
    assert bounds_of(calls, depth, depth) == (min(saved), max(saved))


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_a_tuned_list_stays_within_them(calls: list[tuple[int, int]], random: object) -> None:
    events: list[Event] = []
    live: list[int] = []
    counted = []
    for second, (allocates, frees) in enumerate(calls):
        row = ["alloc"] * allocates + ["free"] * frees
        random.shuffle(row)  # type: ignore[attr-defined]
        made = [0, 0]
        for op in row:
            if op == "alloc":
                live.append(len(events))
                events.append(Event("alloc", second * SECOND, len(events), 64))
            elif live:
                events.append(Event("free", second * SECOND, live.pop()))
            else:
                continue
            made[op == "free"] += 1
        counted.append((made[0], made[1]))
    rows = advise(events, depths=False).rows
    saved = rows[0].pool_calls_saved if rows else 0
    found = bounds(PoolType.NonPagedPool, PoolTag(b"Abcd"), 64, counted)
    assert found.at_least <= saved <= found.at_most
    assert found.calls == len(events)


@pytest.mark.parametrize("allocates", [0, 1000])
@pytest.mark.parametrize("frees", [0, 1000])
def test_many_calls_cost_no_more_than_few(allocates: int, frees: int) -> None:
    least, most = bounds_of([(allocates, frees)] * 200, 4, 256)
    assert 0 <= least <= most <= 200 * (allocates + frees)


def test_a_list_of_a_fixed_depth() -> None:
    def found(depth: int) -> tuple[int, int]:
        made = bounds(
            PoolType.PagedPool, PoolTag(b"Abcd"), 64, [(9, 9)], Policy(fixed_depth=depth)
        )
        return made.at_least, made.at_most

    assert found(0) == (0, 0)
    assert found(2) == (2, 18)

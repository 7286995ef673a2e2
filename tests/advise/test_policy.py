from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import Kernel, next_depth
from lookaside_sim.advise import Policy

shorts = st.integers(0, 0xFFFF)
longs = st.integers(0, 0xFFFFFFFF)


@given(depth=shorts, maximum=shorts, allocates=longs, misses=longs, minimum=st.integers(0, 300))
def test_the_default_rule_is_that_of_the_machine(
    depth: int, maximum: int, allocates: int, misses: int, minimum: int
) -> None:
    for period in (1, 3, 7):
        policy = Policy(minimum_depth=minimum, maximum_depth=maximum, period=period)
        assert policy.next_depth(depth, allocates, misses) == next_depth(
            depth, maximum, allocates, misses, period, minimum
        )


@pytest.mark.parametrize("paged", [False, True])
def test_scans_come_when_the_machine_scans(paged: bool) -> None:
    kernel = Kernel()
    lookaside = kernel.lookaside_list()
    lookaside.initialize(pool_type=1 if paged else 0, size=8, tag=b"tseT")
    policy = Policy()
    found = 0
    for second in range(1, 12):
        lookaside.allocate()
        kernel.tick()
        found += lookaside.last_total_allocates == lookaside.total_allocates
        assert policy.scans(second, paged=paged) == found
    assert Policy(fixed_depth=9).scans(100, paged=paged) == 0


@pytest.mark.parametrize("period", [1, 2, 3, 4, 10])
def test_scans_come_once_a_period(period: int) -> None:
    for paged in (False, True):
        scans = [Policy(period=period).scans(second, paged=paged) for second in range(60)]
        steps = [after - before for before, after in pairwise(scans)]
        assert scans[0] == 0
        assert set(steps) <= {0, 1}
        at = [second for second, step in enumerate(steps, 1) if step]
        assert at[0] == (2 if paged and period > 1 else 1)
        assert {after - before for before, after in pairwise(at)} == {period}
        for second in range(40):
            found = Policy(period=period).next_scan(second, paged=paged)
            assert found == min(each for each in at if each > second)
    assert Policy(fixed_depth=3, period=period).next_scan(9, paged=False) > 1 << 60


def test_constants_can_be_others() -> None:
    assert Policy(idle_step=3).next_depth(50, 0, 0) == 47
    assert Policy(calm_step=7).next_depth(50, 1000, 0) == 43
    assert Policy(growth_base=9, growth_limit=12).next_depth(50, 1000, 10) == 60
    assert Policy(growth_limit=12).next_depth(50, 1000, 1000) == 62
    assert Policy(idle_rate=0).next_depth(50, 0, 0) == 49
    assert Policy(miss_ratio=0).next_depth(50, 1000, 0) == 55
    assert Policy(maximum_depth=0xFFFF).next_depth(50, 1000, 900) == 50
    assert Policy(minimum_depth=40).first_depth == 40
    assert Policy(fixed_depth=2).first_depth == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fixed_depth", -1),
        ("minimum_depth", 0x10000),
        ("maximum_depth", -1),
        ("period", 0),
        ("processors", 0),
        ("turn", 0),
        ("idle_step", -1),
    ],
)
def test_what_no_policy_can_be(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        Policy(**{name: value})

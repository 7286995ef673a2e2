"""ExAdjustLookasideDepth: the rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import next_depth
from tests.lookaside.helpers import ULONG, restated


@pytest.mark.parametrize(
    ("depth", "maximum", "allocates", "misses", "expected"),
    [
        # Hardly used: down by ten, not below four.
        (30, 256, 0, 0, 20),
        (30, 256, 74, 74, 20),
        (15, 256, 74, 0, 5),
        (14, 256, 74, 0, 4),
        (13, 256, 74, 0, 4),
        (4, 256, 0, 0, 4),
        (2, 256, 0, 0, 4),
        # Busy and calm: down by one.
        (30, 256, 75, 0, 29),
        (30, 256, 76, 0, 29),
        (5, 256, 75, 0, 4),
        (4, 256, 75, 0, 4),
        (3, 256, 75, 0, 4),
        # The ratio's boundary: 4 a thousand is calm, 5 is not.
        (30, 256, 1000, 4, 29),
        (30, 256, 1000, 5, 35),
        (30, 256, 1000, 6, 35),
        (30, 256, 1001, 5, 29),  # 4.99 counts as 4
        (30, 256, 200, 1, 35),
        (30, 256, 201, 1, 29),
        # Growth: five and a share of the room, at most thirty, at most the maximum.
        (4, 256, 75, 75, 34),
        (4, 256, 1000, 200, 34),
        (4, 256, 1000, 199, 34),
        (4, 256, 1000, 198, 33),
        (4, 256, 1000, 8, 10),
        (4, 256, 1000, 7, 9),
        (250, 256, 75, 75, 256),
        (251, 256, 75, 1, 256),
        (252, 256, 75, 1, 256),
        (255, 256, 75, 75, 256),
        (256, 256, 75, 75, 256),
        (256, 256, 75, 0, 255),
        (256, 256, 0, 0, 246),
        (996, 1024, 75, 75, 1015),
        (4, 1024, 75, 1, 15),
        # A disabled list stays.
        (0, 0xFFFF, 1000, 1000, 0),
        (77, 0xFFFF, 0, 0, 77),
        (4, 0xFFFF, 75, 0, 4),
        # More misses than allocations, and the product's wrap.
        (4, 256, 75, 7500, 34),
        (30, 256, 75, 4_294_968, 36),  # 704 after the wrap: 9 a thousand
        (30, 256, 4_294_968, 4_294_968, 29),  # 704 / 4294968 is 0
        (30, 256, 0xFFFF_FFFF, 0xFFFF_FFFF, 29),
        # Over the maximum: the room wraps, the target comes down to the maximum.
        (300, 256, 75, 75, 256),
        (300, 256, 75, 0, 299),
    ],
)
def test_examples(depth: int, maximum: int, allocates: int, misses: int, expected: int) -> None:
    assert restated(depth, maximum, allocates, misses) == expected
    assert next_depth(depth, maximum, allocates, misses) == expected


def test_every_depth_at_every_boundary() -> None:
    for maximum in (256, 1024):
        depths = [*range(40), maximum // 2, *range(maximum - 40, maximum + 1)]
        for depth in depths:
            for allocates in (0, 1, 73, 74, 75, 76, 199, 200, 201, 999, 1000, 1001):
                for per_mille in (0, 1, 4, 5, 6, 50, 198, 199, 200, 500, 1000):
                    misses = -(-allocates * per_mille // 1000)
                    found = next_depth(depth, maximum, allocates, misses)
                    assert found == restated(depth, maximum, allocates, misses)
                    if allocates < 75:
                        assert found == max(depth - 10, 4)
                    elif per_mille == 0:
                        assert found == max(depth - 1, 4)
                    elif depth < maximum and per_mille > 5:
                        assert min(depth + 5, maximum) <= found <= min(depth + 30, maximum)


@settings(max_examples=150)
@given(
    depth=st.one_of(st.integers(0, 0xFFFF), st.integers(0, 40)),
    maximum=st.one_of(st.integers(0, 0xFFFF), st.integers(256, 1024), st.just(0xFFFF)),
    allocates=st.one_of(st.integers(0, ULONG - 1), st.integers(70, 80), st.integers(0, 2000)),
    misses=st.one_of(st.integers(0, ULONG - 1), st.integers(0, 2000)),
)
def test_the_rule_restated(depth: int, maximum: int, allocates: int, misses: int) -> None:
    assert next_depth(depth, maximum, allocates, misses) == restated(
        depth, maximum, allocates, misses
    )


@given(
    depth=st.integers(0, 1024),
    allocates=st.integers(0, 1000),
    misses=st.integers(0, 1000),
    period=st.integers(1, 200),
    least=st.integers(0, 8),
)
def test_period_and_minimum_are_the_callers(
    depth: int, allocates: int, misses: int, period: int, least: int
) -> None:
    found = next_depth(depth, 1024, allocates, misses, period, least)
    assert found == restated(depth, 1024, allocates, misses, period, least)

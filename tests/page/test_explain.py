"""The tuning rule, explained line by line, comes to what the rule comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import next_depth
from lookaside_sim.page.explain import explain_scan

COUNTS = st.integers(0, 1 << 20) | st.integers(0, 200)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), COUNTS, COUNTS)
def test_the_lines_come_to_the_rules_depth(
    depth: int, maximum: int, allocates: int, misses: int
) -> None:
    lines, found = explain_scan(
        depth=depth, maximum_depth=maximum, allocates=allocates, misses=misses
    )
    assert found == next_depth(depth, maximum, allocates, misses)
    ran = [said for _, ran, said in lines if ran]
    assert ran[-1] == str(found)


def test_each_condition_shows_its_values() -> None:
    lines, _ = explain_scan(depth=4, maximum_depth=256, allocates=110, misses=83)
    said = {text.strip(): (ran, value) for text, ran, value in lines}
    assert said["if allocates < MINIMUM_ALLOCATION_RATE * period:"] == (
        True,
        "110 < 75 is false",
    )
    assert said["target = depth - IDLE_STEP"] == (False, "")
    assert said["return target if target < maximum_depth else maximum_depth"] == (True, "34")

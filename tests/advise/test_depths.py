from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim.advise import all_depths, depths
from lookaside_sim.advise.depths import Depths
from tests.advise.brute import fixed
from tests.advise.test_words import streams


@given(stream=streams, most=st.sampled_from([0, 1, 2, 3, 5, 8, 40, 1024]))
def test_every_depth_is_what_a_list_of_that_depth_does(stream: bytes, most: int) -> None:
    found = all_depths(stream, most)
    assert (found.allocates, found.frees) == (stream.count(1), stream.count(0))
    saved = found.pool_calls_saved()
    for depth in range(min(most, 60) + 1):
        _, allocate_misses, free_misses, _ = fixed(stream, 0, depth)
        assert found.allocate_misses(depth) == allocate_misses
        assert found.free_misses(depth) == free_misses
        hits = len(stream) - allocate_misses - free_misses
        assert saved[min(depth, len(saved) - 1)] == hits


@given(parts=st.lists(streams, max_size=6), at_once=st.sampled_from([1, 7, 1 << 14]))
def test_calls_may_come_in_parts(parts: list[bytes], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depths, "_AT_ONCE", at_once)
        counted = Depths()
        for part in parts:
            counted.feed(part)
        assert counted.result() == all_depths(b"".join(parts))
        assert counted.result() == counted.result()


def test_long_random_streams() -> None:
    draw = random.Random(2)
    for _ in range(20):
        stream = b"".join(
            bytes([draw.randrange(2)]) * draw.randrange(1, 30) for _ in range(2000)
        )
        found = all_depths(stream)
        for depth in (0, 1, 2, 3, 7, 20, 50, 200, 1024):
            assert (found.allocate_misses(depth), found.free_misses(depth)) == fixed(
                stream, 0, depth
            )[1:3]


def test_letters_are_taken_too() -> None:
    assert all_depths(b"AFAFFA") == all_depths([1, 0, 1, 0, 0, 1])
    assert all_depths(iter([True, False])) == all_depths(b"AF")
    assert all_depths("AAF") == all_depths(["alloc", "alloc", "free"]) == all_depths(b"AAF")
    assert all_depths(b"") == depths.AllDepths(0, 0, (), ())


def test_the_worked_example() -> None:
    found = all_depths(b"AAAFFFAAA")
    assert found.allocate_hits == found.free_hits == (1, 1, 1)
    assert found.pool_calls_saved() == [0, 2, 4, 6]
    assert [found.least_depth(share) for share in (0.3, 0.5, 1)] == [1, 2, 3]


@pytest.mark.parametrize("bad", [b"AFX", b"\2", [0, 1, 7], "AX", ["alloc", "irql"], [1, None]])
def test_what_is_no_call(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"call \d is .*: give b?'A' or b?'F'"):
        all_depths(bad)


def test_wrong_arguments() -> None:
    found = all_depths(b"AF")
    for share in (0, -1, 1.5):
        with pytest.raises(ValueError, match="share"):
            found.least_depth(share)
    with pytest.raises(ValueError, match="depth -1"):
        found.allocate_misses(-1)
    with pytest.raises(ValueError, match="depth -1"):
        found.free_misses(-1)
    with pytest.raises(ValueError, match="most -1"):
        all_depths(b"AF", -1)

from __future__ import annotations

from lookaside_sim.testing.conformance.blocks import (
    Block,
    entry_between,
    pattern,
    required_alignment,
)


def test_alignment_follows_from_the_size() -> None:
    assert [required_alignment(size) for size in (0, 1, 8, 24, 32, 100)] == [1, 1, 8, 8, 16, 4]


def test_an_entry_that_shares_a_byte_with_a_range_is_found() -> None:
    block = Block(100, 100, [(110, 120), (130, 131)])
    for start, end, entry in (
        (100, 110, None), (100, 111, 110), (119, 125, 110), (120, 130, None),
        (112, 113, 110), (130, 140, 130), (131, 200, None), (100, 200, 110),
    ):  # fmt: skip
        assert entry_between(block, start, end) == entry


def test_neighbors_have_different_contents() -> None:
    assert len({pattern(entry, 8) for entry in range(0, 61 * 16, 16)}) == 61
    assert len(pattern(5, 1000)) == 1000

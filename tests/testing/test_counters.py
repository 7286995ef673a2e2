from __future__ import annotations

import pytest

from lookaside_sim import Kernel, LookasideList
from lookaside_sim.testing.counters import SETTABLE_COUNTERS, set_counters


def values(lookaside: LookasideList) -> dict[str, int]:
    return {name: getattr(lookaside, name) for name in SETTABLE_COUNTERS}


def test_every_counter_is_set_and_nothing_else(blank: LookasideList, kernel: Kernel) -> None:
    assert blank.initialize(size=40, tag=b"Test").is_success
    entry = blank.allocate()
    assert entry is not None
    blank.free(entry)
    before = (blank.depth, blank.maximum_depth, blank.size, blank.tag, blank.current_depth)
    assert set_counters(kernel, blank, 0xFFFF_FFFE) == values(blank)
    assert set(values(blank).values()) == {0xFFFF_FFFE}
    assert before == (
        blank.depth,
        blank.maximum_depth,
        blank.size,
        blank.tag,
        blank.current_depth,
    )
    assert blank.allocate() == entry
    blank.free(entry)
    kernel.check()


def test_counters_wrap_from_there(blank: LookasideList, kernel: Kernel) -> None:
    assert blank.initialize(size=40, tag=b"Test").is_success
    set_counters(kernel, blank, 0xFFFF_FFFF)
    entry = blank.allocate()
    assert entry is not None
    assert (blank.total_allocates, blank.allocate_misses, blank.total_frees) == (
        0,
        0,
        0xFFFF_FFFF,
    )


def test_a_value_that_is_no_ulong_changes_nothing(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel)
    lookaside.initialize(size=40, tag=b"Test")
    for value in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            set_counters(kernel, lookaside, value)
    assert set(values(lookaside).values()) == {0}

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, Kernel
from lookaside_sim.errors import TraceError
from lookaside_sim.testing.reduce.misuse import replay_with_misuse
from lookaside_sim.trace import Event, replay
from lookaside_sim.trace.replay import Replay
from tests.testing.helpers import SECOND, noisy_trace

TWICE = [
    Event("init", 0, size=32, list="a"),
    *(Event("alloc", 0, each, list="a") for each in (1, 2)),
    Event("free", 0, 2),
    Event("free", 0, 1),
    Event("free", 2 * SECOND, 1),
]


def test_a_trace_without_misuse_is_replayed_as_ever() -> None:
    def counters(done: Replay) -> list[int]:
        return [each.total_frees for each in done.lists.values()]

    assert counters(replay_with_misuse(noisy_trace())) == counters(replay(noisy_trace()))


def test_an_entry_is_freed_twice_to_the_list_it_comes_from() -> None:
    with pytest.raises(TraceError, match="1 is not live"):
        replay(TWICE)
    done = replay_with_misuse([*TWICE, Event("alloc", 2 * SECOND, 3, list="a")])
    assert (done.lists["a"].total_frees, done.ticks) == (3, 2)
    # The list links it to itself: it comes back for ever.
    assert done.lists["a"].allocate() == done.live[3]


def test_a_block_that_is_freed_twice_stops_the_machine() -> None:
    block = [Event("alloc", 0, 5, 40), Event("free", 0, 5), Event("free", 0, 5)]
    with pytest.raises(BugCheck, match="BAD_POOL_CALLER"):
        replay_with_misuse(block, Kernel("x86"))
    # What could not be allocated was never there, and its free is skipped.
    again = [block[0]._replace(size=1 << 31), *block[1:]]
    assert replay_with_misuse(again, Kernel("x86")).failed == 1


def test_what_was_never_allocated_is_still_wrong() -> None:
    with pytest.raises(TraceError, match="9 is not live"):
        replay_with_misuse([*TWICE[:3], Event("free", 0, 9)])

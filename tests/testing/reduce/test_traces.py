from __future__ import annotations

import pytest

from lookaside_sim import BugCheck
from lookaside_sim.testing.reduce.traces import pin_trace, shrink_trace
from lookaside_sim.trace import Event, replay
from tests.testing.helpers import SECOND, noisy_trace, run_source


def held(events: list[Event]) -> None:
    """Fails when a list holds four entries or more; a module-level check, as users write."""
    done = replay(events)
    if any(each.current_depth >= 4 for each in done.lists.values()):
        raise AssertionError("four entries held")


def test_a_trace_is_reduced_to_what_its_failure_needs() -> None:
    reduced = shrink_trace(noisy_trace(), held)
    assert [event.op for event in reduced] == ["init", *["alloc"] * 4, *["free"] * 4]
    assert {event.time for event in reduced} == {0}
    with pytest.raises(AssertionError):
        held(reduced)


def test_time_that_matters_stays() -> None:
    def ticked(events: list[Event]) -> None:
        if replay(events).ticks >= 2:
            raise RuntimeError("two seconds passed")

    reduced = shrink_trace(noisy_trace(), ticked)
    assert len(reduced) <= 3
    assert reduced[-1].time == 2 * SECOND


def test_only_the_same_failure_counts() -> None:
    def confused(events: list[Event]) -> None:
        if len(events) < 5:
            raise KeyError("something else")
        raise ValueError("what was asked for")

    assert len(shrink_trace(noisy_trace(), confused)) == 5


def test_a_trace_that_does_not_fail_is_refused() -> None:
    with pytest.raises(ValueError, match="raises nothing"):
        shrink_trace(noisy_trace()[:3], held)


def test_a_pinned_trace_asserts_what_the_replay_does() -> None:
    source = pin_trace(noisy_trace(), "noisy")
    run_source(source)
    assert "def test_noisy() -> None:" in source
    changed = source.replace("kept.current_depth) == (4,", "kept.current_depth) == (5,")
    assert changed != source
    with pytest.raises(AssertionError):
        run_source(changed)


def test_a_pinned_stop_is_asserted() -> None:
    events = [Event("init", 0, size=8, list="a"), Event("delete", 0, list="a")]
    events.append(events[-1])
    with pytest.raises(BugCheck):
        replay(events)
    source = pin_trace(events, "twice")
    run_source(source)
    assert "BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE" in source


def test_a_pinned_check_fails_as_long_as_the_check_does() -> None:
    source = pin_trace(
        shrink_trace(noisy_trace(), held), "held", "tests.testing.reduce.test_traces:held"
    )
    assert "from tests.testing.reduce.test_traces import held" in source
    with pytest.raises(AssertionError, match="four entries held"):
        run_source(source)

from __future__ import annotations

import json
from pathlib import Path

from lookaside_sim import PoolTag, PoolType
from lookaside_sim.advise import Policy, advise, curves
from lookaside_sim.trace import Event, replay

SQLITE = Path(__file__).parent.parent.parent / "examples" / "traces" / "sqlite.jsonl.gz"
SECOND = 1_000_000


def busy(seconds: int) -> list[Event]:
    """Bursts that make a list deeper, then one call a second."""
    events: list[Event] = []
    number = 0
    for second in range(seconds):
        for _ in range(20 if second < 9 else 1):
            burst = range(number, number + (30 if second < 9 else 1))
            number = burst.stop
            events += [Event("alloc", second * SECOND, each, 64) for each in burst]
            events += [Event("free", second * SECOND, each) for each in burst]
    return events


def test_seconds_are_those_of_the_machine() -> None:
    events = busy(25)
    (row,) = advise(events, by_second=True).rows
    assert row.seconds is not None
    assert [each.second for each in row.seconds] == list(range(25))
    saved = 0
    for each in row.seconds:
        until = [event for event in events if event.time // SECOND <= each.second]
        machine = replay(until, lookaside=[64]).lists["heap-64"]
        # Replay has not come to the scan at the end of the second.
        assert (each.depth, each.held) == (machine.depth, machine.current_depth)
        saved += each.saved
        misses = machine.allocate_misses + machine.free_misses
        assert saved == machine.total_allocates + machine.total_frees - misses
    assert len({each.depth for each in row.seconds}) > 3
    assert sum(each.calls for each in row.seconds) == row.calls
    assert saved == row.pool_calls_saved


def test_seconds_of_several_processors_are_summed() -> None:
    policy = Policy(processors=2, turn=50)
    (row,) = advise(busy(12), by_second=True, policy=policy).rows
    assert row.seconds is not None
    assert [each.second for each in row.seconds] == list(range(12))
    assert sum(each.calls for each in row.seconds) == row.calls
    assert sum(each.saved for each in row.seconds) == row.pool_calls_saved
    assert row.seconds[-1].held == row.current_depth


def test_curves_are_plain_values() -> None:
    advice = advise(SQLITE, by_second=True)
    found = curves(advice, 3)
    assert json.loads(json.dumps(found)) == found
    assert [each["name"] for each in found] == [
        "16 bytes, None",
        "32 bytes, None",
        "4104 bytes, None",
    ]
    first, row = found[0], advice.rows[0]
    assert row.depths is not None
    saved = row.depths.pool_calls_saved()
    assert all(saved[depth] == calls for depth, calls in first["by_depth"])
    assert first["by_depth"][-1] == [len(saved) - 1, saved[-1]]
    assert sum(calls for *_, calls, _ in first["by_second"]) == row.calls
    assert len(curves(advice, None)) == len(advice.rows)


def test_what_was_not_counted_is_no_curve() -> None:
    (found,) = curves(advise(busy(1), depths=False))
    assert found["by_depth"] == found["by_second"] == []


def test_a_curve_has_no_more_points_than_can_be_seen() -> None:
    (found,) = curves(advise(busy(500), by_second=True))
    assert len(found["by_second"]) == 200
    assert [found["by_second"][at][0] for at in (0, -1)] == [0, 499]


def test_the_first_depths_are_all_there() -> None:
    events: list[Event] = []
    for most in range(600):
        events += [Event("alloc", 0, each, 64) for each in range(most)]
        events += [Event("free", 0, each) for each in range(most)]
    (found,) = curves(advise(events))
    depths = [depth for depth, _ in found["by_depth"]]
    assert depths[:100] == list(range(100))
    assert (len(depths), depths[-1]) == (200, 599)


def test_names_say_what_tells_lists_apart() -> None:
    tag, pool = PoolTag(b"Abcd"), PoolType.PagedPool
    events = [Event("alloc", 0, 1, 8, tag, pool, site="main+0x1f")]
    assert curves(advise(events, by="site"))[0]["name"] == "8 bytes, Abcd, paged, main+0x1f"
    assert curves(advise(events, by="size"))[0]["name"] == "8 bytes, paged"

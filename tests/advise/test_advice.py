from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim import PoolTag, PoolType, TraceError
from lookaside_sim.advise import AllDepths, Policy, advise, all_depths
from lookaside_sim.trace import Event, load, save

SECOND = 1_000_000


def alloc(identity: int, size: int = 24, time: int = 0, **fields: object) -> Event:
    return Event("alloc", time, identity, size)._replace(**fields)  # type: ignore[arg-type]


def free(identity: int, time: int = 0) -> Event:
    return Event("free", time, identity)


def test_a_row_says_what_one_list_does() -> None:
    events = [*map(alloc, range(6)), *map(free, range(6)), *map(alloc, range(6, 8))]
    advice = advise([*events, Event("irql", 10 * SECOND, level=0)])
    (row,) = advice.rows
    assert (row.total_allocates, row.allocate_misses) == (8, 6)
    assert (row.total_frees, row.free_misses) == (6, 2)
    assert (row.depth, row.current_depth, row.most_held) == (4, 2, 4)
    assert row.calls == advice.calls == 14
    assert row.pool_calls_saved == 6
    assert row.hit_rate == 6 / 14
    assert row.bytes_held == 4 * 24
    assert (row.average_held, row.average_bytes_held) == (2, 48)
    assert row.depths == all_depths(b"AAAAAAFFFFFFAA")
    assert row.best_depth == 6
    assert (row.pool_type, row.size, row.sizes) == (PoolType.NonPagedPool, 24, (24,))
    assert (row.tag, row.site) == (PoolTag(b"None"), None)
    assert (advice.seconds, advice.name, advice.by) == (10, "events", "tag")


def test_the_first_row_saves_most() -> None:
    events = []
    for identity, size in enumerate([8] * 3 + [16] * 9 + [32] * 5):
        events += [alloc(identity, size), free(identity)]
    rows = advise(events).rows
    assert [(row.size, row.pool_calls_saved) for row in rows] == [(16, 17), (32, 9), (8, 5)]


def test_an_empty_trace() -> None:
    advice = advise([])
    assert (advice.rows, advice.calls, advice.seconds) == ((), 0, 0)


def tagged() -> list[Event]:
    kinds = [(b"AAAA", "f"), (b"AAAA", "g"), (b"BBBB", "f")]
    events = []
    for identity, (tag, site) in enumerate(kinds * 2):
        events += [alloc(identity, tag=PoolTag(tag), site=site), free(identity)]
    return events


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ("size", {(None, None): 12}),
        ("tag", {("AAAA", None): 8, ("BBBB", None): 4}),
        ("site", {("AAAA", "f"): 4, ("AAAA", "g"): 4, ("BBBB", "f"): 4}),
    ],
)
def test_lists_are_told_apart_as_asked(tmp_path: Path, by: str, found: object) -> None:
    path = tmp_path / "test.lkt"
    save(path, tagged())
    for trace in (tagged(), path):
        rows = advise(trace, by=by).rows
        assert {
            (None if row.tag is None else str(row.tag), row.site): row.calls for row in rows
        } == found


def test_pool_types_are_always_told_apart() -> None:
    events = [alloc(1), alloc(2, pool=PoolType.PagedPool), free(1), free(2)]
    assert {row.pool_type for row in advise(events, by="size").rows} == {
        PoolType.NonPagedPool,
        PoolType.PagedPool,
    }


def test_only_some_sizes(tmp_path: Path) -> None:
    events = []
    for identity in range(300):
        events += [alloc(identity, identity % 10), free(identity)]
    all_rows = {row.size: row for row in advise(events).rows}
    for name in ("test.jsonl", "test.lkt"):
        save(tmp_path / name, events)
        advice = advise(tmp_path / name, sizes=[3, 7, 99])
        assert {row.size: row for row in advice.rows} == {n: all_rows[n] for n in (3, 7)}
        assert advice.calls == 120


def test_sizes_whose_blocks_are_the_same_are_grouped() -> None:
    events = []
    for identity, size in enumerate([17, 32, 33, 20, 0, 1, 5000, 5001]):
        events += [alloc(identity, size)]
    groups = advise(events, groups=True).groups
    assert sorted(row.sizes for row in groups) == [(0, 1), (17, 20, 32)]
    assert {row.size for row in groups} == {1, 32}
    groups = advise(events, groups=True, arch="x86").groups
    assert sorted(row.sizes for row in groups) == [(0, 1), (17, 20)]
    assert advise(events).groups == ()


def test_a_group_is_one_list_for_all_its_calls() -> None:
    mixed, alone = [], []
    for identity in range(50):
        mixed += [alloc(identity, 17 + identity % 3), free(identity - 1 if identity else 0)]
    mixed = [event for event in mixed if event.op == "alloc" or event.id != 49]
    mixed[1:2] = []
    alone = [event._replace(size=19) if event.size else event for event in mixed]
    (group,) = advise(mixed, groups=True).groups
    (row,) = advise(alone).rows
    assert group.sizes == (17, 18, 19)
    assert (group.pool_calls_saved, group.depths) == (row.pool_calls_saved, row.depths)


def test_a_list_with_another_policy() -> None:
    events = [*map(alloc, range(9)), *map(free, range(9)), *map(alloc, range(9, 18))]
    found = {
        depth: advise(events, policy=Policy(fixed_depth=depth)).rows[0] for depth in range(12)
    }
    (plain,) = advise(events).rows
    assert isinstance(plain.depths, AllDepths)
    for depth, row in found.items():
        assert row.allocate_misses == plain.depths.allocate_misses(depth)
        assert row.free_misses == plain.depths.free_misses(depth)


def test_a_list_of_each_processor_gets_turns() -> None:
    events = []
    for identity in range(64):
        events += [alloc(identity), free(identity)]
    rows = {
        turn: advise(events, policy=Policy(processors=2, turn=turn)).rows[0]
        for turn in (1, 2, 3, 64, 128)
    }
    assert {turn: row.allocate_misses for turn, row in rows.items()} == {
        1: 64,  # what one processor frees, the other would need
        2: 2,
        3: 22,
        64: 2,
        128: 1,
    }


@pytest.mark.parametrize(
    ("events", "field"),
    [
        ([free(1)], "id"),
        ([alloc(1), alloc(1)], "id"),
        ([alloc(1), free(1), free(1)], "id"),
        ([Event("alloc", 0, 1)], "size"),
        ([Event("alloc", 0, 1, list="a")], "list"),
    ],
)
def test_events_that_cannot_be(tmp_path: Path, events: list[Event], field: str) -> None:
    errors = []
    traces = [events]
    for name in ("test.jsonl", "test.lkt"):
        if field != "size":  # no file can hold that
            save(tmp_path / name, events)
            traces.append(load(tmp_path / name))  # type: ignore[arg-type]
    for trace in traces:
        with pytest.raises(TraceError) as caught:
            advise(trace)
        assert caught.value.field == field
        errors.append(caught.value.problem)
        if trace is not events:
            assert caught.value.line == len(events) + 1
    assert len(set(errors)) == 1


def test_a_name_given_to_another_list(tmp_path: Path) -> None:
    events = []
    for size in (8, 16):
        events.append(Event("init", 0, None, size, PoolTag(b"AAAA"), PoolType(0), "a", 0, 0))
        events += [Event("alloc", 0, size, list="a"), free(size)]
    save(tmp_path / "test.lkt", events)
    for trace in (events, tmp_path / "test.lkt"):
        assert [row.size for row in advise(trace).rows] == [8, 16]


def test_a_trace_that_ends_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "test.lkt"
    save(path, [alloc(1), free(1)])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(TraceError):
        advise(path)
    advice = advise(path, partial=True)
    assert advice.ended is not None
    assert advice.calls == 2


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="by 'sizes': give one of size, tag, site"):
        advise([], by="sizes")
    with pytest.raises(ValueError, match="arch='arm'"):
        advise([], arch="arm")


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    events = [alloc(identity, time=identity * SECOND) for identity in range(1500)]
    advise(events, progress=lambda *so_far: told.append(so_far))
    assert told == [(999, 999), (1499, 1499)]

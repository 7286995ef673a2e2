"""What is counted is what the machine's own lists count: every list, every counter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import LookasideList, PoolTag, PoolType
from lookaside_sim.advise import Row, advise
from lookaside_sim.trace import Event, Trace, replay, save
from lookaside_sim.trace.lines import Chunk
from lookaside_sim.trace.packed import Block

TESTS = Path(__file__).parent.parent
TRACES = TESTS.parent / "examples" / "traces"
REDIS = TESTS / "traces" / "redis.jsonl.gz"
SECOND = 1_000_000
Counters = tuple[int, int, int, int, int, int]


def of_row(row: Row) -> Counters:
    return (
        row.total_allocates,
        row.allocate_misses,
        row.total_frees,
        row.free_misses,
        row.depth,
        row.current_depth,
    )


def of_list(lookaside: LookasideList) -> Counters:
    return (
        lookaside.total_allocates,
        lookaside.allocate_misses,
        lookaside.total_frees,
        lookaside.free_misses,
        lookaside.depth,
        lookaside.current_depth,
    )


class Kept(Trace):
    """A trace that is read from its file once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.kept = list(super().stored())

    def stored(self) -> Iterator[Chunk | Block]:
        return iter(self.kept)


@pytest.mark.parametrize(
    ("path", "sizes"),
    [
        (REDIS, 1868),
        (TRACES / "sqlite.jsonl.gz", 71),
        (TRACES / "git-log.jsonl.gz", 170),
    ],
    ids=lambda it: it.name if isinstance(it, Path) else "",
)
def test_every_size_of_a_recording(tmp_path: Path, path: Path, sizes: int) -> None:
    trace = Kept(path)
    found = {row.size: row for row in advise(trace, depths=False).rows}
    assert len(found) == sizes
    lists = replay(trace, lookaside=found).lists
    machine = {size: of_list(lists[f"heap-{size}"]) for size in found}
    assert {size: of_row(row) for size, row in found.items()} == machine
    packed = tmp_path / "packed.lkt"
    save(packed, trace)
    assert {row.size: row for row in advise(packed, depths=False).rows} == found


KEYS = [
    (PoolType.NonPagedPool, 24, b"AAAA"),
    (PoolType.PagedPool, 24, b"AAAA"),
    (PoolType.NonPagedPoolNx, 24, b"AAAA"),
    (PoolType.PagedPool, 32, b"BBBB"),
]


@st.composite
def calls(draw: st.DrawFn) -> list[Event]:
    """Bursts of calls on four lists, with pauses that bring every phase of both scans."""
    events = [
        Event("init", 0, None, size, PoolTag(tag), pool, f"l{number}", 0, 0)
        for number, (pool, size, tag) in enumerate(KEYS)
    ]
    time = identity = 0
    live: list[int] = []
    for _ in range(draw(st.integers(0, 12))):
        time += draw(
            st.one_of(
                st.just(0), st.integers(0, 7).map(lambda n: n * SECOND), st.integers(0, SECOND)
            )
        )
        name = f"l{draw(st.integers(0, 3))}"
        burst, rounds = draw(st.integers(1, 20)), draw(st.integers(1, 8))
        for _ in range(rounds):
            for _ in range(burst):
                identity += 1
                live.append(identity)
                events.append(Event("alloc", time, identity, list=name))
            left = draw(st.integers(0, 8))
            while len(live) > left:
                freed = live.pop(0 if left & 1 else -1)
                events.append(Event("free", time, freed))
    events.append(Event("irql", time + draw(st.integers(0, 40)) * SECOND, level=0))
    return events


def rows_by_name(rows: Iterable[Row]) -> dict[str, Counters]:
    names = {
        (pool, size, PoolTag(tag)): f"l{number}"
        for number, (pool, size, tag) in enumerate(KEYS)
    }
    return {
        names[row.pool_type, row.size, row.tag]: of_row(row)
        for row in rows
        if row.tag is not None
    }


@settings(max_examples=60)
@given(events=calls())
def test_random_calls_on_lists_of_all_pools(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    found = rows_by_name(advise(events).rows)
    used = {event.list for event in events if event.op == "alloc"}
    assert found.keys() == used
    machine = replay(events).lists
    assert found == {name: of_list(machine[name]) for name in found}
    # The same as single events, as columns and as a packed trace.
    heap = [
        event._replace(
            list=None, size=KEYS[int((event.list or "l0")[1])][1], tag=None, pool=None
        )
        if event.op == "alloc"
        else event
        for event in events
        if event.op in ("alloc", "free")
    ]
    for number, trace in enumerate((events, heap)):
        expected = advise(trace).rows
        for suffix in ("jsonl", "lkt"):
            path = tmp_path_factory.getbasetemp() / f"random{number}.{suffix}"
            save(path, trace)
            assert advise(path).rows == expected


@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("pool", [PoolType.NonPagedPool, PoolType.PagedPool])
def test_every_phase_of_the_scans(first: int, pool: PoolType) -> None:
    events = [Event("init", 0, None, 24, PoolTag(b"AAAA"), pool, "l", 0, 0)]
    identity = 0
    for second in range(first, first + 6):
        live = []
        for number in range(400):
            identity += 1
            live.append(identity)
            events.append(Event("alloc", second * SECOND, identity, list="l"))
            if number % 9 == 0:
                events += (Event("free", second * SECOND, each) for each in live)
                live.clear()
    for last in range(12):
        ended = [*events, Event("irql", (first + 5 + last) * SECOND, level=0)]
        (row,) = advise(ended).rows
        assert of_row(row) == of_list(replay(ended).lists["l"])

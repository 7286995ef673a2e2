from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Irql,
    Kernel,
    LookasideSimError,
    PoolTag,
    PoolType,
    TraceError,
)
from lookaside_sim.trace import Event, Replay, load, replay
from tests.helpers import nowhere

SECOND = 1_000_000
PAGE = 4096
HEADER = '{"format":"lookaside-trace","version":1,"time_unit":"us"}'
TAG = PoolTag(b"tsLL")
NONE = PoolTag(b"None")
RAISE = 1  # EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL


def init(name: str = "a", size: int = 32, *, flags: int = 0, time: int = 0) -> Event:
    return Event("init", time, None, size, TAG, PoolType.NonPagedPool, name, flags, 0)


def take(id_: int, name: str = "a", *, time: int = 0) -> Event:
    return Event("alloc", time, id_, list=name)


def alloc(
    id_: int,
    size: int = 32,
    pool: PoolType = PoolType.NonPagedPool,
    *,
    tag: PoolTag = NONE,
    time: int = 0,
) -> Event:
    return Event("alloc", time, id_, size, tag, pool)


def free(id_: int, *, time: int = 0) -> Event:
    return Event("free", time, id_)


def irql(level: int, *, time: int = 0) -> Event:
    return Event("irql", time, level=level)


def write(path: Path, *events: dict[str, object]) -> Path:
    lines = [HEADER, *map(json.dumps, events)]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def error_of(events: Iterable[Event], kernel: Kernel | None = None) -> TraceError:
    with pytest.raises(TraceError) as caught:
        replay(events, kernel)
    return caught.value


# --- the machine -------------------------------------------------------------------------


def test_an_empty_trace_does_nothing() -> None:
    done = replay([])
    assert (done.events, done.ticks, done.failed, done.pool_calls) == (0, 0, 0, 0)
    assert (done.lists, done.live) == ({}, {})
    assert (done.list_calls, done.saved_pool_calls) == (0, 0)
    assert (done.held_entries, done.held_bytes) == (0, 0)
    assert done.kernel.arch.name == "x64"
    assert not done.kernel.lookaside_lists


def test_it_runs_on_the_kernel_it_is_given() -> None:
    kernel = Kernel("x86")
    done = replay([alloc(1, tag=TAG)], kernel)
    assert done.kernel is kernel
    assert kernel.pool.usage(TAG).nonpaged_allocs == 1


def test_a_stopped_machine_runs_nothing() -> None:
    kernel = Kernel()
    with pytest.raises(BugCheck) as first:
        kernel.read(nowhere(kernel), 1)
    with pytest.raises(BugCheck) as second:
        replay([], kernel)
    assert second.value is first.value


# --- time --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "ticks"),
    [
        ([0], 0),
        ([999_999], 0),
        ([1_000_000], 1),
        ([1_000_001, 1_999_999], 1),
        ([1_999_999, 2_000_000], 2),
        ([500_000, 1_500_000, 2_500_000], 2),
        ([0, 7_300_000], 7),
        ([3_900_000, 3_900_000, 4_000_000, 60_000_000], 60),
    ],
)
def test_each_whole_second_passed_is_one_tick(times: list[int], ticks: int) -> None:
    done = replay([irql(0, time=time) for time in times])
    assert (done.ticks, done.kernel.seconds) == (ticks, ticks)


def test_ticks_come_before_the_event_that_passes_them() -> None:
    kernel = Kernel()
    seen: list[int] = []

    def events() -> Iterable[Event]:
        yield init()
        for id_ in range(100):
            yield take(id_)
        for id_ in range(100):
            yield free(id_, time=SECOND)
            seen.append(kernel.lookaside_lists[0].depth)

    done = replay(events(), kernel)
    # 100 misses of 100 allocates: the largest step, 30 entries.
    assert set(seen) == {34}
    assert done.lists["a"].current_depth == 34
    assert done.lists["a"].free_misses == 66


def test_the_phase_of_the_balance_set_manager_goes_on_over_a_jump() -> None:
    events = [init(), *map(take, range(100)), free(0, time=3 * SECOND)]
    done = replay(events)
    assert done.lists["a"].depth == 34
    # Scans at the first, fourth and seventh second; the list is idle by then.
    done = replay([*events, free(1, time=4 * SECOND)])
    assert done.lists["a"].depth == 24
    done = replay([*events, free(1, time=7 * SECOND - 1)])
    assert done.lists["a"].depth == 24
    done = replay([*events, free(1, time=7 * SECOND)])
    assert done.lists["a"].depth == 14


def test_an_absent_time_is_that_of_the_event_before(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test.jsonl",
        {"op": "irql", "level": 0},
        {"t": 2_000_000, "op": "irql", "level": 0},
        {"op": "irql", "level": 0},
        {"t": 2_999_999, "op": "irql", "level": 0},
        {"op": "irql", "level": 0},
    )
    done = replay(load(path))
    assert (done.events, done.ticks) == (5, 2)


# --- ids ---------------------------------------------------------------------------------


def test_an_id_may_be_used_again_after_its_free() -> None:
    done = replay([alloc(1), free(1), alloc(1), free(1), init(), take(1), free(1), alloc(1)])
    assert list(done.live) == [1]
    assert done.pool_calls == 5


def test_live_gives_the_address_of_each_allocation() -> None:
    done = replay([alloc(1, 100), alloc(2, 50), free(1), init(), take(7)])
    assert list(done.live) == [2, 7]
    sizes = []
    for address in done.live.values():
        assert address is not None
        block = done.kernel.pool.query(address)
        assert block is not None
        assert block.address == address
        sizes.append(block.size)
    assert sizes == [50, 32]


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([alloc(1), alloc(1)], "1 is still live: free it before"),
        ([init(), take(1), take(1)], "1 is still live: free it before"),
        ([init(), take(1), alloc(1)], "1 is still live: free it before"),
        ([free(1)], "1 is not live: allocate it before"),
        ([alloc(1), free(1), free(1)], "1 is not live: allocate it before"),
        ([alloc(2), free(3)], "3 is not live: allocate it before"),
        ([Event("alloc", size=8)], "None is still live: free it before"),
        ([Event("free")], "None is not live: allocate it before"),
    ],
)
def test_an_id_that_cannot_be_meant(events: list[Event], problem: str) -> None:
    error = error_of(events)
    assert (error.file, error.line, error.field) == ("events", 0, "id")
    assert error.problem == problem


def test_an_id_whose_allocation_failed_is_live_all_the_same() -> None:
    events = [alloc(1, 2 * PAGE), alloc(1, 8)]
    assert error_of(events, Kernel(nonpaged_pool_bytes=PAGE)).field == "id"


def test_errors_name_the_file_and_the_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test.jsonl",
        {"op": "alloc", "id": 1, "size": 8},
        {"op": "free", "id": 2},
    )
    error = error_of(load(path))
    assert (error.file, error.line, error.field) == (str(path), 3, "id")


# --- lists -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [take(1, "b"), Event("flush", list="b"), Event("delete", list="b"), Event("flush")],
    ids=lambda event: f"{event.op}-{event.list}",
)
def test_a_list_that_was_never_initialized(event: Event) -> None:
    error = error_of([init("a"), event._replace(line=9)])
    assert (error.line, error.field) == (9, "list")
    assert error.problem == f"{event.list!r} was never initialized"


def test_init_sets_every_field_the_event_has(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test.jsonl",
        {"op": "init", "list": "a", "size": 3},
        {
            "op": "init",
            "list": "b",
            "size": 100,
            "tag": "tsLL",
            "pool": "PagedPool",
            "flags": 1,
            "depth": 1000,
        },
    )
    done = replay(load(path))
    assert list(done.lists) == ["a", "b"]
    a, b = done.lists.values()
    assert (a.name, a.size, a.tag, a.type, a.maximum_depth) == ("a", 8, NONE, 0, 256)
    assert (b.name, b.size, b.tag, b.type, b.maximum_depth) == ("b", 100, TAG, 17, 1000)
    assert done.kernel.lookaside_lists == [a, b]


@pytest.mark.parametrize(
    ("fields", "field", "shown"),
    [
        ({"pool": "DontUseThisType"}, "pool", "STATUS_INVALID_PARAMETER_4"),
        ({"pool": "MaxPoolType"}, "pool", "STATUS_INVALID_PARAMETER_4"),
        ({"pool": "POOL_ZERO_ALLOCATION"}, "pool", "STATUS_INVALID_PARAMETER_4"),
        ({"flags": 3}, "flags", "3 is refused: STATUS_INVALID_PARAMETER_5"),
        ({"flags": 4}, "flags", "4 is refused: STATUS_INVALID_PARAMETER_5"),
        ({"depth": 1}, "depth", "1 is refused: STATUS_INVALID_PARAMETER_8"),
        ({"depth": 255}, "depth", "255 is refused: STATUS_INVALID_PARAMETER_8"),
        ({"depth": 1025}, "depth", "1025 is refused: STATUS_INVALID_PARAMETER_8"),
        ({"depth": 2**16}, "depth", "65536"),
        ({"flags": 2**32}, "flags", "4294967296"),
        ({"size": 2**64}, "size", "18446744073709551616"),
    ],
    ids=str,
)
def test_an_init_that_nt_refuses(
    tmp_path: Path, fields: dict[str, object], field: str, shown: str
) -> None:
    path = write(tmp_path / "test.jsonl", {"op": "init", "list": "a", "size": 8} | fields)
    kernel = Kernel()
    error = error_of(load(path), kernel)
    assert (error.file, error.line, error.field) == (str(path), 2, field)
    assert shown in error.problem
    assert kernel.lookaside_lists == []


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (Event("init", size=8), "list"),
        (Event("init", size=8, list=""), "list"),
        (Event("init", list="a"), "size"),
    ],
)
def test_an_init_from_elsewhere_without_a_field(event: Event, field: str) -> None:
    error = error_of([event])
    assert (error.field, error.problem) == (field, "missing: 'init' needs it")


def test_an_init_from_elsewhere_has_the_defaults_of_a_file() -> None:
    done = replay([Event("init", size=8, list="a"), Event("alloc", id=1, size=8)])
    made = done.lists["a"]
    assert (made.tag, made.type, made.maximum_depth) == (NONE, 0, 256)
    assert done.kernel.pool.usage(NONE).nonpaged_allocs == 1


def test_an_init_after_a_delete_starts_the_list_anew() -> None:
    done = replay([init(), take(1), free(1), Event("delete", list="a"), init(size=64), take(1)])
    made = done.lists["a"]
    assert done.kernel.lookaside_lists == [made]
    assert (made.size, made.total_allocates, made.total_frees) == (64, 1, 0)
    done.kernel.check()


def test_a_second_init_of_the_only_active_list_makes_a_ring_that_a_tick_finds() -> None:
    # The list is appended behind itself. On NT the balance set manager would never end.
    kernel = Kernel()
    done = replay([init(), take(1), init(size=64)], kernel)
    made = done.lists["a"]
    assert (made.size, made.total_allocates) == (64, 0)
    with pytest.raises(LookasideSimError, match="a lookaside list was initialized twice"):
        replay([irql(0, time=SECOND)], kernel)


def test_a_second_init_of_the_first_of_two_lists_is_not_noticed() -> None:
    done = replay([init("a"), init("b"), take(1), free(1), init("a", 64)])
    made = done.lists["a"]
    assert (made.size, made.total_allocates, made.current_depth) == (64, 0, 0)
    assert list(done.lists) == ["a", "b"]


def test_flush_gives_the_entries_back_and_keeps_the_counters() -> None:
    events = [init(), *map(take, range(3)), *map(free, range(3))]
    held = replay(events)
    assert (held.held_entries, held.held_bytes) == (3, 96)
    done = replay([*events, Event("flush", list="a")])
    made = done.lists["a"]
    assert (done.held_entries, done.held_bytes) == (0, 0)
    assert (made.total_allocates, made.total_frees, made.is_active) == (3, 3, True)
    assert done.kernel.pool.usage(TAG).nonpaged_frees == 3
    assert done.kernel.pool.usage(TAG).nonpaged_bytes == 0


def test_delete_ends_a_list_which_stays_in_the_result() -> None:
    done = replay([init("a"), init("b"), take(1), free(1), Event("delete", list="a")])
    assert not done.lists["a"].is_active
    assert done.kernel.lookaside_lists == [done.lists["b"]]
    assert done.kernel.pool.usage(TAG).nonpaged_bytes == 0
    assert done.list_calls == 2


def test_a_second_delete_stops_the_machine() -> None:
    deletes = [Event("delete", list="a")] * 2
    with pytest.raises(BugCheck) as caught:
        replay([init("a"), *deletes])
    assert caught.value.code == BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE


# --- IRQL --------------------------------------------------------------------------------


def test_the_irql_is_raised_and_lowered() -> None:
    kernel = Kernel()
    levels: list[int] = []

    def events() -> Iterable[Event]:
        for level in (2, 2, 15, 7, 1, 0, 0):
            yield irql(level)
            levels.append(kernel.irql)

    replay(events(), kernel)
    assert levels == [2, 2, 15, 7, 1, 0, 0]
    assert replay([irql(1)]).kernel.irql == Irql.APC_LEVEL


@pytest.mark.parametrize("time", [1 << 64, 10**26])
def test_a_time_that_no_clock_shows(time: int) -> None:
    error = error_of([Event("alloc", time, id=1, size=8, line=2)])
    assert (error.line, error.field) == (2, "t")
    assert error.problem == f"{time}: give 0 to {(1 << 64) - 1}"
    assert replay([Event("alloc", (1 << 64) - 1, id=1, size=8)]).events == 1


@pytest.mark.parametrize("level", [16, 99, -1, None])
def test_a_level_that_is_no_irql(level: int | None) -> None:
    error = error_of([Event("irql", level=level)])
    assert (error.field, error.problem) == ("level", f"{level}: give 0 to 15")


@pytest.mark.parametrize(
    ("events", "parameters"),
    [
        ([irql(2), alloc(1, 8, PoolType.PagedPool)], (8, 2, 1, 8)),
        ([irql(3), alloc(1, 8)], (8, 3, 0, 8)),
        ([init(), irql(3), take(1)], (8, 3, 0, 32)),
    ],
)
def test_a_bug_check_passes_through(
    events: list[Event], parameters: tuple[int, int, int, int]
) -> None:
    kernel = Kernel()
    with pytest.raises(BugCheck) as caught:
        replay(events, kernel)
    assert caught.value.code == BugCheckCode.BAD_POOL_CALLER
    assert caught.value.parameters == parameters
    assert kernel.bugcheck is caught.value


# --- allocations -------------------------------------------------------------------------


def test_pool_and_tag_of_an_alloc() -> None:
    pools = (PoolType.NonPagedPool, PoolType.PagedPool, PoolType.NonPagedPoolNx)
    done = replay([alloc(id_, 40, pool, tag=TAG) for id_, pool in enumerate(pools)])
    found = []
    for address in done.live.values():
        assert address is not None
        block = done.kernel.pool.query(address)
        assert block is not None
        found.append((block.pool_type, block.size, block.tag))
    assert found == [(pool, 40, TAG) for pool in pools]


@pytest.mark.parametrize("pool", [3, 7, 0x800])
def test_a_pool_type_that_no_pool_serves(pool: int) -> None:
    error = error_of([alloc(1, 8, PoolType(pool))])
    assert error.field == "pool"
    assert f"pool type {pool:#x}" in error.problem


def test_an_alloc_from_elsewhere_without_a_size() -> None:
    error = error_of([Event("alloc", id=1)])
    assert (error.field, error.problem) == (
        "size",
        "missing: 'alloc' without a list needs it",
    )


def test_an_alloc_without_a_size_is_not_one_of_zero_bytes() -> None:
    with pytest.raises(TraceError) as caught:
        replay([Event("alloc", id=1)], lookaside=[0])
    assert caught.value.field == "size"


def test_failed_pool_allocations_are_counted_and_their_frees_skipped() -> None:
    kernel = Kernel(nonpaged_pool_bytes=PAGE)
    raising = PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE
    done = replay(
        [
            alloc(1, 2 * PAGE),
            alloc(2, 2 * PAGE, raising),
            alloc(3, 100),
            alloc(4, 2 * PAGE),
            free(1),
            free(2),
            free(3),
            alloc(1, 100),
        ],
        kernel,
    )
    assert (done.events, done.failed) == (8, 3)
    assert done.pool_calls == 6  # five allocates, one free
    assert done.live[4] is None
    assert done.live[1] is not None
    usage = kernel.pool.usage(NONE)
    assert (usage.nonpaged_allocs, usage.nonpaged_frees) == (2, 1)
    kernel.check()


@pytest.mark.parametrize("flags", [0, RAISE, 2])
def test_failed_list_allocations_are_counted_and_their_frees_skipped(flags: int) -> None:
    kernel = Kernel(nonpaged_pool_bytes=PAGE)
    done = replay(
        [
            init("a", 3000, flags=flags),
            *map(take, range(3)),
            *map(free, range(3)),
            *map(take, range(2)),
        ],
        kernel,
    )
    made = done.lists["a"]
    assert done.failed == 3
    assert (made.total_allocates, made.allocate_misses) == (5, 4)
    assert (made.total_frees, made.free_misses) == (1, 0)
    assert done.pool_calls == 0
    assert [address is None for address in done.live.values()] == [False, True]
    kernel.check()


# --- sizes served from lists -------------------------------------------------------------


def test_lookaside_sizes_serve_what_is_exactly_of_that_size() -> None:
    raising = PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE
    done = replay(
        [
            init("mine", 24),
            alloc(1, 24),
            alloc(2, 24, tag=TAG),
            alloc(3, 23),
            alloc(4, 25),
            alloc(5, 24, PoolType.PagedPool),
            alloc(6, 24, PoolType.NonPagedPoolNx),
            alloc(7, 24, raising),
            take(8, "mine"),
            alloc(9, 100),
            free(1),
            free(3),
            free(8),
            free(5),
        ],
        lookaside=[24, 100],
    )
    assert list(done.lists) == ["heap-24", "heap-100", "mine"]
    small, large, mine = done.lists.values()
    assert [each.total_allocates for each in (small, large, mine)] == [2, 1, 1]
    assert [each.total_frees for each in (small, large, mine)] == [1, 0, 1]
    assert done.pool_calls == 7
    assert done.list_calls == 6
    for each, size in ((small, 24), (large, 100)):
        assert (each.name, each.size) == (f"heap-{size}", size)
        assert (each.tag, each.type) == (PoolTag(b"Look"), PoolType.NonPagedPool)
        assert each.maximum_depth == 256
    assert done.kernel.pool.usage(b"Look").nonpaged_allocs == 3
    assert done.kernel.pool.usage(TAG).nonpaged_allocs == 1
    done.kernel.check()


def test_a_lookaside_size_below_the_minimum_serves_its_own_size_only() -> None:
    done = replay([alloc(1, 5), alloc(2, 8)], lookaside=[5])
    assert (done.lists["heap-5"].size, done.lists["heap-5"].total_allocates) == (8, 1)
    assert done.pool_calls == 1


def test_a_lookaside_size_given_twice_makes_one_list() -> None:
    done = replay([alloc(1, 24)], lookaside=[24, 24])
    assert list(done.lists.values()) == done.kernel.lookaside_lists


@pytest.mark.parametrize("size", [-1, 2**64])
def test_a_lookaside_size_that_no_list_can_have(size: int) -> None:
    with pytest.raises(ValueError, match=f"size {size}: give 0 to"):
        replay([], lookaside=[size])


def test_the_numbers_of_a_replay() -> None:
    done = replay(
        [
            *(alloc(id_, 24) for id_ in range(6)),  # six misses
            *(free(id_) for id_ in range(6)),  # four hits, two misses
            alloc(6, 24),  # one hit
            alloc(7, 1000),
            free(7),
            init("b", 100),
            take(8, "b"),
            free(8, time=2 * SECOND),
        ],
        lookaside=[24],
    )
    assert (done.events, done.ticks, done.failed) == (18, 2, 0)
    assert done.pool_calls == 2
    assert done.list_calls == 13 + 2
    assert done.saved_pool_calls == 5 + 1
    assert done.held_entries == 3 + 1
    assert done.held_bytes == 3 * 24 + 100
    assert list(done.live) == [6]
    assert done.kernel.pool.usage(b"Look").nonpaged_allocs == 6
    assert done.kernel.pool.usage(b"Look").nonpaged_frees == 2


def test_a_size_of_zero_is_served_by_its_list() -> None:
    done = replay([alloc(1, 0), alloc(2, 8)], lookaside=[0])
    assert done.lists["heap-0"].total_allocates == 1
    assert done.pool_calls == 1


# --- progress ----------------------------------------------------------------------------


def test_progress_is_told_now_and_then() -> None:
    told: list[tuple[int, int]] = []
    replays: set[int] = set()

    def progress(so_far: Replay) -> None:
        told.append((so_far.events, so_far.pool_calls))
        replays.add(id(so_far))

    pair = [alloc(1), free(1)]
    done = replay((pair[n & 1] for n in range(40_000)), progress=progress)
    assert told == [(16_384, 16_384), (32_768, 32_768)]
    assert replays == {id(done)}
    assert done.events == 40_000


def test_progress_is_not_told_of_a_short_trace() -> None:
    told: list[Replay] = []
    replay([alloc(1), free(1)], progress=told.append)
    assert told == []


def test_an_error_in_progress_ends_the_replay() -> None:
    kernel = Kernel()
    pair = [alloc(1), free(1)]

    def progress(so_far: Replay) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay((pair[n & 1] for n in range(40_000)), kernel, progress=progress)
    assert kernel.pool.usage(NONE).nonpaged_allocs == 8_192


def test_an_init_cannot_take_the_name_of_a_list_made_for_a_size() -> None:
    with pytest.raises(TraceError) as caught:
        replay([Event("init", size=8, list="heap-8")], lookaside=[8])
    assert caught.value.field == "list"

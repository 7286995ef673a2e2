"""The balance set manager: which lists a second scans, and what a scan does to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import Kernel, LookasideList
from tests.helpers import fill, new_list, poke
from tests.lookaside.helpers import ULONG, restated
from tests.same import assert_same

# --- when it is applied ------------------------------------------------------------------


def test_each_kind_is_scanned_in_its_second(kernel: Kernel) -> None:
    nonpaged, paged = new_list(kernel, pool_type=0), new_list(kernel, pool_type=1)
    for lookaside in (nonpaged, paged):
        poke(kernel, lookaside, Depth=200)
    depths = []
    for _ in range(9):
        kernel.tick()
        depths.append((nonpaged.depth, paged.depth))
    assert depths == [
        (190, 200),
        (190, 190),
        (190, 190),
        (180, 190),
        (180, 180),
        (180, 180),
        (170, 180),
        (170, 170),
        (170, 170),
    ]


def test_seconds_at_once_are_seconds_one_by_one(arch: str) -> None:
    depths = []
    for steps in ([1] * 10, [10], [3, 0, 7], [4, 6]):
        kernel = Kernel(arch)
        nonpaged, paged = new_list(kernel, pool_type=0), new_list(kernel, pool_type=1)
        poke(kernel, nonpaged, Depth=250)
        poke(kernel, paged, Depth=250)
        for seconds in steps:
            kernel.tick(seconds)
        depths.append((nonpaged.depth, paged.depth, kernel.seconds))
    assert depths == [(210, 220, 10)] * 4


def test_all_lists_of_a_kind_are_scanned_in_one_second(kernel: Kernel) -> None:
    lists = [new_list(kernel, pool_type=pool_type) for pool_type in (0, 0x200, 32, 1, 33)]
    for lookaside in lists:
        poke(kernel, lookaside, Depth=100)
    kernel.tick()
    assert [each.depth for each in lists] == [90, 90, 90, 100, 100]
    kernel.tick()
    assert [each.depth for each in lists] == [90, 90, 90, 90, 90]


def test_a_list_made_between_scans_waits_for_its_second(kernel: Kernel) -> None:
    kernel.tick()
    late = new_list(kernel)
    poke(kernel, late, Depth=100)
    kernel.tick(2)
    assert late.depth == 100
    kernel.tick()
    assert late.depth == 90


@pytest.mark.parametrize("embedded", [False, True])
def test_a_scan_samples_the_counters(kernel: Kernel, embedded: bool) -> None:
    block = kernel.pool.allocate(0, 0x100, b"DExt") if embedded else None
    lookaside = new_list(kernel, address=block, size=16, tag=b"tune")
    for _ in range(80):
        lookaside.allocate()
    assert (lookaside.last_total_allocates, lookaside.last_allocate_misses) == (0, 0)
    kernel.tick()
    assert (lookaside.last_total_allocates, lookaside.last_allocate_misses) == (80, 80)
    assert lookaside.depth == 34
    entry = lookaside.allocate()
    for _ in range(100):
        lookaside.free(entry)
        lookaside.allocate()
    kernel.tick(3)
    assert (lookaside.last_total_allocates, lookaside.last_allocate_misses) == (181, 81)
    # 101 allocations, 1 miss: 9 a thousand, room 222, 0 + 5 entries.
    assert lookaside.depth == 39
    kernel.tick(3)
    assert lookaside.depth == 29
    assert lookaside.total_allocates == 181


@pytest.mark.parametrize("allocates", [74, 75])
def test_the_rate_boundary_by_allocating(kernel: Kernel, allocates: int) -> None:
    lookaside = new_list(kernel)
    for _ in range(allocates):
        lookaside.allocate()
    kernel.tick(3)
    assert lookaside.depth == (34 if allocates == 75 else 4)


def test_a_disabled_list_is_sampled_but_not_moved(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    poke(kernel, lookaside, Depth=60, MaximumDepth=0xFFFF)
    for _ in range(90):
        lookaside.allocate()
    kernel.tick(3)
    assert lookaside.depth == 60
    assert (lookaside.last_total_allocates, lookaside.last_allocate_misses) == (90, 90)
    kernel.tick(3)
    assert lookaside.depth == 60


def test_counters_may_wrap_between_scans(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    start = ULONG - 50
    poke(kernel, lookaside, TotalAllocates=start, AllocateMisses=start)
    poke(kernel, lookaside, LastTotalAllocates=start, LastAllocateMisses=start)
    for _ in range(100):
        lookaside.allocate()
    assert (lookaside.total_allocates, lookaside.allocate_misses) == (50, 50)
    kernel.tick()
    assert lookaside.depth == 34  # 100 allocations, not minus four thousand million
    assert (lookaside.last_total_allocates, lookaside.last_allocate_misses) == (50, 50)


@pytest.mark.parametrize("embedded", [False, True])
@given(
    arch=st.sampled_from(["x64", "x86"]),
    depth=st.integers(0, 0xFFFF),
    maximum=st.one_of(st.integers(0, 0xFFFF), st.sampled_from([256, 1024, 0xFFFF])),
    total=st.integers(0, ULONG - 1),
    last_total=st.integers(0, ULONG - 1),
    misses=st.integers(0, ULONG - 1),
    last_misses=st.integers(0, ULONG - 1),
)
def test_any_fields_are_scanned_by_the_rule(
    embedded: bool,
    arch: str,
    depth: int,
    maximum: int,
    total: int,
    last_total: int,
    misses: int,
    last_misses: int,
) -> None:
    kernel = Kernel(arch)
    block = kernel.pool.allocate(0, 0x100, b"DExt") if embedded else None
    lookaside = new_list(kernel, address=block, size=16, tag=b"tune")
    poke(kernel, lookaside, Depth=depth, MaximumDepth=maximum)
    poke(kernel, lookaside, TotalAllocates=total, AllocateMisses=misses)
    poke(kernel, lookaside, LastTotalAllocates=last_total, LastAllocateMisses=last_misses)
    kernel.tick()
    assert lookaside.depth == restated(
        depth, maximum, (total - last_total) % ULONG, (misses - last_misses) % ULONG
    )
    assert (lookaside.last_total_allocates, lookaside.last_allocate_misses) == (total, misses)
    assert (lookaside.total_allocates, lookaside.allocate_misses) == (total, misses)


def test_the_depth_settles(kernel: Kernel) -> None:
    # A load of eight entries at a time: the list grows until it holds them, then shrinks by
    # one entry a scan until they miss again.
    lookaside = new_list(kernel)
    depths = []
    for _ in range(60):
        for _ in range(100):
            fill(lookaside, 8)
        kernel.tick(3)
        depths.append(lookaside.depth)
    # At depth 7 one of eight misses: 125 a thousand, room 249, 15 + 5 entries.
    assert depths == [34, *range(39, 6, -1), *range(27, 6, -1), *range(27, 22, -1)]


def test_entries_above_a_lowered_depth_leave_over_time(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    poke(kernel, lookaside, Depth=20)
    fill(lookaside, 20)
    kernel.tick(6)
    assert (lookaside.depth, lookaside.current_depth) == (4, 20)
    lookaside.free(lookaside.allocate())
    assert (lookaside.current_depth, lookaside.free_misses) == (19, 1)


# --- Kernel.tick -------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-1, -100])
def test_time_does_not_run_backwards(kernel: Kernel, seconds: int) -> None:
    lookaside = new_list(kernel)
    poke(kernel, lookaside, Depth=100)
    with pytest.raises(ValueError, match=f"seconds.{seconds}"):
        kernel.tick(seconds)
    assert (lookaside.depth, kernel.seconds) == (100, 0)


@pytest.mark.parametrize("seconds", [1.0, "1", None])
def test_time_is_whole_seconds(kernel: Kernel, seconds: object) -> None:
    with pytest.raises(TypeError):
        kernel.tick(seconds)  # type: ignore[arg-type]
    assert kernel.seconds == 0


def test_no_time_changes_nothing(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    poke(kernel, lookaside, Depth=100)
    kernel.tick(0)
    assert (lookaside.depth, kernel.seconds) == (100, 0)


@pytest.mark.parametrize("processors", [1, 3])
def test_seconds_in_which_nothing_happens_are_passed_over(processors: int) -> None:
    def make() -> tuple[Kernel, LookasideList]:
        kernel = Kernel(processors=processors, small_pool_lists=True)
        lookaside = kernel.lookaside_list()
        lookaside.initialize(size=64, tag=b"tseT")
        assert kernel.io_lists.pairs
        for _ in range(500):
            lookaside.allocate()
        timer = kernel.pool.allocate(0, 64, b"tseT")
        assert timer is not None
        kernel.objects.initialize_timer(timer)
        kernel.objects.set_timer(timer, 900)
        return kernel, lookaside

    (one, one_list), (other, other_list) = make(), make()
    one.tick(1000)
    for _ in range(1000):
        other.tick()
    assert_same(one, other)
    for _ in range(500):
        one_list.allocate()
        other_list.allocate()
    one.tick(2)
    other.tick()
    other.tick()
    assert_same(one, other)
    assert not one.objects.timers


def test_any_number_of_seconds_passes() -> None:
    kernel = Kernel(small_pool_lists=True)
    kernel.tick(1 << 40)
    assert kernel.seconds == 1 << 40

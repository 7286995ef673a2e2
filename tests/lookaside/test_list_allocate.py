"""Allocate and free in correct use: hits and misses, counters, and at which IRQL."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideList,
    windbg,
)
from tests.helpers import counters, fill, poke, take, where

COUNTERS = ("TotalAllocates", "AllocateMisses", "TotalFrees", "FreeMisses")


# --- hits, misses, limits ----------------------------------------------------------------


def test_an_empty_list_misses_and_a_filled_one_hits(lookaside: LookasideList) -> None:
    entries = take(lookaside, 3)
    assert counters(lookaside) == (3, 3, 0, 0)
    for entry in entries:
        lookaside.free(entry)
    assert counters(lookaside) == (3, 3, 3, 0)
    assert take(lookaside, 3) == entries[::-1]
    assert counters(lookaside) == (6, 3, 3, 0)
    assert lookaside.current_depth == 0


def test_a_full_list_gives_to_the_pool(kernel: Kernel, lookaside: LookasideList) -> None:
    entries = fill(lookaside, 6)
    assert counters(lookaside) == (6, 6, 6, 2)
    assert lookaside.current_depth == 4
    live = [kernel.pool.query(entry) is not None for entry in entries]
    assert live == [True] * 4 + [False] * 2
    usage = kernel.pool.usage(b"list")
    assert (usage.nonpaged_allocs, usage.nonpaged_frees) == (6, 2)


def test_a_lowered_depth_keeps_the_entries_that_are_there(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    entries = take(lookaside, 5)
    for entry in entries[:4]:
        lookaside.free(entry)
    windbg.set_depth(lookaside, 2)
    assert lookaside.current_depth == 4
    lookaside.free(entries[4])
    assert lookaside.free_misses == 1
    assert take(lookaside, 4) == entries[3::-1]


def test_the_invariant_holds(lookaside: LookasideList) -> None:
    held: list[int] = []
    for step in range(200):
        if step % 7 in (0, 1, 2, 5) or not held:
            held += take(lookaside, 1)
        else:
            lookaside.free(held.pop(step % len(held)))
        allocates, misses, frees, free_misses = counters(lookaside)
        assert lookaside.current_depth == (frees - free_misses) - (allocates - misses)


def test_a_failed_miss_is_counted(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"fail", allocate=lambda *_: None)
    assert blank.allocate() is None
    assert counters(blank) == (1, 1, 0, 0)


# --- ULONG counters ----------------------------------------------------------------------


def test_counters_wrap_on_hits_and_misses(kernel: Kernel, lookaside: LookasideList) -> None:
    for name in COUNTERS:
        poke(kernel, lookaside, **{name: 0xFFFF_FFFE})
    entries = take(lookaside, 3)  # misses
    assert counters(lookaside) == (1, 1, 0xFFFF_FFFE, 0xFFFF_FFFE)
    for entry in entries:
        lookaside.free(entry)  # hits
    assert counters(lookaside) == (1, 1, 1, 0xFFFF_FFFE)
    poke(kernel, lookaside, TotalAllocates=0xFFFF_FFFF)
    assert take(lookaside, 2) == entries[:0:-1]  # hits
    assert counters(lookaside) == (1, 1, 1, 0xFFFF_FFFE)
    windbg.set_depth(lookaside, 0)
    for entry in entries[1:]:
        lookaside.free(entry)  # misses
    assert counters(lookaside) == (1, 1, 3, 0)
    lookaside.free(lookaside.allocate())
    assert counters(lookaside) == (2, 1, 4, 1)


def test_wrapped_counters_lie_wrapped_in_memory(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    for name in COUNTERS:
        poke(kernel, lookaside, **{name: 0xFFFF_FFFF})
    windbg.set_depth(lookaside, 0)
    lookaside.free(lookaside.allocate())
    for name in COUNTERS:
        raw = kernel.read(lookaside.address + where(arch, name)[0], 4)
        assert raw == bytes(4), name


@pytest.mark.parametrize("name", COUNTERS)
def test_counters_are_independent(kernel: Kernel, lookaside: LookasideList, name: str) -> None:
    poke(kernel, lookaside, **{name: 0x8000_0000})
    index = COUNTERS.index(name)
    expected = [0, 0, 0, 0]
    expected[index] = 0x8000_0000
    assert list(counters(lookaside)) == expected
    fill(lookaside, 6)
    take(lookaside, 2)
    expected = [count + moved for count, moved in zip(expected, (8, 6, 6, 2), strict=True)]
    assert list(counters(lookaside)) == expected


# --- IRQL: the list itself checks nothing ------------------------------------------------


@pytest.mark.parametrize(("pool_type", "highest"), [(0, 2), (0x200, 2), (1, 1)])
def test_misses_are_allowed_up_to_the_pools_irql(
    kernel: Kernel, blank: LookasideList, pool_type: int, highest: int
) -> None:
    blank.initialize(pool_type=pool_type, size=32, tag=b"irql")
    with kernel.raise_irql(highest):
        fill(blank, 6)
    assert counters(blank) == (6, 6, 6, 2)


@pytest.mark.parametrize(("pool_type", "level"), [(0, 3), (0x200, 15), (1, 2), (1, 15)])
def test_hits_are_possible_at_any_irql(
    kernel: Kernel, blank: LookasideList, pool_type: int, level: int
) -> None:
    blank.initialize(pool_type=pool_type, size=32, tag=b"irql")
    entries = take(blank, 3)
    with kernel.raise_irql(level):
        for entry in entries:
            blank.free(entry)
        assert take(blank, 3) == entries[::-1]
    assert kernel.bugcheck is None


@pytest.mark.parametrize(("pool_type", "level"), [(0, 3), (0x200, 15), (1, 2), (1, 15)])
@pytest.mark.parametrize("operation", ["allocate", "free"])
def test_the_pool_stops_a_miss_above_its_irql(
    kernel: Kernel, blank: LookasideList, pool_type: int, level: int, operation: str
) -> None:
    blank.initialize(pool_type=pool_type, size=32, tag=b"irql")
    (entry,) = take(blank, 1)
    windbg.set_depth(blank, 0)
    kernel.raise_irql(level)
    with pytest.raises(BugCheck) as stop:
        blank.allocate() if operation == "allocate" else blank.free(entry)
    assert stop.value.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.value.parameters[:2] == (8 if operation == "allocate" else 9, level)
    moved = (2, 2, 0, 0) if operation == "allocate" else (1, 1, 1, 1)
    assert counters(blank) == moved

"""The routines of a list: what they are told, what they may do, and pointers written over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    Kernel,
    LookasideList,
    PoolTag,
    PoolType,
    windbg,
)
from tests.helpers import (
    allocated,
    both_machines,
    counters,
    fill,
    new_list,
    read_pointer,
    take,
    violation_of,
    where,
    write_pointer,
)


class Routines:
    """Records what the routines of a list are called with."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.allocated: list[tuple[PoolType, int, PoolTag, LookasideList]] = []
        self.freed: list[tuple[int, LookasideList]] = []

    def allocate(
        self, pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
    ) -> int | None:
        self.allocated.append((pool_type, size, tag, lookaside))
        return self.kernel.pool.allocate(pool_type, size, tag)

    def free(self, entry: int, lookaside: LookasideList) -> None:
        self.freed.append((entry, lookaside))
        self.kernel.pool.free(entry)


@pytest.mark.parametrize(("flags", "merged"), [(0, 0x201), (1, 0x211), (2, 0x209)])
def test_the_routines_get_the_documented_arguments(
    kernel: Kernel, blank: LookasideList, flags: int, merged: int
) -> None:
    routines = Routines(kernel)
    blank.initialize(
        pool_type=0x201,
        size=3,
        tag=b"cust",
        flags=flags,
        allocate=routines.allocate,
        free=routines.free,
    )
    entries = take(blank, 5)
    size = kernel.arch.pointer_size
    assert routines.allocated == [(merged, size, PoolTag(b"cust"), blank)] * 5
    assert {type(each[0]) for each in routines.allocated} == {PoolType}
    assert {type(each[2]) for each in routines.allocated} == {PoolTag}
    for entry in entries:
        blank.free(entry)
    assert routines.freed == [(entries[4], blank)]
    blank.flush()
    assert routines.freed == [(entry, blank) for entry in [entries[4], *entries[3::-1]]]
    assert counters(blank) == (5, 5, 5, 1)


def test_only_one_routine_may_be_custom(kernel: Kernel, blank: LookasideList) -> None:
    routines = Routines(kernel)
    blank.initialize(size=32, tag=b"half", free=routines.free)
    entries = fill(blank, 5)
    assert routines.freed == [(entries[4], blank)]
    blank.delete()
    blank.initialize(size=32, tag=b"half", allocate=routines.allocate)
    blank.free(blank.allocate())
    blank.delete()
    assert len(routines.allocated) == 1
    assert len(routines.freed) == 5


@pytest.mark.parametrize("returned", [None, 0])
def test_null_from_a_routine_is_none(blank: LookasideList, returned: int | None) -> None:
    blank.initialize(size=32, tag=b"null", allocate=lambda *_: returned)
    assert blank.allocate() is None
    assert counters(blank) == (1, 1, 0, 0)


def test_a_routine_may_return_any_memory(kernel: Kernel, blank: LookasideList) -> None:
    memory = allocated(kernel, 0x100, b"slab")
    pieces = [memory + 0x40 * i for i in range(4)]
    slices = iter(pieces)
    blank.initialize(size=32, tag=b"slab", allocate=lambda *_: next(slices))
    assert take(blank, 4) == pieces
    for piece in pieces:
        blank.free(piece)
    assert take(blank, 4) == pieces[::-1]


def test_a_routine_may_use_the_same_list(kernel: Kernel, blank: LookasideList) -> None:
    depths: list[int] = []

    def allocate(
        pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
    ) -> int | None:
        depths.append(lookaside.total_allocates)
        if len(depths) < 3:
            return lookaside.allocate()
        return kernel.pool.allocate(pool_type, size, tag)

    def free(entry: int, lookaside: LookasideList) -> None:
        windbg.set_depth(lookaside, lookaside.depth + 1)
        lookaside.free(entry)

    blank.initialize(size=32, tag=b"reen", allocate=allocate, free=free)
    (entry,) = take(blank, 1)
    assert depths == [1, 2, 3]
    assert counters(blank) == (3, 3, 0, 0)
    windbg.set_depth(blank, 0)
    blank.free(entry)
    assert counters(blank) == (3, 3, 2, 1)
    assert (blank.depth, blank.current_depth) == (1, 1)
    assert blank.allocate() == entry


def test_a_routine_may_initialize_another_list(kernel: Kernel, blank: LookasideList) -> None:
    other = LookasideList(kernel)

    def allocate(
        pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
    ) -> int | None:
        if not other.is_active:
            other.initialize(size=size, tag=tag)
        return other.allocate()

    blank.initialize(size=32, tag=b"nest", allocate=allocate)
    (entry,) = take(blank, 1)
    assert kernel.lookaside_lists == [blank, other]
    assert (other.total_allocates, entry) == (1, entry)
    assert kernel.pool.query(entry) is not None


class RoutineError(Exception):
    """What a driver's routine raises."""


def test_an_exception_of_a_routine_passes_and_the_call_is_counted(
    kernel: Kernel, blank: LookasideList
) -> None:
    def allocate(*_: object) -> int:
        raise RoutineError("allocate")

    def free(*_: object) -> None:
        raise RoutineError("free")

    blank.initialize(size=32, tag=b"exce", allocate=allocate, free=free)
    with pytest.raises(RoutineError, match="allocate"):
        blank.allocate()
    assert counters(blank) == (1, 1, 0, 0)
    block = kernel.pool.allocate(0, 32, b"exce")
    windbg.set_depth(blank, 0)
    with pytest.raises(RoutineError, match="free"):
        blank.free(block)
    assert counters(blank) == (1, 1, 1, 1)
    assert blank.is_active
    windbg.set_depth(blank, 4)
    blank.free(block)
    assert blank.allocate() == block


def test_overwritten_routine_pointers_are_called(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    routines = Routines(kernel)
    donor = new_list(
        kernel, size=64, tag=b"dnor", allocate=routines.allocate, free=routines.free
    )
    for field in ("AllocateEx", "FreeEx"):
        routine = read_pointer(kernel, donor.address + where(arch, field)[0])
        write_pointer(kernel, lookaside.address + where(arch, field)[0], routine)
    windbg.set_depth(lookaside, 0)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    assert routines.allocated == [(0, 48, PoolTag(b"list"), lookaside)]
    assert routines.freed == [(entry, lookaside)]


def test_the_default_routines_written_back_are_the_defaults(
    kernel: Kernel, blank: LookasideList, arch: str
) -> None:
    routines = Routines(kernel)
    blank.initialize(size=32, tag=b"back", allocate=routines.allocate, free=routines.free)
    donor = new_list(kernel, size=64, tag=b"dnor")
    for field in ("AllocateEx", "FreeEx"):
        routine = read_pointer(kernel, donor.address + where(arch, field)[0])
        write_pointer(kernel, blank.address + where(arch, field)[0], routine)
    windbg.set_depth(blank, 0)
    (entry,) = take(blank, 1)
    blank.free(entry)
    assert (routines.allocated, routines.freed) == ([], [])
    assert kernel.pool.query(entry) is None


CALLERS: dict[str, Callable[[LookasideList, int], object]] = {
    "allocate": lambda lookaside, entry: lookaside.allocate(),
    "free": lambda lookaside, entry: lookaside.free(entry),
    "flush": lambda lookaside, entry: lookaside.flush(),
}


@pytest.mark.parametrize("target", [0, 0x4141_4140])
@pytest.mark.parametrize("caller", CALLERS)
def test_a_routine_pointer_to_nowhere_is_executed(
    kernel: Kernel, lookaside: LookasideList, arch: str, caller: str, target: int
) -> None:
    (entry,) = take(lookaside, 1)
    offset, _ = where(arch, "AllocateEx" if caller == "allocate" else "FreeEx")
    write_pointer(kernel, lookaside.address + offset, target)
    if caller == "flush":
        lookaside.free(entry)
    else:
        windbg.set_depth(lookaside, 0)
    assert violation_of(lambda: CALLERS[caller](lookaside, entry)) == (8, target)


def test_an_uninitialized_list_calls_null(kernel: Kernel, blank: LookasideList) -> None:
    assert violation_of(blank.allocate) == (8, 0)
    assert counters(blank) == (1, 1, 0, 0)


def test_a_free_to_an_uninitialized_list_calls_null(
    kernel: Kernel, blank: LookasideList
) -> None:
    block = kernel.pool.allocate(0, 32, b"strn")
    assert violation_of(lambda: blank.free(block)) == (8, 0)
    assert counters(blank) == (0, 0, 1, 1)


def test_a_flush_of_an_uninitialized_list_finds_nothing(blank: LookasideList) -> None:
    blank.flush()
    assert bytes(blank) == bytes(blank.image_size)


@both_machines
def test_ex_lists_of_x86_have_defaults_of_their_own(arch: str) -> None:
    kernel = Kernel(arch)
    newer, older = LookasideList(kernel), LookasideList(kernel)
    newer.initialize(size=32, tag=b"List")
    older.initialize_older(pool_type=0, size=32, tag=b"List")
    assert (newer.allocate_ex == older.allocate_ex) is (arch == "x64")
    assert (newer.free_ex == older.free_ex) is (arch == "x64")
    for lookaside in (newer, older):
        assert lookaside.has_default_routines
        entries = [lookaside.allocate() for _ in range(6)]
        for entry in entries:
            lookaside.free(entry)
        assert (lookaside.current_depth, lookaside.free_misses) == (4, 2)

"""Allocate and free: counters, order, limits, routines, and nothing checked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideList,
    PoolTag,
    PoolType,
    windbg,
)

COUNTERS = ("TotalAllocates", "AllocateMisses", "TotalFrees", "FreeMisses")
OFFSETS = {
    "x64": dict(zip(COUNTERS, (0x14, 0x18, 0x1C, 0x20), strict=True)),
    "x86": dict(zip(COUNTERS, (0x0C, 0x10, 0x14, 0x18), strict=True)),
}
DEPTH = {"x64": 0x10, "x86": 0x08}
ALLOCATE_EX = {"x64": 0x30, "x86": 0x28}
FREE_EX = {"x64": 0x38, "x86": 0x2C}


def counters(lookaside: LookasideList) -> tuple[int, int, int, int]:
    return (
        lookaside.total_allocates,
        lookaside.allocate_misses,
        lookaside.total_frees,
        lookaside.free_misses,
    )


def set_counter(kernel: Kernel, lookaside: LookasideList, name: str, value: int) -> None:
    offset = OFFSETS[lookaside.arch.name][name]
    kernel.write(lookaside.address + offset, value.to_bytes(4, "little"))


def pointer(kernel: Kernel, address: int) -> int:
    return int.from_bytes(kernel.read(address, kernel.arch.pointer_size), "little")


def write_pointer(kernel: Kernel, address: int, value: int) -> None:
    kernel.write(address, value.to_bytes(kernel.arch.pointer_size, "little"))


def take(lookaside: LookasideList, count: int) -> list[int]:
    entries = [lookaside.allocate() for _ in range(count)]
    assert None not in entries
    return [entry for entry in entries if entry is not None]


@pytest.fixture
def lookaside(blank: LookasideList) -> LookasideList:
    """An initialized list in either place."""
    assert blank.initialize(size=32, tag=b"list").is_success
    return blank


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
    entries = take(lookaside, 6)
    for entry in entries:
        lookaside.free(entry)
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


# --- nothing is checked ------------------------------------------------------------------


def test_a_foreign_entry_is_taken(kernel: Kernel, lookaside: LookasideList) -> None:
    block = kernel.pool.allocate(PoolType.PagedPool, 4000, b"forn")
    lookaside.free(block)
    assert counters(lookaside) == (0, 0, 1, 0)
    assert lookaside.allocate() == block


def test_another_lists_entry_is_taken(kernel: Kernel, lookaside: LookasideList) -> None:
    other = LookasideList(kernel)
    other.initialize(pool_type=1, size=100, tag=b"othr")
    (entry,) = take(other, 1)
    lookaside.free(entry)
    assert other.current_depth == 0
    assert lookaside.allocate() == entry
    assert counters(other) == (1, 1, 0, 0)


def test_a_big_block_is_an_entry_like_any_other(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=0x5000, tag=b"bigs")
    a, b = take(blank, 2)
    assert a % 0x1000 == 0
    blank.free(a)
    blank.free(b)
    assert take(blank, 2) == [b, a]
    assert pointer(kernel, b) == a


def test_an_untouched_big_block_freed_first_gets_its_link(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    block = kernel.pool.allocate(0, 0x9000, b"bigs")
    lookaside.free(block)
    assert block is not None
    assert pointer(kernel, block) == 0
    assert lookaside.allocate() == block


# --- custom routines ---------------------------------------------------------------------


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
    entries = take(blank, 5)
    for entry in entries:
        blank.free(entry)
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
    memory = kernel.pool.allocate(0, 0x100, b"slab")
    assert memory is not None
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
    donor = LookasideList(kernel)
    donor.initialize(size=64, tag=b"dnor", allocate=routines.allocate, free=routines.free)
    for offsets in (ALLOCATE_EX, FREE_EX):
        routine = pointer(kernel, donor.address + offsets[arch])
        write_pointer(kernel, lookaside.address + offsets[arch], routine)
    windbg.set_depth(lookaside, 0)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    assert routines.allocated == [(0, 32, PoolTag(b"list"), lookaside)]
    assert routines.freed == [(entry, lookaside)]


def test_the_default_routines_written_back_are_the_defaults(
    kernel: Kernel, blank: LookasideList, arch: str
) -> None:
    routines = Routines(kernel)
    blank.initialize(size=32, tag=b"back", allocate=routines.allocate, free=routines.free)
    donor = LookasideList(kernel)
    donor.initialize(size=64, tag=b"dnor")
    for offsets in (ALLOCATE_EX, FREE_EX):
        routine = pointer(kernel, donor.address + offsets[arch])
        write_pointer(kernel, blank.address + offsets[arch], routine)
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
    offset = (ALLOCATE_EX if caller == "allocate" else FREE_EX)[arch]
    write_pointer(kernel, lookaside.address + offset, target)
    if caller == "flush":
        lookaside.free(entry)
    else:
        windbg.set_depth(lookaside, 0)
    with pytest.raises(BugCheck) as stop:
        CALLERS[caller](lookaside, entry)
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.value.parameters == (target, 0x10, 0, 0)


def test_an_uninitialized_list_calls_null(kernel: Kernel, blank: LookasideList) -> None:
    with pytest.raises(BugCheck) as stop:
        blank.allocate()
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.value.parameters == (0, 0x10, 0, 0)
    assert counters(blank) == (1, 1, 0, 0)


def test_a_free_to_an_uninitialized_list_calls_null(
    kernel: Kernel, blank: LookasideList
) -> None:
    block = kernel.pool.allocate(0, 32, b"strn")
    with pytest.raises(BugCheck) as stop:
        blank.free(block)
    assert stop.value.parameters == (0, 0x10, 0, 0)
    assert counters(blank) == (0, 0, 1, 1)


def test_a_flush_of_an_uninitialized_list_finds_nothing(blank: LookasideList) -> None:
    blank.flush()
    assert bytes(blank) == bytes(blank.image_size)


# --- ULONG counters ----------------------------------------------------------------------


def test_counters_wrap_on_hits_and_misses(kernel: Kernel, lookaside: LookasideList) -> None:
    for name in COUNTERS:
        set_counter(kernel, lookaside, name, 0xFFFF_FFFE)
    entries = take(lookaside, 3)  # misses
    assert counters(lookaside) == (1, 1, 0xFFFF_FFFE, 0xFFFF_FFFE)
    for entry in entries:
        lookaside.free(entry)  # hits
    assert counters(lookaside) == (1, 1, 1, 0xFFFF_FFFE)
    set_counter(kernel, lookaside, "TotalAllocates", 0xFFFF_FFFF)
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
        set_counter(kernel, lookaside, name, 0xFFFF_FFFF)
    windbg.set_depth(lookaside, 0)
    lookaside.free(lookaside.allocate())
    for name in COUNTERS:
        raw = kernel.read(lookaside.address + OFFSETS[arch][name], 4)
        assert raw == bytes(4), name


@pytest.mark.parametrize("name", COUNTERS)
def test_counters_are_independent(kernel: Kernel, lookaside: LookasideList, name: str) -> None:
    set_counter(kernel, lookaside, name, 0x8000_0000)
    index = COUNTERS.index(name)
    expected = [0, 0, 0, 0]
    expected[index] = 0x8000_0000
    assert list(counters(lookaside)) == expected
    entries = take(lookaside, 6)
    for entry in entries:
        lookaside.free(entry)
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
        entries = take(blank, 6)
        for entry in entries:
            blank.free(entry)
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


# --- arguments that no caller could pass -------------------------------------------------

BAD_ENTRIES: list[tuple[object, type[Exception]]] = [
    (-1, ValueError),
    (-16, ValueError),
    (1 << 64, ValueError),
    (1 << 100, ValueError),
    (1.5, TypeError),
    ("entry", TypeError),
    (b"12345678", TypeError),
    (True, TypeError),
    (False, TypeError),
    ([], TypeError),
]


@pytest.mark.parametrize(
    ("entry", "error"), BAD_ENTRIES, ids=[repr(entry) for entry, _ in BAD_ENTRIES]
)
@pytest.mark.parametrize("depth", [0, 4])
def test_what_is_no_address_is_refused_and_not_counted(
    kernel: Kernel,
    lookaside: LookasideList,
    depth: int,
    entry: object,
    error: type[Exception],
) -> None:
    windbg.set_depth(lookaside, depth)
    before = bytes(lookaside)
    with pytest.raises(error):
        lookaside.free(entry)  # type: ignore[arg-type]
    assert bytes(lookaside) == before
    assert kernel.bugcheck is None


def test_an_address_as_a_float_is_refused(kernel: Kernel, lookaside: LookasideList) -> None:
    block = kernel.pool.allocate(0, 0x4000, b"flot")  # page aligned: a float holds it exactly
    assert block is not None
    before = bytes(lookaside)
    with pytest.raises(TypeError, match="entry"):
        lookaside.free(float(block))  # type: ignore[arg-type]
    assert bytes(lookaside) == before


class Address:
    """Not an int, but one for the asking, as numpy's integers are."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.mark.parametrize("depth", [0, 4])
def test_whatever_has_an_index_is_an_address(
    kernel: Kernel, lookaside: LookasideList, depth: int
) -> None:
    (entry,) = take(lookaside, 1)
    windbg.set_depth(lookaside, depth)
    lookaside.free(Address(entry))  # type: ignore[arg-type]
    assert counters(lookaside) == (1, 1, 1, int(depth == 0))
    if depth:
        assert lookaside.allocate() == entry
    else:
        assert kernel.pool.query(entry) is None


@pytest.mark.parametrize(
    ("entry", "code", "parameters"),
    [
        (None, BugCheckCode.BAD_POOL_CALLER, (0x46, 0, 0, 0)),
        (0, BugCheckCode.BAD_POOL_CALLER, (0x46, 0, 0, 0)),
        (0x7000, BugCheckCode.BAD_POOL_CALLER, (0x46, 0x7000, 0, 0)),
    ],
)
def test_a_full_list_gives_the_pool_what_it_gets(
    kernel: Kernel,
    lookaside: LookasideList,
    entry: int | None,
    code: BugCheckCode,
    parameters: tuple[int, int, int, int],
) -> None:
    windbg.set_depth(lookaside, 0)
    with pytest.raises(BugCheck) as stop:
        lookaside.free(entry)
    assert (stop.value.code, stop.value.parameters) == (code, parameters)
    assert counters(lookaside) == (0, 0, 1, 1)


def test_the_header_of_a_low_address_lies_at_the_top_of_memory(
    kernel: Kernel, lookaside: LookasideList, arch: str
) -> None:
    windbg.set_depth(lookaside, 0)
    with pytest.raises(BugCheck) as stop:
        lookaside.free(4)
    header = (4 - {"x64": 16, "x86": 8}[arch]) % (1 << {"x64": 64, "x86": 32}[arch])
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.value.parameters == (header, 0, 0, 0)


def test_a_double_free_to_a_full_list_stops_in_the_pool(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    entry, _keep = take(lookaside, 2)
    windbg.set_depth(lookaside, 0)
    lookaside.free(entry)
    with pytest.raises(BugCheck) as stop:
        lookaside.free(entry)
    assert stop.value.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.value.parameters[0] == 7
    assert stop.value.parameters[3] == entry


# --- against a model ---------------------------------------------------------------------


class Model:
    """Sections 4 and 5 in plain Python, over the pool of a machine of its own."""

    def __init__(self, mirror: Kernel, size: int) -> None:
        self.pool, self.size = mirror.pool, size
        self.entries: list[int] = []
        self.depth = 4
        self.counts = [0, 0, 0, 0]

    def allocate(self) -> int | None:
        self.counts[0] += 1
        if self.entries:
            return self.entries.pop()
        self.counts[1] += 1
        return self.pool.allocate(PoolType.NonPagedPool, self.size, b"modl")

    def free(self, entry: int) -> None:
        self.counts[2] += 1
        if len(self.entries) >= self.depth:
            self.counts[3] += 1
            self.pool.free(entry)
        else:
            self.entries.append(entry)

    def flush(self) -> None:
        entries, self.entries = self.entries, []
        for entry in reversed(entries):
            self.pool.free(entry)


OPERATIONS = st.lists(
    st.one_of(
        st.just(("allocate", 0)),
        st.just(("allocate", 0)),
        st.tuples(st.just("free"), st.integers(0, 50)),
        st.tuples(st.just("free"), st.integers(0, 50)),
        st.tuples(st.sampled_from(["written depth", "set depth"]), st.integers(0, 5)),
        st.just(("flush", 0)),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("arch", ["x64", "x86"])
@given(operations=OPERATIONS, size=st.sampled_from([8, 40, 500, 3000, 9000]))
def test_any_operations_agree_with_the_model(
    arch: str, embedded: bool, operations: list[tuple[str, int]], size: int
) -> None:
    limit = 16 * 4096  # small enough to run out
    kernel, mirror = (Kernel(arch, nonpaged_pool_bytes=limit) for _ in range(2))
    places = [each.pool.allocate(0, 0x200, b"DExt") for each in (kernel, mirror)]
    lookaside = LookasideList(kernel, address=places[0] if embedded else None)
    lookaside.initialize(size=size, tag=b"modl")
    model = Model(mirror, size)
    held: list[int] = []
    for operation, argument in operations:
        if operation == "allocate":
            entry = lookaside.allocate()
            assert entry == model.allocate()
            if entry is not None:
                held.append(entry)
        elif operation == "free" and held:
            entry = held.pop(argument % len(held))
            lookaside.free(entry)
            model.free(entry)
        elif operation == "written depth":
            kernel.write(lookaside.address + DEPTH[arch], argument.to_bytes(2, "little"))
            model.depth = argument
        elif operation == "set depth":
            windbg.set_depth(lookaside, argument)
            model.depth = argument
        elif operation == "flush":
            lookaside.flush()
            model.flush()
        assert list(counters(lookaside)) == model.counts
        assert lookaside.depth == model.depth
        assert lookaside.current_depth == len(model.entries)
        assert list(lookaside.entries()) == model.entries[::-1]
    assert kernel.pool.usage(b"modl") == mirror.pool.usage(b"modl")
    kernel.check()

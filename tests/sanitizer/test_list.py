"""The sanitizer: each misuse of a list told at the call that commits it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideList,
    PoolTag,
    PoolType,
    SanitizerError,
)
from lookaside_sim.sanitizer.list import SanitizedList
from lookaside_sim.sanitizer.records import sanitizer_of
from tests.helpers import allocated, both_machines, new_list, nowhere, take


def report(call: object) -> SanitizerError:
    assert callable(call)
    with pytest.raises(SanitizerError) as caught:
        call()
    return caught.value


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(sanitizer=True)


def test_lists_of_other_kernels_are_plain() -> None:
    assert type(LookasideList(Kernel())) is LookasideList
    assert type(LookasideList(Kernel(sanitizer=True))) is SanitizedList


@given(st.lists(st.sampled_from(["allocate", "free", "flush", "tick"]), max_size=60))
def test_correct_use_does_what_a_plain_list_does(program: list[str]) -> None:
    states = []
    for sanitizer in (False, True):
        kernel = Kernel(sanitizer=sanitizer)
        lookaside = new_list(kernel)
        out: list[int] = []
        for step in program:
            if step == "allocate":
                out += take(lookaside, 1)
            elif step == "free" and out:
                lookaside.free(out.pop())
            elif step == "flush":
                lookaside.flush()
            elif step == "tick":
                kernel.tick(3)
        kernel.check()
        states.append((bytes(lookaside), out))
        for entry in out:
            lookaside.free(entry)
        lookaside.delete()
    assert states[0] == states[1]


def test_double_free(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    before = bytes(lookaside)
    error = report(lambda: lookaside.free(entry))
    assert (error.kind, error.address, error.lookaside) == ("double-free", entry, lookaside)
    assert bytes(lookaside) == before
    assert "take" in error.history[0]
    assert error.history[0] in str(error)


def used(lookaside: LookasideList, entry: int) -> list[str]:
    """Free an entry twice and allocate it again in between; what the second report tells."""
    lookaside.free(entry)
    told = report(lambda: lookaside.free(entry)).history
    assert told[1:] == (f"freed to its list in used ({_line(used, 1)})",)
    assert lookaside.allocate() == entry
    lookaside.free(entry)
    return list(report(lambda: lookaside.free(entry)).history[1:])


def _line(function: Callable[..., object], offset: int) -> str:
    first = function.__code__.co_firstlineno + 1
    return f"test_list.py:{first + offset}"


def test_where_pool_is_tracked_a_report_says_where_the_entry_was_freed() -> None:
    """That the line is not looked for where nobody asked keeps a hit cheap."""
    kernel = Kernel(sanitizer=True, track_pool=True)
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    expected = [
        f"last allocated in used ({_line(used, 4)})",
        f"freed to its list in used ({_line(used, 5)})",
    ]
    assert used(lookaside, entry) == expected
    twin = kernel.clone()
    copy = twin.list_at(lookaside.address)
    assert list(report(lambda: copy.free(entry)).history[1:]) == expected
    lookaside.flush()
    gone = report(lambda: kernel.write(entry, b"x"))
    assert list(gone.history[1:3]) == expected
    assert "by a flush" in gone.history[3]


def test_a_free_that_failed_is_not_told_as_one() -> None:
    kernel = Kernel(sanitizer=True, track_pool=True)
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    kernel.raise_irql(15)
    report(lambda: lookaside.free(entry))
    kernel.lower_irql(0)
    assert "freed to its list" not in str(report(lambda: kernel.pool.free(entry)))


def test_double_free_of_an_entry_that_went_back_to_the_pool(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    entries = take(lookaside, 5)
    for entry in entries:
        lookaside.free(entry)
    error = report(lambda: lookaside.free(entries[-1]))
    assert error.kind == "double-free"
    assert "free to the full list" in error.history[-1]


def test_wrong_list(kernel: Kernel) -> None:
    one, two = new_list(kernel, "one"), new_list(kernel, "two")
    (entry,) = take(one, 1)
    error = report(lambda: two.free(entry))
    assert (error.kind, error.address, error.lookaside) == ("wrong-list", entry, two)
    assert "'one'" in error.message
    one.free(entry)


@pytest.mark.parametrize("offset", [8, 16, 63])
def test_interior_addresses_are_foreign(kernel: Kernel, offset: int) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    error = report(lambda: lookaside.free(entry + offset))
    assert (error.kind, error.address) == ("foreign-entry", entry + offset)
    assert f"{offset} bytes into" in error.message


def test_pool_blocks_and_null_are_foreign(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    block = kernel.pool.allocate(PoolType.NonPagedPool, 64, b"Else")
    assert report(lambda: lookaside.free(block)).kind == "foreign-entry"
    assert report(lambda: lookaside.free(None)).address == 0


def test_what_is_no_address_is_an_error_of_the_caller(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    for bad, error in (("x", TypeError), ([], TypeError), (-1, ValueError)):
        with pytest.raises(error):
            lookaside.free(bad)  # type: ignore[arg-type]
    assert lookaside.total_frees == 0


def test_a_free_entry_is_neither_written_nor_read(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    kernel.write(entry, b"mine")
    lookaside.free(entry)
    kernel.peek(entry, 8)  # looking is no touch
    for address, data in ((entry, b"x"), (entry + 63, b"x"), (entry - 4, b"12345")):
        error = report(lambda address=address, data=data: kernel.write(address, data))
        assert (error.kind, error.address, error.lookaside) == (
            "use-after-free",
            address,
            lookaside,
        )
    for address, size in ((entry, 8), (entry + 63, 1), (entry - 4, 5)):
        error = report(lambda address=address, size=size: kernel.read(address, size))
        assert (error.kind, error.address) == ("use-after-free", address)
        assert "was read in" in error.message
    assert kernel.peek(entry, 8) != [None] * 8  # who only looks is not told
    kernel.read(entry - 8, 8)
    kernel.read(entry, 0)
    assert lookaside.allocate() == entry
    kernel.write(entry, b"mine again")
    assert kernel.read(entry, 4) == b"mine"


def test_writes_to_an_entry_that_went_back_to_the_pool(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    lookaside.flush()
    error = report(lambda: kernel.write(entry, b"x"))
    assert error.kind == "use-after-free"
    assert "by a flush" in error.history[-1]
    assert report(lambda: kernel.read(entry + 8, 1)).kind == "use-after-free"
    assert kernel.pool.allocate(PoolType.NonPagedPool, 64, b"Else") == entry
    kernel.write(entry, b"x")  # somebody else's now


def test_entries_still_out_at_the_delete(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    error = report(lookaside.delete)
    assert (error.kind, error.address) == ("entry-leaked", entry)
    assert lookaside.is_active
    lookaside.free(entry)
    lookaside.delete()


def test_leaving_the_context_reports_leaks_but_hides_no_error(kernel: Kernel) -> None:
    def leak(error: type[Exception] | None) -> None:
        with new_list(kernel) as lookaside:
            lookaside.allocate()
            if error is not None:
                raise error

    assert report(lambda: leak(None)).kind == "entry-leaked"
    with pytest.raises(KeyError):
        leak(KeyError)


def test_a_deleted_list_is_used_no_more(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    lookaside.delete()
    for call in (
        lookaside.allocate,
        lookaside.flush,
        lookaside.delete,
        lambda: lookaside.free(0x1000),
    ):
        error = report(call)
        assert error.kind == "deleted-list"
        assert "it was deleted" in error.message
    assert "never initialized" in report(LookasideList(kernel).allocate).message
    assert lookaside.initialize(size=64, tag=b"List").is_success
    lookaside.free(lookaside.allocate())


@pytest.mark.parametrize(
    ("pool_type", "highest"), [(PoolType.PagedPool, 1), (PoolType.NonPagedPool, 2)]
)
def test_each_pool_has_its_highest_irql(
    kernel: Kernel, pool_type: PoolType, highest: int
) -> None:
    lookaside = new_list(kernel, pool_type=pool_type)
    with kernel.raise_irql(highest):
        (entry,) = take(lookaside, 1)
        lookaside.free(entry)
        (held,) = take(lookaside, 1)
    with kernel.raise_irql(highest + 1):
        for call in (
            lookaside.allocate,
            lookaside.flush,
            lookaside.delete,
            lambda: lookaside.free(held),
        ):
            assert report(call).kind == "irql"
    lookaside.free(held)


def test_a_stopped_machine_stays_stopped(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    with pytest.raises(BugCheck):
        kernel.read(nowhere(kernel), 1)
    for call in (lookaside.allocate, lookaside.flush):
        with pytest.raises(BugCheck):
            call()


def test_entries_of_custom_routines_are_known_too(kernel: Kernel) -> None:
    base = allocated(kernel, 4096, b"Slab")
    given_out = iter(range(base, base + 4096, 64))
    returned: list[int] = []

    def allocate(pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList) -> int:
        return next(given_out)

    def free(entry: int, of: LookasideList) -> None:
        returned.append(entry)

    lookaside = new_list(kernel, size=64, tag=b"List", allocate=allocate, free=free)
    first, second = take(lookaside, 2)
    lookaside.free(first)
    assert report(lambda: lookaside.free(first)).kind == "double-free"
    assert report(lambda: kernel.write(second - 1, b"12")).kind == "use-after-free"
    kernel.write(second, b"fine")
    lookaside.free(second)
    lookaside.delete()
    assert returned == [second, first]


def test_a_failed_free_leaves_the_entry_out(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    entries = take(lookaside, 5)
    for entry in entries[:4]:
        lookaside.free(entry)
    kernel.write(entries[4] + 64, b"\xff" * 4)  # the header behind it
    with pytest.raises(BugCheck):
        lookaside.free(entries[4])


def test_exhaustion_is_null(kernel: Kernel) -> None:
    small = Kernel(nonpaged_pool_bytes=4096, sanitizer=True)
    lookaside = new_list(small, size=2000)
    assert [lookaside.allocate() is None for _ in range(3)] == [False, False, True]
    assert isinstance(lookaside, SanitizedList)
    assert len(lookaside.live_entries) == 2


def test_entries_across_pages_and_forgotten_ones(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookaside_sim.sanitizer.records._MOST_RETIRED", 1)
    lookaside = new_list(kernel, size=5000)
    entries = take(lookaside, 3)
    for entry in entries:
        lookaside.free(entry)
    assert report(lambda: kernel.write(entries[0] + 4999, b"x")).kind == "use-after-free"
    lookaside.flush()
    assert kernel.sanitizer is not None
    assert list(kernel.sanitizer.retired) == [entries[0]]
    kernel.write(lookaside.address, bytes(lookaside))  # no entry: nothing to report


def test_a_list_that_nobody_listens_to_any_more(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    kernel.memory.stop_caching()
    assert lookaside.allocate() == entry
    lookaside.free(entry)
    assert report(lambda: lookaside.free(entry)).kind == "double-free"


def test_entries_left_when_an_exception_leaves_the_context(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    with pytest.raises(KeyError), lookaside:
        raise KeyError
    assert not lookaside.is_active
    assert kernel.sanitizer is not None
    assert entry in kernel.sanitizer.retired
    with lookaside:
        pass


def test_a_view_of_wider_items_is_as_long_as_its_bytes() -> None:
    kernel = Kernel(sanitizer=True)
    lookaside = kernel.lookaside_list()
    lookaside.initialize(size=64, tag=b"tseT")
    entry, other = lookaside.allocate(), lookaside.allocate()
    assert entry is not None
    assert other is not None
    low, high = sorted((entry, other))
    lookaside.free(high)
    wide = memoryview(bytes(high - low + 8)).cast("Q")  # reaches into the free entry
    with pytest.raises(SanitizerError, match="use-after-free"):
        kernel.write(low, wide)  # type: ignore[arg-type]


# --- the structure ---------------------------------------------------------------------------------


def test_an_active_list_is_not_initialized_again(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    before = bytes(lookaside)
    error = report(lambda: lookaside.initialize(size=32, tag=b"agin"))
    assert (error.kind, error.address) == ("initialized-twice", lookaside.address)
    assert bytes(lookaside) == before
    lookaside.free(entry)
    lookaside.delete()
    assert lookaside.initialize(size=32, tag=b"agin").is_success


def test_a_status_comes_before_any_report(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    assert not lookaside.initialize(size=32, tag=b"agin", flags=3).is_success


@pytest.mark.parametrize(
    ("pool_type", "level", "ceiling"), [(1, 2, 1), (0, 3, 2), (0x200, 15, 2)]
)
def test_a_list_is_initialized_at_a_low_irql(
    kernel: Kernel, pool_type: int, level: int, ceiling: int
) -> None:
    blank = LookasideList(kernel)
    with kernel.raise_irql(level):
        error = report(lambda: blank.initialize(pool_type=pool_type, size=32, tag=b"irql"))
    assert error.kind == "irql"
    assert f"and {ceiling} is the highest" in error.message
    assert not blank.is_active
    with kernel.raise_irql(ceiling):
        assert blank.initialize(pool_type=pool_type, size=32, tag=b"irql").is_success


@pytest.mark.parametrize("pool_type", [0, 1, 0x200])
def test_a_structure_lies_in_nonpaged_memory(kernel: Kernel, pool_type: int) -> None:
    block = kernel.pool.allocate(pool_type, 0x100, b"strc")
    lookaside = LookasideList(kernel, "list", block)
    if pool_type == 1:
        error = report(lambda: lookaside.initialize(size=32, tag=b"List"))
        assert (error.kind, error.address) == ("paged-list", block)
        assert not lookaside.is_active
    else:
        assert lookaside.initialize(size=32, tag=b"List").is_success


def test_a_block_is_not_freed_while_a_list_in_it_is_active(kernel: Kernel) -> None:
    block = kernel.pool.allocate(0, 0x200, b"strc")
    other = kernel.pool.allocate(0, 0x200, b"strc")
    assert block is not None
    lookaside = LookasideList(kernel, "list", block + 0x80)
    lookaside.initialize(size=32, tag=b"List")
    kernel.pool.free(other)
    error = report(lambda: kernel.pool.free(block))
    assert (error.kind, error.address, error.lookaside) == ("freed-list", block, lookaside)
    assert kernel.pool.query(block) is not None
    lookaside.delete()
    kernel.pool.free(block)
    kernel.check()


# --- entries, freed as pool ------------------------------------------------------------------------


@pytest.mark.parametrize("out", [True, False])
def test_an_entry_is_not_freed_to_the_pool(kernel: Kernel, out: bool) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    if not out:
        lookaside.free(entry)
    error = report(lambda: kernel.pool.free(entry))
    assert (error.kind, error.address, error.lookaside) == ("freed-entry", entry, lookaside)
    assert ("is out" in error.message) is out
    assert "first allocated in" in error.history[0]
    if not out:
        assert lookaside.allocate() == entry
    lookaside.free(entry)
    lookaside.delete()
    kernel.check()


def test_entries_of_a_deleted_list_may_be_freed_to_the_pool(kernel: Kernel) -> None:
    made = new_list(kernel)
    (entry,) = take(made, 1)
    with pytest.raises(KeyError), made:
        raise KeyError
    kernel.pool.free(entry)
    kernel.check()


# --- what is no call of a list's -----------------------------------------------------------


def test_reads_of_a_free_entry_are_found_at_the_read(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    kernel.read(entry, 8)
    lookaside.free(entry)
    error = report(lambda: kernel.read(entry + 8, 4))
    assert (error.kind, error.address) == ("use-after-free", entry + 8)
    assert "was read in" in error.message
    lookaside.flush()
    assert "given back to the pool" in report(lambda: kernel.read(entry, 1)).message


def test_an_entry_that_is_freed_to_the_pool(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    out, free = take(lookaside, 2)
    lookaside.free(free)
    for entry, state in ((out, "is out"), (free, "lies free on the list")):
        error = report(lambda entry=entry: kernel.pool.free(entry))
        assert (error.kind, error.address, error.lookaside) == ("freed-entry", entry, lookaside)
        assert state in error.message
        assert "first allocated in" in error.history[0]
    assert kernel.pool.find(out) is not None
    lookaside.free(out)
    lookaside.delete()


def test_a_block_that_is_freed_with_an_active_list_in_it(kernel: Kernel) -> None:
    block = kernel.pool.allocate(512, 0x200, b"DExt")
    assert block is not None
    lookaside = kernel.lookaside_list("in block", block + 0x40)
    lookaside.initialize(size=32, tag=b"Item")
    other = kernel.pool.allocate(512, 0x40, b"Else")
    kernel.pool.free(other)
    error = report(lambda: kernel.pool.free(block))
    assert (error.kind, error.address, error.lookaside) == ("freed-list", block, lookaside)
    lookaside.delete()
    kernel.pool.free(block)


def test_a_list_that_is_initialized_twice(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    error = report(lambda: lookaside.initialize(size=32, tag=b"Item"))
    assert (error.kind, error.address) == ("initialized-twice", lookaside.address)
    assert not lookaside.initialize(size=32, tag=b"Item", depth=7).is_success
    lookaside.delete()
    assert lookaside.initialize(size=32, tag=b"Item").is_success


def test_a_structure_in_paged_pool(kernel: Kernel) -> None:
    block = kernel.pool.allocate(1, 0x100, b"DExt")
    assert block is not None
    lookaside = kernel.lookaside_list("paged", block)
    error = report(lambda: lookaside.initialize(pool_type=1, size=32, tag=b"Item"))
    assert (error.kind, error.address) == ("paged-list", block)
    assert not lookaside.is_active


def test_a_list_that_is_initialized_at_too_high_an_irql(kernel: Kernel) -> None:
    paged, nonpaged = kernel.lookaside_list("paged"), kernel.lookaside_list("nonpaged")
    with kernel.raise_irql(2):
        error = report(lambda: paged.initialize(pool_type=1, size=32, tag=b"Item"))
        assert (error.kind, error.address) == ("irql", paged.address)
        assert nonpaged.initialize(size=32, tag=b"Item").is_success
    with kernel.raise_irql(3):
        blank = kernel.lookaside_list("high")
        assert report(lambda: blank.initialize(size=32, tag=b"Item")).kind == "irql"
    assert not paged.is_active


@both_machines
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("custom", [False, True])
def test_a_structure_holds_what_a_plain_lists_does(
    arch: str, older: bool, custom: bool
) -> None:
    held = []
    for sanitizer in (False, True):
        lookaside = LookasideList(Kernel(arch, sanitizer=sanitizer), older=older)
        if older:
            lookaside.initialize_older(pool_type=0, size=32, tag=1)
        elif custom:
            lookaside.initialize(size=32, tag=1, allocate=lambda *_: None, free=lambda *_: None)
        else:
            lookaside.initialize(size=32, tag=1)
        held.append(bytes(lookaside))
    assert held[0] == held[1]


def test_links_that_were_written_are_followed(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    entries = take(lookaside, 3)
    for entry in entries:
        lookaside.free(entry)
    kernel.memory.write_pointer(entries[2], entries[0])  # jumps over the second
    assert [lookaside.allocate() for _ in range(2)] == [entries[2], entries[0]]
    assert lookaside.allocate() not in entries[:1] + entries[2:]
    assert lookaside.allocate_misses == 4


class _Address(int):
    """An integer of somebody else's."""


@pytest.mark.parametrize("settled", [False, True])
def test_numbers_that_equal_an_entry_are_none_of_it(kernel: Kernel, settled: bool) -> None:
    lookaside = new_list(kernel)
    assert isinstance(lookaside, SanitizedList)
    (entry,) = take(lookaside, 1)
    if settled:  # the list has handed it out before
        lookaside.free(entry)
        assert lookaside.allocate() == entry
    before = bytes(lookaside)
    with pytest.raises(TypeError, match="entry"):
        lookaside.free(Decimal(entry))  # type: ignore[arg-type]
    assert [type(each) for each in lookaside.live_entries] == [int]
    assert bytes(lookaside) == before
    lookaside.free(_Address(entry))
    assert not lookaside.live_entries
    assert type(lookaside.allocate()) is int


def test_an_entry_that_a_written_link_leads_to_is_adopted_once() -> None:
    kernel = Kernel(sanitizer=True, track_pool=True)
    lookaside, block = new_list(kernel), allocated(kernel, 64)
    owners = sanitizer_of(kernel.lists).owners
    entries = take(lookaside, 2)
    for entry in entries:
        lookaside.free(entry)
    for where, link in ((entries[1], entries[0]), (entries[0], block)):
        kernel.memory.write_pointer(where, link)
    assert take(lookaside, 3) == [entries[1], entries[0], block]
    told = [[each.partition(" in ")[0] for each in owners[at].told()] for at in entries]
    assert told == [["first allocated", "last allocated"]] * 2
    assert owners[block].owner.address == lookaside.address
    assert len(owners[block].told()) == 1


def test_a_free_of_what_only_equals_an_entry_is_not_told_as_one() -> None:
    kernel = Kernel(sanitizer=True, track_pool=True)
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    with pytest.raises(TypeError):
        lookaside.free(Decimal(entry))  # type: ignore[arg-type]
    assert "freed to its list" not in str(report(lambda: kernel.pool.free(entry)))


@pytest.mark.parametrize("counted", [False, True])
def test_an_entry_is_out_until_its_free_was_counted(
    kernel: Kernel, counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookaside = new_list(kernel)
    assert isinstance(lookaside, SanitizedList)
    entries = take(lookaside, 5)
    for entry in entries[:4]:
        lookaside.free(entry)

    def fails(lookaside: LookasideList, entry: int | None) -> None:
        if counted:
            lookaside._missed_frees += 1
        raise RuntimeError

    monkeypatch.setattr(LookasideList, "free", fails)
    with pytest.raises(RuntimeError):
        lookaside.free(entries[4])
    assert lookaside.holds_out(entries[4]) is not counted

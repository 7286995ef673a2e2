"""Flush and delete: order, what stays, and what a second delete does."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList, windbg


def take(lookaside: LookasideList, count: int) -> list[int]:
    entries = [lookaside.allocate() for _ in range(count)]
    assert None not in entries
    return [entry for entry in entries if entry is not None]


def fill(lookaside: LookasideList, count: int) -> list[int]:
    entries = take(lookaside, count)
    for entry in entries:
        lookaside.free(entry)
    return entries


def without_links(lookaside: LookasideList) -> bytes:
    """The structure's bytes after the list head."""
    return bytes(lookaside)[lookaside.arch.slist_header_size :]


@pytest.fixture
def lookaside(blank: LookasideList) -> LookasideList:
    """An initialized list in either place."""
    assert blank.initialize(size=32, tag=b"flus").is_success
    return blank


@pytest.mark.parametrize("by", ["flush", "delete"])
def test_entries_are_freed_from_first_to_last(
    kernel: Kernel, blank: LookasideList, by: str
) -> None:
    freed: list[int] = []

    def free(entry: int, lookaside: LookasideList) -> None:
        assert lookaside is blank
        assert lookaside.current_depth == 0  # taken off at once, before the first free
        freed.append(entry)
        kernel.pool.free(entry)

    blank.initialize(size=32, tag=b"ordr", free=free)
    entries = fill(blank, 4)
    blank.flush() if by == "flush" else blank.delete()
    assert freed == entries[::-1]
    assert kernel.pool.usage(b"ordr").outstanding == 0


def test_a_flush_returns_everything_to_the_pool(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    entries = fill(lookaside, 4)
    held = lookaside.allocate()
    lookaside.flush()
    assert kernel.pool.usage(b"flus").outstanding == 1
    assert held is not None
    assert kernel.pool.query(held) is not None
    assert all(kernel.pool.query(entry) is None for entry in entries[:3])
    assert lookaside.current_depth == 0
    assert lookaside.is_active
    assert kernel.lookaside_lists == [lookaside]


def test_a_flush_changes_no_field_but_the_list_head(lookaside: LookasideList) -> None:
    fill(lookaside, 6)
    before = without_links(lookaside)
    lookaside.flush()
    assert without_links(lookaside) == before
    assert (lookaside.total_allocates, lookaside.allocate_misses) == (6, 6)
    assert (lookaside.total_frees, lookaside.free_misses) == (6, 2)


def test_an_empty_list_can_be_flushed(lookaside: LookasideList) -> None:
    before = bytes(lookaside)
    lookaside.flush()
    lookaside.flush()
    assert bytes(lookaside) == before


def test_a_flushed_list_works_on(lookaside: LookasideList) -> None:
    fill(lookaside, 3)
    lookaside.flush()
    entries = fill(lookaside, 2)
    assert take(lookaside, 2) == entries[::-1]
    assert lookaside.allocate_misses == 5


def test_entries_pushed_by_the_free_routine_stay(kernel: Kernel, blank: LookasideList) -> None:
    pushed: list[int] = []

    def free(entry: int, lookaside: LookasideList) -> None:
        pushed.append(entry)
        lookaside.free(entry)

    blank.initialize(size=32, tag=b"push", free=free)
    entries = fill(blank, 3)
    blank.flush()
    assert pushed == entries[::-1]
    assert take(blank, 3) == entries  # in the opposite order now


def test_delete_unlinks_and_keeps_the_fields(kernel: Kernel, lookaside: LookasideList) -> None:
    fill(lookaside, 5)
    before = without_links(lookaside)
    lookaside.delete()
    assert not lookaside.is_active
    assert kernel.lookaside_lists == []
    assert without_links(lookaside) == before
    assert lookaside.current_depth == 0
    assert kernel.pool.usage(b"flus").outstanding == 0


def test_delete_leaves_held_entries_alone(kernel: Kernel, lookaside: LookasideList) -> None:
    a, b = take(lookaside, 2)
    lookaside.free(a)
    lookaside.delete()
    assert kernel.pool.query(a) is None
    block = kernel.pool.query(b)
    assert block is not None
    assert block.address == b


def test_a_deleted_list_is_not_scanned(kernel: Kernel, lookaside: LookasideList) -> None:
    windbg.set_depth(lookaside, 50)
    lookaside.delete()
    kernel.tick(9)
    assert lookaside.depth == 50


def test_freeing_to_a_deleted_list_leaks(kernel: Kernel, lookaside: LookasideList) -> None:
    (entry,) = take(lookaside, 1)
    lookaside.delete()
    lookaside.free(entry)
    assert lookaside.current_depth == 1
    assert kernel.pool.query(entry) is not None
    assert kernel.pool.usage(b"flus").outstanding == 1
    assert kernel.bugcheck is None


def test_allocating_from_a_deleted_list_still_works(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    lookaside.delete()
    entry = lookaside.allocate()
    assert entry is not None
    assert kernel.pool.query(entry) is not None


def test_a_second_delete_stops_the_machine(kernel: Kernel, lookaside: LookasideList) -> None:
    lookaside.delete()
    with pytest.raises(BugCheck) as stop:
        lookaside.delete()
    assert stop.value.code is BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE
    assert stop.value.parameters[0] == 3
    assert "deleted before" in stop.value.message


def test_a_second_delete_stops_between_other_lists(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    for _ in range(2):
        LookasideList(kernel).initialize(size=32, tag=b"othr")
    lookaside.delete()
    with pytest.raises(BugCheck) as stop:
        lookaside.delete()
    assert stop.value.code is BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE
    assert stop.value.parameters[0] == 3


def test_a_deleted_list_can_be_initialized_again(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    lookaside.delete()
    assert lookaside.initialize(size=64, tag=b"agin").is_success
    assert kernel.lookaside_lists == [lookaside]
    lookaside.delete()
    assert kernel.lookaside_lists == []


def test_deleting_what_was_never_initialized_follows_null(
    kernel: Kernel, blank: LookasideList
) -> None:
    with pytest.raises(BugCheck) as stop:
        blank.delete()
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.value.parameters == (kernel.arch.pointer_size, 0, 0, 0)  # NULL->Blink


@pytest.mark.parametrize("by", ["flush", "delete"])
def test_a_double_free_stops_when_the_list_is_emptied(
    kernel: Kernel, lookaside: LookasideList, by: str
) -> None:
    entry, _keep = take(lookaside, 2)
    lookaside.free(entry)
    lookaside.free(entry)
    with pytest.raises(BugCheck) as stop:
        lookaside.flush() if by == "flush" else lookaside.delete()
    assert stop.value.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.value.parameters[0] == 7
    assert stop.value.parameters[3] == entry


def test_an_exception_of_the_free_routine_loses_the_rest(
    kernel: Kernel, blank: LookasideList
) -> None:
    def free(entry: int, lookaside: LookasideList) -> None:
        raise RuntimeError(f"no {entry:#x}")

    blank.initialize(size=32, tag=b"lost", free=free)
    entries = fill(blank, 3)
    with pytest.raises(RuntimeError, match=f"{entries[2]:#x}"):
        blank.flush()
    assert blank.current_depth == 0
    assert kernel.pool.usage(b"lost").outstanding == 3


# --- as a context manager ----------------------------------------------------------------


def test_leaving_the_context_deletes(kernel: Kernel, blank: LookasideList) -> None:
    with blank as entered:
        assert entered is blank
        blank.initialize(size=32, tag=b"with")
        fill(blank, 2)
    assert not blank.is_active
    assert kernel.pool.usage(b"with").outstanding == 0


def test_leaving_after_a_delete_does_nothing(kernel: Kernel, lookaside: LookasideList) -> None:
    with lookaside:
        lookaside.delete()
    assert kernel.bugcheck is None
    assert not lookaside.is_active


def test_leaving_without_initialize_does_nothing(kernel: Kernel, blank: LookasideList) -> None:
    with blank:
        pass
    assert kernel.bugcheck is None
    assert bytes(blank) == bytes(blank.image_size)


def test_leaving_after_an_exception_deletes(kernel: Kernel, lookaside: LookasideList) -> None:
    with pytest.raises(KeyError), lookaside:
        raise KeyError("body")
    assert kernel.lookaside_lists == []


def test_leaving_after_a_stop_keeps_the_stop(kernel: Kernel, lookaside: LookasideList) -> None:
    with pytest.raises(BugCheck) as stop, lookaside:
        kernel.read(0x10, 1)
    assert stop.value is kernel.bugcheck
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert lookaside.is_active

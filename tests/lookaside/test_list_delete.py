"""Delete: what stays, what a second delete does, and leaving the list's context."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList, windbg
from tests.helpers import fill, nowhere, take


def without_links(lookaside: LookasideList) -> bytes:
    """The structure's bytes after the list head."""
    return bytes(lookaside)[lookaside.arch.slist_header_size :]


def test_delete_unlinks_and_keeps_the_fields(kernel: Kernel, lookaside: LookasideList) -> None:
    fill(lookaside, 5)
    before = without_links(lookaside)
    lookaside.delete()
    assert not lookaside.is_active
    assert kernel.lookaside_lists == []
    assert without_links(lookaside) == before
    assert lookaside.current_depth == 0
    assert kernel.pool.usage(b"list").outstanding == 0


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
    assert kernel.pool.usage(b"list").outstanding == 1
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
    # The spin lock of the system-wide list is held.
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert stop.value.parameters[:3] == (kernel.arch.pointer_size, 2, 0)  # NULL->Blink


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
        kernel.read(nowhere(kernel), 1)
    assert stop.value is kernel.bugcheck
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert lookaside.is_active

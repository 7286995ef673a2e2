"""Flush: in which order entries go, and what stays."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList, LookasideSimError
from tests.helpers import fill, take


def without_links(lookaside: LookasideList) -> bytes:
    """The structure's bytes after the list head."""
    return bytes(lookaside)[lookaside.arch.slist_header_size :]


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
    assert kernel.pool.usage(b"list").outstanding == 1
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


class RefusedError(Exception):
    """What a free routine raises here."""


@pytest.mark.parametrize("sanitizer", [False, True])
@pytest.mark.parametrize("verb", ["flush", "delete"])
def test_what_a_routine_that_raises_left_is_on_the_list(verb: str, sanitizer: bool) -> None:
    kernel = Kernel(sanitizer=sanitizer)
    calls: list[int] = []

    def free(entry: int, lookaside: object) -> None:
        calls.append(entry)
        if len(calls) == 2:
            raise RefusedError

    lookaside = kernel.lookaside_list()
    lookaside.initialize(size=64, tag=b"tseT", free=free)
    entries = [lookaside.allocate() for _ in range(4)]
    for entry in entries:
        lookaside.free(entry)
    with pytest.raises(RefusedError):
        getattr(lookaside, verb)()
    assert calls == [entries[3], entries[2]]
    assert list(lookaside.entries()) == [entries[1], entries[0]]
    assert lookaside.current_depth == 2
    if verb == "flush":
        lookaside.flush()
        assert calls == entries[::-1]


@pytest.mark.parametrize("sanitizer", [False, True])
@pytest.mark.parametrize("arch", ["x64", "x86"])
@pytest.mark.parametrize("verb", ["flush", "delete"])
def test_a_ring_whose_routine_would_be_called_for_ever(
    verb: str, arch: str, sanitizer: bool
) -> None:
    kernel = Kernel(arch, sanitizer=sanitizer)
    calls: list[int] = []
    lookaside = kernel.lookaside_list()
    lookaside.initialize(size=64, tag=b"tseT", free=lambda entry, _: calls.append(entry))
    one, two = lookaside.allocate(), lookaside.allocate()
    assert one is not None
    assert two is not None
    lookaside.free(one)
    lookaside.free(two)
    kernel.memory.write_pointer(one, two)  # as NT's own code does, which nothing checks
    with pytest.raises(LookasideSimError, match="run in a ring"):
        getattr(lookaside, verb)()
    assert calls == [two, one]
    assert lookaside.current_depth == 0
    assert kernel.bugcheck is None

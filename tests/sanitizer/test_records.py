"""What the sanitizer knows of entries: by the pages they touch, and for how long."""

from __future__ import annotations

import random

import pytest

from lookaside_sim import Kernel, SanitizerError
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.sanitizer.records import (
    TO_FULL_LIST,
    EntryRecord,
    NotedEntries,
    Sanitizer,
    _ByPage,
    sanitizer_of,
)
from tests.helpers import new_list, take

START = 0x8000_0000


class Owner:
    """A list, as records see it."""

    address = START
    name = "owner"
    entry_size = 0

    def holds_out(self, entry: int) -> bool:
        return True


def test_ranges_are_found_by_every_page_they_touch() -> None:
    draw = random.Random(3)
    things: dict[int, int] = {}
    by_page: _ByPage[int] = _ByPage()
    for _ in range(40):
        start = START + draw.randrange(12) * PAGE_SIZE + draw.choice([0, 8, PAGE_SIZE - 8])
        if start in things:
            continue
        things[start] = draw.choice([1, 8, 9, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE])
        by_page.add(start, things[start], start)
    for _ in range(300):
        first = START + draw.randrange(-2 * PAGE_SIZE, 16 * PAGE_SIZE)
        end = first + draw.choice([1, 2, PAGE_SIZE, PAGE_SIZE + 1, 9 * PAGE_SIZE, 1 << 40])
        pages = range(first // PAGE_SIZE, (end - 1) // PAGE_SIZE + 1)
        expected = {
            start
            for start, size in things.items()
            if start // PAGE_SIZE < pages.stop
            and (start + size - 1) // PAGE_SIZE >= pages.start
        }
        assert set(by_page.near(first, end)) == expected
    for start, size in things.items():
        assert by_page
        by_page.remove(start, size)
        by_page.remove(start, size)  # what is gone stays gone
    assert not by_page
    assert by_page.near(START, START + PAGE_SIZE) == []


def test_a_range_that_ends_a_page_is_not_in_the_next_one() -> None:
    by_page: _ByPage[str] = _ByPage()
    by_page.add(START + PAGE_SIZE - 8, 8, "last")
    assert by_page.near(START + PAGE_SIZE, START + 2 * PAGE_SIZE) == []
    assert by_page.near(START - 8, START) == []
    assert by_page.near(START, START + 1) == ["last"]


def test_a_record_overlaps_what_shares_a_byte_with_it() -> None:
    record = EntryRecord(START + 16, Owner(), 8)
    overlaps = [record.overlaps(START + first, START + first + 8) for first in range(0, 32, 4)]
    assert overlaps == [False, False, False, True, True, True, False, False]
    assert record != EntryRecord(START + 16, record.owner, 8)


def test_an_entry_without_bytes_counts_as_one() -> None:
    kernel = Kernel(sanitizer=True)
    sanitizer = sanitizer_of(kernel.lists)
    sanitizer.adopt(START, Owner())
    assert sanitizer.owners[START].size == 1
    assert sanitizer.near(START, START + 1)


def test_an_entry_is_owned_by_whoever_got_it_last() -> None:
    kernel = Kernel(sanitizer=True)
    sanitizer = sanitizer_of(kernel.lists)
    first, second = Owner(), Owner()
    sanitizer.adopt(START, first)
    sanitizer.retire(START, "flush")
    sanitizer.retire(START, "flush")  # the second time it is nobody's
    (record,) = sanitizer.near_retired(START, START + 1)
    assert record.owner is first
    assert [each.partition(" in ")[0] for each in record.history] == [
        "first allocated",
        "given back to the free routine by flush",
    ]
    assert (sanitizer.owners, sanitizer.near(START, START + 1)) == ({}, [])
    sanitizer.adopt(START, second)
    assert sanitizer.near_retired(START, START + 1) == []
    assert not sanitizer.retired
    sanitizer.adopt(START, first)  # the first one lost it without a word
    (record,) = sanitizer.near(START, START + 1)
    assert record.owner is first


def test_lists_in_blocks_are_known_while_they_are_active() -> None:
    kernel = Kernel(sanitizer=True)
    sanitizer = sanitizer_of(kernel.lists)
    one, other = Owner(), Owner()
    other.address = START + 96
    for each in (one, other):
        sanitizer.list_begins(each)
    assert list(sanitizer.lists_within(START, START + 96)) == [one]
    assert list(sanitizer.lists_within(START + 1, START + 97)) == [other]
    sanitizer.list_ends(one)
    assert sanitizer.has_lists_in_blocks
    sanitizer.list_ends(other)
    assert not sanitizer.has_lists_in_blocks


def test_a_machine_without_the_sanitizer_has_no_records() -> None:
    with pytest.raises(TypeError, match="needs a machine made with sanitizer=True"):
        sanitizer_of(Kernel().lists)


def test_a_list_in_the_last_byte_of_a_page_is_not_in_the_next_one() -> None:
    kernel = Kernel(sanitizer=True)
    sanitizer, owner = sanitizer_of(kernel.lists), Owner()
    owner.address = START + PAGE_SIZE - 1
    sanitizer.list_begins(owner)
    assert list(sanitizer._lists.near(START + PAGE_SIZE, START + PAGE_SIZE + 1)) == []
    sanitizer.list_ends(owner)
    assert not sanitizer.has_lists_in_blocks


def test_entries_of_a_list_are_its_own() -> None:
    kernel = Kernel(sanitizer=True)
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    assert sanitizer_of(kernel.lists).owners[entry].owner.address == lookaside.address


def test_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lookaside_sim.sanitizer.records._MOST_RETIRED", 2)
    sanitizer, owner = sanitizer_of(Kernel(sanitizer=True).lists), Owner()
    starts = [START + 16 * each for each in range(4)]
    for start in starts:
        sanitizer.adopt(start, owner)
        sanitizer.retire(start, "flush")
    assert list(sanitizer.retired) == starts[2:]
    assert [each.entry for each in sanitizer.near_retired(START, START + 64)] == starts[2:]


def test_an_entry_with_another_owner_covers_what_the_new_one_says() -> None:
    sanitizer = sanitizer_of(Kernel(sanitizer=True).lists)
    large, small = Owner(), Owner()
    large.entry_size, small.entry_size = 2 * PAGE_SIZE, 8
    sanitizer.adopt(START, large)
    sanitizer.adopt(START, small)
    assert sanitizer.near(START + PAGE_SIZE, START + PAGE_SIZE + 8) == []


def test_a_report_has_the_history_of_its_entry() -> None:
    sanitizer, owner = sanitizer_of(Kernel(sanitizer=True).lists), Owner()
    sanitizer.adopt(START, owner)
    record = sanitizer.owners[START]
    for given, history in ((record, tuple(record.history)), (None, ())):
        with pytest.raises(SanitizerError) as caught:
            sanitizer.report("double-free", START, owner, "What", given)
        error = caught.value
        assert (error.kind, error.address, error.message) == ("double-free", START, "What")
        assert (error.lookaside, error.history) == (owner, history)
        assert error.__cause__ is None


def lately(sanitizer: Sanitizer) -> list[str]:
    """What is told of the entry at START after its first allocation, without the lines."""
    return [each.partition(" (")[0] for each in sanitizer.owners[START].told()[1:]]


def taken_and_given(sanitizer: Sanitizer) -> NotedEntries:
    """Have the entry at START adopted, given and taken, with nobody holding it afterwards."""
    held = NotedEntries((), sanitizer)
    sanitizer.adopt(START, Owner())
    held.add(START)
    held.remove(START)
    return held


def test_where_an_entry_was_taken_and_given_last() -> None:
    sanitizer = sanitizer_of(Kernel(sanitizer=True).lists)
    held = taken_and_given(sanitizer)
    expected = ["last allocated in taken_and_given", "freed to its list in taken_and_given"]
    assert lately(sanitizer) == expected
    assert held == set()

    def again() -> None:
        held.add(START)

    again()
    assert held == {START}
    (taken,) = lately(sanitizer)  # it does not lie on its list
    assert taken.endswith("again")


@pytest.mark.parametrize(
    ("how", "kept"),
    [("a flush", ["last allocated", "freed to its list"]), (TO_FULL_LIST, ["last allocated"])],
)
def test_what_is_known_of_an_entry_that_was_given_back(how: str, kept: list[str]) -> None:
    sanitizer = sanitizer_of(Kernel(sanitizer=True).lists)
    taken_and_given(sanitizer)
    sanitizer.retire(START, how)
    record = sanitizer.retired[START]
    assert [each.partition(" in ")[0] for each in record.told()] == [
        "first allocated",
        *kept,
        f"given back to the free routine by {how}",
    ]
    assert (record.taken, record.given) == (None, None)


def test_notes_are_taken_of_owned_entries_and_with_a_sanitizer_only() -> None:
    sanitizer = sanitizer_of(Kernel(sanitizer=True).lists)
    for held in (NotedEntries([START], sanitizer), NotedEntries([START])):
        assert held == {START}
        with pytest.raises(KeyError):
            held.remove(START + 8)
        held.remove(START)
        held.add(START + 8)
        assert held == {START + 8}
    assert not sanitizer.owners

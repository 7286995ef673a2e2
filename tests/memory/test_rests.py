"""Objects that nobody but memory held: they go, and their bytes stay where they were."""

from __future__ import annotations

import random

from lookaside_sim.memory.rests import Rest, Rests
from lookaside_sim.memory.structures import Structures
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.memory.helpers import START, Bytes


class Idle(Bytes):
    """A structure whose bytes are all there is to it."""

    is_idle = True


def filled(count: int, kind: type[Bytes], first: int = START) -> Structures:
    """Enough structures that the next one makes the others go, if they may."""
    structures = Structures()
    for index in range(count):
        structures.attach(kind(first + 24 * index, index.to_bytes(16, "little")))
    return structures


def test_what_somebody_holds_or_is_in_use_stays() -> None:
    structures = Structures()
    held = Idle(START - 64, bytes(16))
    structures.attach(held)
    for index in range(300):
        kind = Idle if index % 2 else Bytes
        structures.attach(kind(START + 24 * index, index.to_bytes(16, "little")))
    assert structures.at(START - 64) is held
    assert isinstance(structures.at(START), Bytes)
    assert isinstance(structures.at(START + 24), Rest)
    assert len(list(structures.all())) == 301


def test_each_byte_is_found_where_it_was() -> None:
    structures = filled(1000, Idle)
    for index in range(1000):
        start = START + 24 * index
        first, last = structures.at(start), structures.at(start + 15)
        assert first is not None
        assert last is not None
        assert first.address == last.address == start
        assert first.store_image() == last.store_image() == index.to_bytes(16, "little")
        assert structures.at(start + 16) is structures.at(start - 1) is None


def test_what_is_written_stays_too() -> None:
    structures = filled(300, Idle)
    rest = structures.at(START + 48)
    assert isinstance(rest, Rest)
    rest.load_image(b"written anew....")
    again = structures.at(START + 48 + 15)
    assert again is not None
    assert again.store_image() == b"written anew...."


def test_ranges_find_rests_and_objects_alike() -> None:
    draw = random.Random(5)
    structures, plain = filled(600, Idle), filled(600, Bytes)
    end = START + 600 * 24
    for _ in range(300):
        first = draw.randrange(START - 40, end + 40)
        behind = first + draw.choice([0, 1, 8, 24, 100, PAGE_SIZE, 3 * PAGE_SIZE, 1 << 40])
        assert [each.address for each in structures.overlapping(first, behind)] == [
            each.address for each in plain.overlapping(first, behind)
        ]
    for first, behind in ((START + 7, START + 1000), (START + 5000, end)):
        gone = structures.detach_range(first, behind)
        assert [each.address for each in gone] == [
            each.address for each in plain.detach_range(first, behind)
        ]
        assert structures.overlapping(first + 24, behind - 24) == []


def test_an_object_stands_for_a_rest_again() -> None:
    structures = filled(300, Idle)
    old = structures.at(START)
    assert isinstance(old, Rest)
    new = Bytes(START, old.store_image())
    structures.take_over(old, new)
    assert structures.at(START) is new
    assert len(list(structures.all())) == 300


def test_what_lies_in_two_pages_stays_an_object() -> None:
    structures = Structures()
    structures.attach(Idle(START + PAGE_SIZE - 8, b"in both of them."))
    for index in range(300):
        structures.attach(Idle(START + 2 * PAGE_SIZE + 8 * index, bytes(8)))
    assert isinstance(structures.at(START + PAGE_SIZE), Idle)


def test_rests_may_come_in_any_order() -> None:
    rests = Rests()
    starts = list(range(START, START + 960, 32))
    random.Random(1).shuffle(starts)
    for start in starts:
        rests.add(start, start.to_bytes(8, "little"))
    assert [each.address for each in rests.all()] == sorted(starts)
    for start in starts:
        rest = rests.at(start + 7)
        assert rest is not None
        assert rest.store_image() == start.to_bytes(8, "little")
        rests.remove(rest)
        assert rests.at(start) is None
    assert not rests.pages()

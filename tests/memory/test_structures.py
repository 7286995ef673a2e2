from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim.memory.structures import Structures
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.memory.helpers import START, Bytes


def test_a_structure_that_begins_in_a_range_leaves_all_of_its_pages() -> None:
    structures = Structures()
    across = Bytes(START + PAGE_SIZE - 2, b"abcd")
    structures.attach(across)
    assert structures.detach_range(START, START + PAGE_SIZE) == [across]
    assert structures.at(START + PAGE_SIZE + 1) is None
    assert structures.overlapping(START, START + 2 * PAGE_SIZE) == []


def test_a_structure_that_begins_before_a_range_stays() -> None:
    structures = Structures()
    across = Bytes(START + PAGE_SIZE - 2, b"abcd")
    structures.attach(across)
    assert structures.detach_range(START + PAGE_SIZE, START + 2 * PAGE_SIZE) == []
    assert structures.at(START + PAGE_SIZE + 1) is across


def test_another_object_stands_for_a_structure_in_every_page() -> None:
    structures = Structures()
    old, new = Bytes(START + PAGE_SIZE - 2, b"abcd"), Bytes(START + PAGE_SIZE - 2, b"wxyz")
    structures.attach(old)
    structures.take_over(old, new)
    assert structures.at(START + PAGE_SIZE - 1) is structures.at(START + PAGE_SIZE) is new


@given(
    gaps=st.lists(st.tuples(st.integers(0, 6000), st.integers(1, 9000)), max_size=8),
    ranges=st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 40_000)), max_size=8),
    cut=st.tuples(st.integers(0, 60_000), st.integers(0, 40_000)),
)
def test_the_table_answers_as_a_search_through_all_does(
    gaps: list[tuple[int, int]], ranges: list[tuple[int, int]], cut: tuple[int, int]
) -> None:
    structures, held, address = Structures(), [], START
    for gap, size in gaps:
        address += gap
        held.append(Bytes(address, bytes(size)))
        address += size
    for each in reversed(held):
        structures.attach(each)

    def compare() -> None:
        for at, size in ranges:
            start, end = START + at, START + at + size
            assert structures.overlapping(start, end) == [
                each
                for each in held
                if size and each.address < end and start < each.address + each.image_size
            ]
            owners = [each for each in held if 0 <= start - each.address < each.image_size]
            assert structures.at(start) is (owners[0] if owners else None)

    compare()
    start, end = START + cut[0], START + sum(cut)
    gone = structures.detach_range(start, end)
    assert gone == [each for each in held if start <= each.address < end]
    held = [each for each in held if each not in gone]
    compare()

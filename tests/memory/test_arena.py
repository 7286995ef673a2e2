from __future__ import annotations

import mmap
import weakref

import pytest

from lookaside_sim.memory.arena import (
    BIG,
    BLOCKS,
    CACHED,
    EXPOSED,
    HEADS,
    NO_BLOCK,
    RESERVED,
    RETURNED,
    UNMAPPED,
    Arena,
    Arenas,
    garbage,
)
from lookaside_sim.memory.notices import Notices
from lookaside_sim.nt.layouts import PAGE_SIZE, architecture

BASE = 0x9000_0000


def make(arch: str = "x64", pages: int = 1024, seed: int = 0, base: int = BASE) -> Arena:
    """An arena in use: a new one backs no more than the list heads of a pool."""
    arena = Arena(architecture(arch), base, pages, garbage(seed))
    arena.reach(min(2, pages))
    return arena


def page_of(arena: Arena, page: int) -> bytes:
    return bytes(arena.data[page * PAGE_SIZE : (page + 1) * PAGE_SIZE])


def test_garbage_is_a_function_of_the_seed_and_has_no_zero_byte() -> None:
    assert garbage(1) == garbage(1)
    assert garbage(1) != garbage(2)
    assert 0 not in garbage(1)


def test_a_new_arena_backs_one_page() -> None:
    assert len(Arena(architecture("x64"), BASE, 1024, garbage(0)).states) == 1


def test_an_arena_may_begin_with_list_heads() -> None:
    notices, heard = Notices(), list[object]()
    notices.listen(heard.append)
    heads = bytes(range(256)) * 16
    arena = Arena(architecture("x64"), BASE, 1024, garbage(0), notices=notices, heads=heads)
    assert page_of(arena, 0) == heads
    assert list(arena.states) == [HEADS]
    assert arena.data is arena.words.obj is arena.ulongs.obj
    assert arena.unmade == set()
    assert heard == []


def test_an_arena_shares_what_lies_in_its_range() -> None:
    arena = Arena(architecture("x64"), BASE, 2, garbage(0))
    end = BASE + 2 * PAGE_SIZE
    assert arena.shares(BASE, BASE + 1)
    assert arena.shares(end - 1, end + 9)
    assert not arena.shares(end, end + 1)
    assert not arena.shares(BASE - 9, BASE)


def test_arenas_are_found_by_their_regions() -> None:
    arenas = Arenas(16)
    first = Arena(architecture("x64"), 0x5_0000, 1, garbage(0))
    second = Arena(architecture("x64"), 0x7_8000, 16, garbage(0))
    for arena in (first, second):
        arenas.add(arena)
    assert list(arenas.all()) == [first, second]
    assert arenas.near(0x5_FFFF) is first
    assert arenas.near(0x8_7FFF) is arenas.near(0x7_0000) is second
    assert arenas.near(0x6_0000) is None
    assert arenas.in_regions(0x5_8000, 0x5_9000) == (0x5_0000, first)
    assert arenas.in_regions(0x6_0000, 0x7_0000) == (0x6_0000, None)
    assert arenas.in_regions(0x6_0000, 0x7_0001) == (0x7_0000, second)
    assert arenas.in_regions(0x1_0000, 0xFF_0000) == (0x5_0000, first)
    assert arenas.in_regions(0x9_0000, 0xFF_0000) == (0, None)
    assert arenas.set_aside(0x5_1000, 0x5_2000) is None
    assert arenas.set_aside(0x5_0FFF, 0x5_2000) is first
    assert arenas.set_aside(0x6_0000, 0x7_8001) is second


def test_an_arena_in_use_backs_a_few_unmapped_pages() -> None:
    arena = make()
    assert 0 < len(arena.states) < arena.pages
    assert len(arena.data) == len(arena.states) * PAGE_SIZE
    assert set(arena.states) == {UNMAPPED}
    assert set(arena.marks) == {NO_BLOCK}


def test_a_small_arena_backs_no_page_it_cannot_have() -> None:
    assert len(make(pages=3).states) == 3


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_there_is_a_mark_for_every_unit(arch: str) -> None:
    arena = make(arch)
    per_page = architecture(arch).pool_header.units_per_page
    assert len(arena.marks) == len(arena.states) * per_page
    arena.reach(100)
    assert len(arena.marks) == len(arena.states) * per_page


def test_reaching_what_is_backed_changes_nothing() -> None:
    arena = make()
    data = arena.data
    assert not arena.reach(len(arena.states))
    assert arena.data is data


def test_growth_doubles_up_to_the_most_pages() -> None:
    arena = make(pages=40)
    assert arena.reach(17)
    assert len(arena.states) == 32
    assert arena.reach(33)
    assert len(arena.states) == 40


def test_growth_keeps_contents_states_and_marks() -> None:
    arena = make()
    arena.map(2, BLOCKS)
    arena.marks[700] = 5
    before = bytes(arena.data)
    assert arena.reach(len(arena.states) + 1)
    assert bytes(arena.data[: len(before)]) == before
    assert arena.states[2] == BLOCKS
    assert arena.marks[700] == 5
    assert arena.states[-1] == UNMAPPED


def test_a_large_arena_is_backed_by_the_system_and_keeps_its_contents() -> None:
    arena = make(pages=4096)
    arena.map(1, BLOCKS)
    before = page_of(arena, 1)
    assert arena.reach(256)
    assert isinstance(arena.data, mmap.mmap)
    assert page_of(arena, 1) == before
    arena.map(255, BLOCKS)
    last = page_of(arena, 255)
    assert arena.reach(1000)
    assert isinstance(arena.data, mmap.mmap)
    assert page_of(arena, 255) == last
    assert page_of(arena, 1) == before


@pytest.mark.parametrize(("arch", "size"), [("x64", 8), ("x86", 4)])
@pytest.mark.parametrize("pages", [16, 300])
def test_words_and_ulongs_view_the_same_bytes(arch: str, size: int, pages: int) -> None:
    arena = make(arch)
    arena.reach(pages)
    arena.data[PAGE_SIZE : PAGE_SIZE + 8] = bytes(range(1, 9))
    expected = int.from_bytes(bytes(range(1, size + 1)), "little")
    assert arena.words[PAGE_SIZE // size] == expected
    assert arena.ulongs[PAGE_SIZE // 4] == 0x04030201
    arena.words[PAGE_SIZE // size] = 0xFFEE
    assert bytes(arena.data[PAGE_SIZE : PAGE_SIZE + 2]) == b"\xee\xff"


def test_a_fresh_page_is_garbage_that_seed_and_address_decide() -> None:
    first, again, other_seed = make(), make(), make(seed=1)
    other_base = make(base=BASE + 0x1000_0000)
    for arena in (first, again, other_seed, other_base):
        arena.map(1, BLOCKS)
        arena.map(2, BLOCKS)
    assert page_of(first, 1) == page_of(again, 1)
    assert page_of(first, 1) != page_of(first, 2)
    assert page_of(first, 1) != page_of(other_seed, 1)
    assert page_of(first, 1) != page_of(other_base, 1)
    assert 0 not in page_of(first, 1)


@pytest.mark.parametrize("state", [BIG, BLOCKS, EXPOSED, HEADS])
@pytest.mark.parametrize("cached", [True, False])
def test_mapping_a_page_again_keeps_its_bytes(state: int, cached: bool) -> None:
    arena = make()
    arena.map(1, state)
    arena.data[PAGE_SIZE : PAGE_SIZE + 4] = b"kept"
    arena.unmap(1, 1, cached=cached)
    assert arena.states[1] == (CACHED if cached else RETURNED)
    arena.map(1, BLOCKS)
    assert page_of(arena, 1)[:4] == b"kept"


def test_a_big_allocation_reserves_fresh_pages_and_takes_returned_ones_as_they_are() -> None:
    arena = make()
    arena.map(2, BLOCKS)
    arena.unmap(2, 1, cached=False)
    old = page_of(arena, 2)
    arena.map_big(1, 3)
    assert list(arena.states[1:4]) == [RESERVED, BIG, RESERVED]
    assert page_of(arena, 2) == old
    assert page_of(arena, 1) == bytes(PAGE_SIZE)  # nobody has looked yet
    arena.map(1, BIG)
    expected = make()
    expected.map(1, BLOCKS)
    assert page_of(arena, 1) == page_of(expected, 1)


def test_unmapping_forgets_reserved_pages_and_remembers_touched_ones() -> None:
    arena = make()
    arena.map_big(1, 3)
    arena.map(2, BIG)
    arena.unmap(1, 3, cached=False)
    assert list(arena.states[1:4]) == [UNMAPPED, RETURNED, UNMAPPED]


def test_a_page_cache_keeps_reserved_pages_reserved() -> None:
    arena = make()
    arena.map_big(1, 3)
    arena.map(2, BIG)
    arena.unmap(1, 3, cached=True)
    assert list(arena.states[1:4]) == [RESERVED, CACHED, RESERVED]
    arena.map_big(1, 3)
    assert list(arena.states[1:4]) == [RESERVED, BIG, RESERVED]


def test_looking_sees_a_reserved_page_as_it_will_be_and_leaves_it_reserved() -> None:
    arena = make()
    arena.map_big(1, 1)
    seen = arena.look(PAGE_SIZE + 100, 50)
    assert arena.states[1] == RESERVED
    assert page_of(arena, 1) == bytes(PAGE_SIZE)
    assert arena.fresh(1)[100:150] == seen
    arena.map(1, BIG)
    assert page_of(arena, 1)[100:150] == seen == arena.look(PAGE_SIZE + 100, 50)


def test_the_old_buffer_lives_until_everybody_heard_of_the_new_one() -> None:
    """Somebody may have lent its address to an emulator, and takes it back when told."""
    notices = Notices()
    arena = Arena(architecture("x64"), BASE, 1024, garbage(0), notices=notices)
    arena.reach(256)
    assert isinstance(arena.data, mmap.mmap)
    gone: list[bool] = []
    lent = weakref.ref(arena.data)
    notices.listen(lambda _: gone.append(lent() is None))
    arena.reach(600)
    assert gone == [False]
    assert lent() is None

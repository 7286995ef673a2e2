from __future__ import annotations

import pytest

from lookaside_sim import Kernel
from lookaside_sim.memory import Region
from lookaside_sim.memory.arena import BIG
from lookaside_sim.nt.layouts import PAGE_SIZE, architecture
from tests.memory.helpers import START, Bytes, memory_with

REGION = architecture("x64").pool_region_size


@pytest.mark.parametrize(("base", "pages"), [(REGION + 8, 1), (REGION, 0), (REGION, -1)])
def test_an_arena_is_whole_pages(base: int, pages: int) -> None:
    with pytest.raises(ValueError, match="give the start of a page, and some"):
        memory_with().add_arena(base, pages)


@pytest.mark.parametrize("base", [0, -PAGE_SIZE, (1 << 64) - PAGE_SIZE])
def test_an_arena_lies_in_the_address_space(base: int) -> None:
    with pytest.raises(ValueError, match="outside the address space"):
        memory_with().add_arena(base, 2)


def test_an_arena_is_not_laid_over_anything() -> None:
    memory = memory_with(Bytes(REGION + 5 * PAGE_SIZE, b"abcd"))
    region = Region(3 * REGION - 4, 4)
    memory.map(region)
    with pytest.raises(ValueError, match="already mapped"):
        memory.add_arena(REGION, 6)
    with pytest.raises(ValueError, match="already mapped"):
        memory.add_arena(2 * REGION, REGION // PAGE_SIZE)
    memory.add_arena(REGION, 5)
    with pytest.raises(ValueError, match="set aside for the pool"):
        memory.add_arena(REGION + 2 * PAGE_SIZE, 3)
    with pytest.raises(ValueError, match="has the pool region"):
        memory.add_arena(REGION + 8 * PAGE_SIZE, 10)


def test_an_arena_may_begin_within_a_pool_region_and_reach_into_the_next() -> None:
    memory = memory_with()
    arena = memory.add_arena(2 * REGION - 2 * PAGE_SIZE, 4)
    arena.reach(4)
    for page in range(4):
        arena.map(page, BIG)
    memory.write(2 * REGION - 2, b"abcd")
    assert memory.read(2 * REGION - 2, 4) == b"abcd"
    assert memory.is_mapped(arena.base, 4 * PAGE_SIZE)
    for outside in (REGION, arena.base - 1, arena.base + 4 * PAGE_SIZE, 3 * REGION - 1):
        assert memory.is_unmapped(outside, 1)
        assert not memory.is_mapped(outside, 1)
        assert memory.peek(outside, 1) == [None]


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_a_machine_can_be_asked_about_addresses_in_front_of_special_pool(arch: str) -> None:
    kernel = Kernel(arch)
    start = kernel.arch.special_pool_start
    arena = kernel.memory.add_arena(start, 64)
    arena.reach(64)
    arena.map(63, BIG)
    assert kernel.memory.is_unmapped(start - PAGE_SIZE, PAGE_SIZE)
    assert not kernel.memory.is_mapped(start - PAGE_SIZE, 1)
    assert kernel.memory.is_mapped(start + 63 * PAGE_SIZE, PAGE_SIZE)


def test_a_structure_may_not_be_unmapped_twice() -> None:
    memory = memory_with(Bytes(START, b"abcd"))
    assert len(memory.detach_range(START, START + 1)) == 1
    assert memory.detach_range(START, START + 1) == []
    assert memory.is_unmapped(START, 4)

from __future__ import annotations

import pytest

from lookaside_sim import Kernel
from lookaside_sim.memory import Change, Changed, Region
from lookaside_sim.memory.arena import BLOCKS
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE
from tests.helpers import allocated as allocate
from tests.memory.helpers import START, Bytes, memory_with


def test_regions_and_structures_tell_when_they_come_change_and_go() -> None:
    memory = memory_with()
    told: list[Change] = []
    memory.listen(told.append)
    region = Region(START, PAGE_SIZE)
    memory.map(region)
    memory.protect(region, writable=False)
    memory.unmap(region)
    memory.attach(Bytes(START + 8, b"abcd"))
    memory.detach_range(START, START + PAGE_SIZE)
    assert told == [
        Change(Changed.MAPPED, START, PAGE_SIZE),
        Change(Changed.PERMISSIONS, START, PAGE_SIZE),
        Change(Changed.UNMAPPED, START, PAGE_SIZE),
        Change(Changed.MAPPED, START + 8, 4),
        Change(Changed.UNMAPPED, START + 8, 4),
    ]


def test_what_is_refused_is_not_told() -> None:
    memory = memory_with(Bytes(START, b"abcd"))
    told: list[Change] = []
    memory.listen(told.append)
    with pytest.raises(ValueError, match="already mapped"):
        memory.map(Region(START, 8))
    with pytest.raises(ValueError, match="already mapped"):
        memory.attach(Bytes(START, b"abcd"))
    assert told == []


def test_several_listen_in_turn_until_each_one_stops() -> None:
    memory = memory_with()
    told: list[str] = []
    stop_first = memory.listen(lambda _: told.append("first"))
    memory.listen(lambda _: told.append("second"))
    memory.notice(Changed.PERMISSIONS, START, PAGE_SIZE)
    stop_first()
    stop_first()
    memory.notice(Changed.PERMISSIONS, START, PAGE_SIZE)
    assert told == ["first", "second", "second"]


def test_one_function_may_listen_twice_and_stop_once() -> None:
    memory = memory_with()
    told: list[Change] = []
    memory.listen(told.append)
    stop = memory.listen(told.append)
    stop()
    memory.notice(Changed.PERMISSIONS, START, 1)
    assert told == [Change(Changed.PERMISSIONS, START, 1)]


def test_a_listener_may_stop_while_it_is_told() -> None:
    memory = memory_with()
    told: list[str] = []

    def once(change: Change) -> None:
        told.append(change.what.name)
        stop()

    stop = memory.listen(once)
    memory.listen(lambda change: told.append(change.what.name.lower()))
    memory.notice(Changed.UNMAPPED, START, 1)
    memory.notice(Changed.MAPPED, START, 1)
    assert told == ["UNMAPPED", "unmapped", "mapped"]


def test_a_larger_buffer_is_told_after_it_is_in_place() -> None:
    kernel = Kernel()
    arena = kernel.pool.nonpaged.arena
    before, seen = arena.data, []

    def look(change: Change) -> None:
        if change.what is Changed.BUFFER:
            seen.append((change.address, change.size, len(arena.data), arena.data is before))

    kernel.memory.listen(look)
    allocate(kernel, 100 * PAGE_SIZE)
    assert seen == [(arena.base, len(arena.data), len(arena.data), False)]


def test_pages_of_a_big_allocation_tell_as_one_range() -> None:
    kernel = Kernel()
    allocate(kernel, 1)  # backs the first pages
    told: list[Change] = []
    kernel.memory.listen(told.append)
    address = allocate(kernel, 5 * PAGE_SIZE)
    kernel.pool.free(address)
    assert told == [
        Change(Changed.MAPPED, address, 5 * PAGE_SIZE),
        Change(Changed.UNMAPPED, address, 5 * PAGE_SIZE),
    ]


def test_touching_a_fresh_page_or_caching_a_returned_one_changes_no_mapping() -> None:
    kernel = Kernel()
    address = allocate(kernel, 2 * PAGE_SIZE)
    told: list[Change] = []
    kernel.memory.listen(told.append)
    kernel.read(address, 2 * PAGE_SIZE)
    kernel.pool.free(address)  # to a page cache
    assert told == []


@pytest.mark.parametrize(
    "sizes", [[4 * PAGE_SIZE + 100, 100], [100, 3000, 3 * PAGE_SIZE, 50_000]]
)
def test_notices_alone_tell_which_pages_are_mapped(sizes: list[int]) -> None:
    kernel = Kernel()
    arena = kernel.pool.nonpaged.arena
    first = arena.base >> PAGE_SHIFT
    mapped = {first}  # the list heads

    def hear(change: Change) -> None:
        pages = range(
            change.address >> PAGE_SHIFT, (change.address + change.size) >> PAGE_SHIFT
        )
        if change.what is Changed.MAPPED:
            mapped.update(pages)
        elif change.what is Changed.UNMAPPED:
            mapped.difference_update(pages)

    def is_exact() -> bool:
        pages = range(first, first + len(arena.states))
        return mapped == {
            page for page in pages if kernel.memory.is_mapped(page << PAGE_SHIFT, 1)
        }

    kernel.memory.listen(hear)
    for order in (1, -1):
        blocks = []
        for size in sizes:
            blocks.append(allocate(kernel, size))
            assert is_exact()
        for block in blocks[::order]:
            kernel.pool.free(block)
            assert is_exact()


def test_the_last_page_of_a_big_allocation_with_a_block_in_its_tail_stays_mapped() -> None:
    kernel = Kernel()
    big = allocate(kernel, 5 * PAGE_SIZE + 100)
    tail = allocate(kernel, 100)
    assert tail >> PAGE_SHIFT == (big >> PAGE_SHIFT) + 5
    last: list[Changed] = []
    kernel.memory.listen(
        lambda change: (
            last.append(change.what)
            if change.address <= tail < change.address + change.size
            else None
        )
    )
    kernel.pool.free(big)
    assert last[-1] is Changed.MAPPED
    page = (tail - kernel.pool.nonpaged.base) >> PAGE_SHIFT
    assert kernel.pool.nonpaged.arena.states[page] == BLOCKS

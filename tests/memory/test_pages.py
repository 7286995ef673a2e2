from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import Kernel
from lookaside_sim.memory import (
    ArenaPage,
    Memory,
    NoPage,
    Reason,
    Region,
    RegionPage,
    ServedPage,
)
from lookaside_sim.memory.arena import BIG, RESERVED
from lookaside_sim.memory.touch import EXECUTE, READ, WRITE
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from tests.helpers import allocated as allocate
from tests.helpers import both_machines
from tests.memory.helpers import START, Bytes, FaultError, maps, memory_with

OPERATIONS = (READ, WRITE, EXECUTE)


def test_nothing_is_nothing_for_every_operation() -> None:
    memory = memory_with()
    for operation in OPERATIONS:
        assert memory.translate(START, operation) == NoPage(Reason.UNMAPPED)


class TestArenaPages:
    @both_machines
    def test_true_bytes_are_answered_with_their_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocate(kernel, 100)
        kernel.memory.keep_bytes_true()
        pool = kernel.pool.nonpaged
        page = kernel.memory.translate(address + 5)
        index = (address - pool.base) >> PAGE_SHIFT
        assert page == ArenaPage(pool.arena, index, writable=True, executable=True)
        assert isinstance(page, ArenaPage)
        at = page.offset + (address & PAGE_MASK)
        page.data[at : at + 4] = b"here"
        assert kernel.read(address, 4) == b"here"

    def test_a_page_follows_its_arenas_buffer(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 100)
        kernel.write(address, b"here")
        kernel.memory.keep_bytes_true()
        page = kernel.memory.translate(address)
        assert isinstance(page, ArenaPage)
        before = page.data
        allocate(kernel, 100 * PAGE_SIZE)
        assert page.data is not before
        at = page.offset + (address & PAGE_MASK)
        assert page.data[at : at + 4] == b"here"

    def test_pages_are_served_while_their_bytes_may_be_stale(self) -> None:
        kernel = Kernel()
        entry = allocate(kernel, 100)
        assert kernel.memory.cached(entry)
        assert kernel.memory.translate(entry) == ServedPage(writable=True, executable=True)

    def test_only_the_executable_pool_runs_code(self) -> None:
        kernel = Kernel()
        kernel.memory.keep_bytes_true()
        for pool_type, permitted in ((0, True), (512, False), (1, False)):
            address = allocate(kernel, 100, pool_type=pool_type)
            page = kernel.memory.translate(address, EXECUTE)
            assert (page != NoPage(Reason.NOT_PERMITTED)) is permitted
            assert isinstance(kernel.memory.translate(address, WRITE), ArenaPage)

    def test_a_fresh_page_is_filled_before_it_is_shared(self) -> None:
        kernel, other = Kernel(), Kernel()
        address = allocate(kernel, 2 * PAGE_SIZE)
        kernel.memory.keep_bytes_true()
        page = kernel.memory.translate(address)
        assert isinstance(page, ArenaPage)
        assert page.arena.states[page.page] == BIG
        assert page.arena.states[page.page + 1] == RESERVED
        shared = bytes(page.data[page.offset : page.offset + PAGE_SIZE])
        assert allocate(other, 2 * PAGE_SIZE) == address
        assert shared == other.read(address, PAGE_SIZE)

    def test_watched_pages_are_served_so_that_the_watcher_hears_of_writes(self) -> None:
        kernel = Kernel()
        kernel.memory.keep_bytes_true()
        heads = kernel.pool.nonpaged.base
        assert isinstance(kernel.memory.translate(heads), ServedPage)
        address = allocate(kernel, 100)
        assert isinstance(kernel.memory.translate(address), ArenaPage)
        kernel.memory.watch_page(address >> PAGE_SHIFT, lambda: None)
        assert isinstance(kernel.memory.translate(address), ServedPage)

    def test_a_page_that_was_given_back_is_nothing(self) -> None:
        kernel = Kernel()
        kernel.memory.keep_bytes_true()
        address = allocate(kernel, 5 * PAGE_SIZE)
        assert isinstance(kernel.memory.translate(address), ArenaPage)
        kernel.pool.free(address)
        assert kernel.memory.translate(address) == NoPage(Reason.UNMAPPED)


class TestOutsideOfPools:
    def test_a_whole_page_of_a_region_is_where_its_buffer_has_it(self) -> None:
        region = Region(START - 16, 3 * PAGE_SIZE, executable=True)
        memory = memory_with()
        memory.map(region)
        page = memory.translate(START + PAGE_SIZE + 7)
        assert page == RegionPage(region, PAGE_SIZE + 16, writable=True, executable=True)
        assert isinstance(page, RegionPage)
        assert page.data is region.data
        for partial in (START - 1, START + 2 * PAGE_SIZE):
            assert memory.translate(partial) == ServedPage(writable=True, executable=True)

    @pytest.mark.parametrize("writable", [True, False])
    @pytest.mark.parametrize("executable", [True, False])
    @pytest.mark.parametrize("size", [PAGE_SIZE, PAGE_SIZE - 1])
    def test_permissions_are_the_regions(
        self, writable: bool, executable: bool, size: int
    ) -> None:
        memory = memory_with()
        region = Region(START, size, writable=writable, executable=executable)
        memory.map(region)
        refused = NoPage(Reason.NOT_PERMITTED)
        assert memory.translate(START, READ) != refused
        assert (memory.translate(START, WRITE) == refused) is not writable
        assert (memory.translate(START, EXECUTE) == refused) is not executable
        memory.protect(region, writable=not writable)
        assert (memory.translate(START, WRITE) == refused) is writable

    def test_a_page_that_several_share_permits_what_any_of_them_does(self) -> None:
        memory = memory_with()
        memory.map(Region(START, 16, writable=False))
        assert memory.translate(START, WRITE) == NoPage(Reason.NOT_PERMITTED)
        memory.map(Region(START + 16, 16, writable=False, executable=True))
        assert memory.translate(START) == ServedPage(writable=False, executable=True)
        memory.attach(Bytes(START + 32, b"abcd"))
        assert memory.translate(START, WRITE) == ServedPage(writable=True, executable=True)


@given(memory=maps(), data=st.data())
@settings(max_examples=60)
def test_what_a_page_is_agrees_with_reading_and_writing(
    memory: Memory, data: st.DataObject
) -> None:
    memory.keep_bytes_true()
    for number in range((START >> PAGE_SHIFT) - 1, (START >> PAGE_SHIFT) + 8):
        address = (number << PAGE_SHIFT) + data.draw(st.integers(0, PAGE_MASK))
        page = memory.translate(address, WRITE)
        if isinstance(page, NoPage):
            with pytest.raises(FaultError) as caught:
                memory.write(address, b"x")
            if page.reason is Reason.UNMAPPED:
                assert caught.value.args == (address, WRITE)
        elif isinstance(page, RegionPage | ArenaPage):
            memory.write(address, b"x")
            at = page.offset + (address & PAGE_MASK)
            assert page.data[at : at + 1] == b"x"
            page.data[at : at + 1] = b"y"
            assert memory.read(address, 1) == b"y"
        readable = memory.translate(address, READ)
        if isinstance(readable, RegionPage | ArenaPage):
            assert memory.read(number << PAGE_SHIFT, PAGE_SIZE) == bytes(
                readable.data[readable.offset : readable.offset + PAGE_SIZE]
            )
        elif isinstance(readable, NoPage):
            assert memory.is_unmapped(number << PAGE_SHIFT, PAGE_SIZE)

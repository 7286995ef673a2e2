from __future__ import annotations

import pytest

from lookaside_sim import Kernel, LookasideList
from lookaside_sim.memory import Uncached
from lookaside_sim.memory.arena import BIG, BLOCKS, EXPOSED, RESERVED
from lookaside_sim.memory.slots import Slot
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.trace import record
from tests.helpers import allocated as allocate
from tests.helpers import both_machines, cache_link, cached_link, read_pointer
from tests.pool.helpers import body


class TestLinkCache:
    """The cache changes where a word is kept, never what a reader sees."""

    @both_machines
    @pytest.mark.parametrize("true", [False, True])
    def test_what_can_be_cached(self, arch: str, true: bool) -> None:
        kernel = Kernel(arch)
        if true:
            kernel.pool.leave_model()
        memory = kernel.memory
        unit = kernel.arch.pool_header.unit
        block = allocate(kernel, 100)
        fresh_big = allocate(kernel, 2 * PAGE_SIZE)
        known_big = allocate(kernel, 2 * PAGE_SIZE)
        kernel.write(known_big, b"known")
        for entry in (block, fresh_big, known_big):
            word = kernel.read(entry, kernel.arch.pointer_size)
            assert memory.cached(entry) is not None
            assert memory.cached(entry) is memory.cached(entry)
            assert kernel.read(entry, kernel.arch.pointer_size) == word
            assert cache_link(kernel, entry, 0x1230)
            assert read_pointer(kernel, entry) == 0x1230
        for wrong in (
            None,
            "text",
            -16,
            0,
            block + unit,
            block + 1,
            fresh_big + PAGE_SIZE,
            fresh_big + unit,
            kernel.pool.nonpaged.base,
            kernel.pool.nonpaged.base + 100 * PAGE_SIZE,
        ):
            assert memory.cached(wrong) is None, wrong

    def test_a_big_page_is_filled_before_its_link_is_cached(self) -> None:
        cached, plain = Kernel(), Kernel()
        entry = allocate(cached, 2 * PAGE_SIZE)
        assert allocate(plain, 2 * PAGE_SIZE) == entry
        assert cached.memory.cached(entry) is not None
        arena = cached.pool.nonpaged.arena
        assert arena.states[(entry - arena.base) // PAGE_SIZE] == BIG
        assert read_pointer(cached, entry) == read_pointer(plain, entry) != 0

    @both_machines
    @pytest.mark.parametrize("caching", [True, False])
    def test_a_link_is_written_where_a_live_block_starts(
        self, arch: str, caching: bool
    ) -> None:
        kernel = Kernel(arch)
        memory = kernel.memory
        block, big = allocate(kernel, 100), allocate(kernel, 2 * PAGE_SIZE)
        if not caching:
            memory.stop_caching()
        for word, entry in enumerate((block, big, block), 0x10):
            rest = memory.read(entry + kernel.arch.pointer_size, 64)
            assert memory.write_link(entry, Slot(word))
            assert memory.read_pointer(entry) == word
            assert memory.read(entry + kernel.arch.pointer_size, 64) == rest
            slot = memory.slots.by_address[entry] if caching else None
            assert slot is None or slot.flink.address == word
        before = memory.read(block, 64)
        for wrong in (0, -16, block + 1, block + kernel.arch.pool_header.unit, big + PAGE_SIZE):
            assert not memory.write_link(wrong, Slot(0x99))
        assert memory.read(block, 64) == before
        kernel.check()

    def test_nothing_is_cached_while_somebody_listens(self) -> None:
        kernel = Kernel()
        entry = allocate(kernel, 100)
        memory = kernel.memory
        assert cache_link(kernel, entry, 77)
        memory.stop_caching()
        assert memory.read_pointer(entry) == 77
        assert memory.cached(entry) is None
        assert memory.slot_at(entry) is not memory.slot_at(entry)

    def test_what_a_header_refers_to(self) -> None:
        kernel = Kernel()
        memory, entry = kernel.memory, allocate(kernel, 100)
        assert memory.slot_at(0).address == 0
        assert memory.slot_at(0) is memory.slot_at(0)
        assert memory.slot_at(entry) is memory.cached(entry)
        apart = memory.slot_at(0x1230)
        assert apart.address == 0x1230
        assert cached_link(kernel, 0x1230) is None

    @both_machines
    def test_every_overlap_with_a_cached_link_reads_and_writes_it(self, arch: str) -> None:
        kernel = Kernel(arch)
        memory = kernel.memory
        pointer = kernel.arch.pointer_size
        word = 0x81828384_85868788 & ((1 << 8 * pointer) - 1)
        blocks = [allocate(kernel, body(kernel, 3)) for _ in range(4)]
        entry = blocks[2]
        reach = range(-pointer - 1, pointer + 2)
        for offset in reach:
            for length in range(2 * pointer + 3):
                assert cache_link(kernel, entry, word)
                around = bytearray(memory.read(entry - 32, 64))
                assert around[32 : 32 + pointer] == word.to_bytes(pointer, "little")
                expected = bytes(around[32 + offset : 32 + offset + length])
                assert kernel.read(entry + offset, length) == expected
                if offset < 0 or offset + length > body(kernel, 3):
                    continue  # would write over a header: see TestExposing
                data = bytes(range(1, length + 1))
                around[32 + offset : 32 + offset + length] = data
                kernel.write(entry + offset, data)
                assert kernel.read(entry - 32, 64) == bytes(around)

    @both_machines
    @pytest.mark.parametrize("size", ["largest", "two pages"])
    def test_a_page_given_back_keeps_a_cached_word(self, arch: str, size: str) -> None:
        images = []
        for caching in (True, False):
            kernel = Kernel(arch)
            if not caching:
                kernel.memory.keep_bytes_true()
            count = kernel.arch.pool_header.largest_request if size == "largest" else 8192
            lookaside = LookasideList(kernel)
            assert lookaside.initialize(size=count, tag=b"list").is_success
            entries = [lookaside.allocate() for _ in range(3)]
            for entry in entries:
                assert entry is not None
                lookaside.free(entry)
            lookaside.delete()  # frees every entry, and with it every page
            images.append([kernel.read(allocate(kernel, count), 64) for _ in range(3)])
        assert images[0] == images[1]


class TestExposing:
    """A page is exposed by a write to anything but the inside of one live block."""

    @staticmethod
    def state_after(kernel: Kernel, address: int, data: bytes) -> int:
        kernel.write(address, data)
        pool = kernel.pool.nonpaged
        return pool.arena.states[(address - pool.base) // PAGE_SIZE]

    @both_machines
    def test_a_write_inside_one_block_does_not(self, arch: str) -> None:
        kernel = Kernel(arch)
        slots = kernel.memory.slots
        size = body(kernel, 8)
        address = allocate(kernel, size)
        assert self.state_after(kernel, address, b"x" * size) == BLOCKS
        assert self.state_after(kernel, address + 5, b"x") == BLOCKS
        assert slots.decide

    @both_machines
    @pytest.mark.parametrize(("where", "length"), [("end", 1), ("end", 4), ("start", 1)])
    def test_a_write_over_a_header_does(self, arch: str, where: str, length: int) -> None:
        kernel = Kernel(arch)
        size = body(kernel, 8)
        address = allocate(kernel, size)
        at = address + size if where == "end" else address - length
        assert self.state_after(kernel, at, kernel.read(at, length)) == EXPOSED
        assert not kernel.memory.slots.decide

    def test_an_overrun_by_one_byte_does(self) -> None:
        kernel = Kernel()
        size = body(kernel, 8)
        address = allocate(kernel, size)
        assert self.state_after(kernel, address, b"x" * (size + 1)) == EXPOSED

    def test_a_write_before_the_first_block_of_a_page_does(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 100)
        assert self.state_after(kernel, address - 8, b"x") == EXPOSED

    def test_a_write_into_the_big_part_of_a_last_page_does_not(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, PAGE_SIZE + 100)
        assert self.state_after(kernel, address + PAGE_SIZE, b"x" * 100) == BLOCKS
        assert self.state_after(kernel, address + PAGE_SIZE + 99, b"xx") == EXPOSED

    def test_a_write_into_a_block_in_the_tail_of_a_big_allocation_does_not(self) -> None:
        kernel = Kernel()
        big = allocate(kernel, PAGE_SIZE + 100)
        block = allocate(kernel, 100)
        assert block // PAGE_SIZE == big // PAGE_SIZE + 1
        assert self.state_after(kernel, block, b"x" * 100) == BLOCKS

    def test_exposing_puts_the_cached_words_of_the_page_back(self) -> None:
        kernel = Kernel()
        one, other = allocate(kernel, 100), allocate(kernel, 100)
        away = allocate(kernel, 2 * PAGE_SIZE)
        memory = kernel.memory
        assert memory.slots.decide
        for _ in range(2):  # first it leaves the model, then it only exposes one more page
            for entry in (one, other, away):
                if memory.cached(entry) is not None:
                    assert cache_link(kernel, entry, 0x1234)
            assert self.state_after(kernel, one - 1, b"x") == EXPOSED
            assert [memory.read_pointer(entry) for entry in (one, other, away)] == [0x1234] * 3
            assert memory.cached(one) is None
        assert cached_link(kernel, away) == 0x1234

    def test_exposing_twice_or_another_kind_of_page_changes_nothing(self) -> None:
        kernel = Kernel()
        allocate(kernel, 2 * PAGE_SIZE)
        arena = kernel.pool.nonpaged.arena
        kernel.memory.expose(arena, 1)
        assert arena.states[1] == RESERVED

    def test_a_page_is_cacheable_again_for_its_next_owner(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 4064)
        kernel.write(address - 8, kernel.read(address - 8, 8))
        assert kernel.memory.cached(address) is None
        kernel.pool.free(address)
        assert allocate(kernel, 4064) == address
        assert kernel.memory.cached(address) is not None


class TestReasons:
    """Why nothing is cached: several reasons, each ended by nobody but who gave it."""

    def test_a_listener_that_leaves_lets_words_be_cached_again(self) -> None:
        kernel = Kernel()
        entry = allocate(kernel, 100)
        kernel.memory.stop_caching(Uncached.LISTENED_TO)
        assert kernel.memory.cached(entry) is None
        kernel.memory.resume_caching(Uncached.LISTENED_TO)
        assert kernel.memory.caching
        assert kernel.memory.cached(entry) is not None

    def test_a_kernel_caches_again_when_its_recorder_has_left(self) -> None:
        kernel = Kernel()
        lookaside = LookasideList(kernel)
        lookaside.initialize(size=100, tag=b"List")
        entry = allocate(kernel, 100)
        with record(kernel):
            lookaside.free(entry)
            assert kernel.memory.cached(entry) is None
        assert lookaside.allocate() == entry
        lookaside.free(entry)
        assert cached_link(kernel, entry) == 0

    @pytest.mark.parametrize("order", [("listen", "keep"), ("keep", "listen")])
    def test_bytes_stay_true_whoever_listens_and_leaves(self, order: tuple[str, str]) -> None:
        kernel = Kernel()
        memory = kernel.memory
        entry = allocate(kernel, 100)
        assert cache_link(kernel, entry, 77)
        for step in order:
            if step == "keep":
                memory.keep_bytes_true()
            else:
                memory.stop_caching(Uncached.LISTENED_TO)
        memory.resume_caching(Uncached.LISTENED_TO)
        assert memory.bytes_are_true
        assert not memory.caching
        assert memory.cached(entry) is None
        arena = kernel.pool.nonpaged.arena
        at = entry - arena.base
        assert arena.data[at : at + 8] == (77).to_bytes(8, "little")

    @pytest.mark.parametrize("reason", [Uncached.STOPPED, Uncached.BYTES_ARE_TRUE])
    def test_what_is_for_good_cannot_end(self, reason: Uncached) -> None:
        memory = Kernel().memory
        memory.stop_caching(reason)
        with pytest.raises(ValueError, match="LISTENED_TO"):
            memory.resume_caching(reason)
        memory.resume_caching()
        assert not memory.caching
        assert memory.bytes_are_true

    def test_bytes_are_not_true_while_somebody_merely_listens(self) -> None:
        memory = Kernel().memory
        assert not memory.bytes_are_true
        memory.stop_caching(Uncached.LISTENED_TO)
        assert not memory.bytes_are_true

    @both_machines
    def test_a_list_works_on_true_bytes_as_it_does_on_cached_ones(self, arch: str) -> None:
        seen = []
        for true in (True, False):
            kernel = Kernel(arch)
            if true:
                kernel.memory.keep_bytes_true()
            lookaside = LookasideList(kernel)
            lookaside.initialize(size=100, tag=b"List")
            entries = [lookaside.allocate() for _ in range(6)]
            for entry in entries:
                lookaside.free(entry)
            again = [lookaside.allocate() for _ in range(2)]
            image = kernel.read(lookaside.address, lookaside.image_size)
            bodies = [kernel.read(each, 100) for each in entries if each is not None]
            seen.append((entries, again, image, bodies))
        assert seen[0] == seen[1]

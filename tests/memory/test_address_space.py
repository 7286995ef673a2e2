from __future__ import annotations

from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList
from lookaside_sim.memory import Memory, Reason
from lookaside_sim.memory.address_space import READ, WRITE
from lookaside_sim.memory.arena import BIG, BLOCKS, CACHED, EXPOSED, RESERVED
from lookaside_sim.nt.layouts import PAGE_SIZE, architecture
from tests.pool.helpers import ARCHES, allocate, body, both_machines, stopped_by

START = 0x8000_0000


class FaultError(Exception):
    """A touch that failed: (address, operation), and the reason when memory is mapped."""


def fault(address: int, operation: int, reason: Reason = Reason.UNMAPPED, /) -> NoReturn:
    if reason is Reason.UNMAPPED:
        raise FaultError(address, operation)
    raise FaultError(address, operation, reason)


class Bytes:
    """The simplest structure: so many bytes at an address."""

    def __init__(self, address: int, image: bytes) -> None:
        self.address = address
        self.image = image

    @property
    def image_size(self) -> int:
        return len(self.image)

    def store_image(self) -> bytes:
        return self.image

    def load_image(self, image: bytes) -> None:
        self.image = image


def memory_with(*structures: Bytes, arch: str = "x64") -> Memory:
    memory = Memory(architecture(arch), 0, fault)
    for structure in structures:
        memory.attach(structure)
    return memory


class TestStructures:
    def test_bytes_are_read_and_written_through_the_structure(self) -> None:
        structure = Bytes(START + 8, b"abcdef")
        memory = memory_with(structure)
        assert memory.read(START + 9, 3) == b"bcd"
        memory.write(START + 10, b"XY")
        assert structure.image == b"abXYef"

    def test_adjacent_structures_read_and_write_as_one_range(self) -> None:
        left, right = Bytes(START, b"left"), Bytes(START + 4, b"right")
        memory = memory_with(right, left)
        assert memory.read(START, 9) == b"leftright"
        memory.write(START + 2, b"1234")
        assert (left.image, right.image) == (b"le12", b"34ght")

    def test_a_structure_may_lie_across_a_page_boundary(self) -> None:
        structure = Bytes(START + PAGE_SIZE - 2, b"abcd")
        memory = memory_with(structure)
        assert memory.read(START + PAGE_SIZE - 2, 4) == b"abcd"
        assert memory.structure_at(START + PAGE_SIZE + 1) is structure
        assert memory.structure_at(START + PAGE_SIZE + 2) is None
        assert memory.structure_at(START + PAGE_SIZE - 3) is None

    @pytest.mark.parametrize("address", [0, -8, (1 << 64) - 5])
    def test_a_structure_must_lie_in_the_address_space(self, address: int) -> None:
        with pytest.raises(ValueError, match="outside the address space"):
            memory_with(Bytes(address, b"abcdef"))

    def test_a_structure_may_end_the_address_space(self) -> None:
        memory = memory_with(Bytes((1 << 32) - 4, b"last"), arch="x86")
        assert memory.read((1 << 32) - 4, 4) == b"last"

    @pytest.mark.parametrize("offset", [-3, 0, 3])
    def test_a_structure_cannot_overlap_another(self, offset: int) -> None:
        memory = memory_with(Bytes(START + 16, b"abcd"))
        with pytest.raises(ValueError, match="already mapped"):
            memory.attach(Bytes(START + 16 + offset, b"abcd"))
        assert memory.read(START + 16, 4) == b"abcd"

    def test_a_structure_cannot_lie_in_a_mapped_pool_page(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 100)
        assert not kernel.memory.is_unmapped(address, 1)
        with pytest.raises(ValueError, match="already mapped"):
            kernel.memory.attach(Bytes(address, b"abcd"))

    def test_is_unmapped_asks_about_every_byte(self) -> None:
        memory = memory_with(Bytes(START + 16, b"abcd"))
        assert memory.is_unmapped(START, 16)
        assert not memory.is_unmapped(START, 17)
        assert not memory.is_unmapped(START + 19, 1)
        assert memory.is_unmapped(START + 20, 2 * PAGE_SIZE)
        assert not memory.is_unmapped(START - 2 * PAGE_SIZE, 3 * PAGE_SIZE)


class TestFaults:
    def test_reading_faults_at_the_first_unmapped_address(self) -> None:
        memory = memory_with(Bytes(START, b"abcd"))
        with pytest.raises(FaultError) as caught:
            memory.read(START + 1, 100)
        assert caught.value.args == (START + 4, READ)

    def test_writing_faults_at_the_first_unmapped_address_and_writes_nothing(self) -> None:
        structure = Bytes(START, b"abcd")
        memory = memory_with(structure)
        with pytest.raises(FaultError) as caught:
            memory.write(START + 1, b"123456")
        assert caught.value.args == (START + 4, WRITE)
        assert structure.image == b"abcd"

    def test_an_empty_access_touches_nothing(self) -> None:
        memory = memory_with()
        memory.write(START, b"")
        assert memory.read(START, 0) == b""

    @both_machines
    @pytest.mark.parametrize("operation", [READ, WRITE])
    def test_a_kernel_stops_with_address_and_operation(self, arch: str, operation: int) -> None:
        kernel = Kernel(arch)
        address = allocate(kernel, 100)
        end = (address // PAGE_SIZE + 1) * PAGE_SIZE
        before = kernel.read(end - 8, 8)

        def touch() -> None:
            if operation == READ:
                kernel.read(end - 8, 9)
            else:
                kernel.write(end - 8, b"x" * 9)

        parameters = stopped_by(kernel, BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA, touch)
        assert parameters == (end, operation, 0, 0)
        assert kernel.memory.read(end - 8, 8) == before
        with pytest.raises(BugCheck) as again:
            kernel.read(address, 1)
        assert again.value is kernel.bugcheck

    @pytest.mark.parametrize(("address", "size"), [(-1, 1), (8, -1)])
    def test_a_negative_range_is_a_plain_error(self, address: int, size: int) -> None:
        with pytest.raises(ValueError, match="-1: give 0 to"):
            Kernel().read(address, size)

    def test_each_pool_address_outside_its_pages_is_unmapped(self) -> None:
        kernel = Kernel()
        for address in (
            kernel.pool.nonpaged.base + PAGE_SIZE,  # no page taken so far
            kernel.pool.nonpaged.base + 1000 * PAGE_SIZE,  # not even backed
            0x1000,
        ):
            assert kernel.memory.is_unmapped(address, 1)
            assert not kernel.memory.is_mapped(address, 1)
        assert kernel.memory.is_mapped(allocate(kernel, 1), 1)

    def test_a_range_is_mapped_when_all_of_it_is(self) -> None:
        kernel = Kernel()
        big = allocate(kernel, 5 * PAGE_SIZE)
        assert kernel.memory.is_mapped(big, 5 * PAGE_SIZE)
        assert kernel.memory.is_mapped(big + PAGE_SIZE - 1, 2)
        assert not kernel.memory.is_mapped(big, 5 * PAGE_SIZE + 1)
        first, second = LookasideList(kernel), LookasideList(kernel)
        assert second.address == first.address + first.image_size
        assert kernel.memory.is_mapped(first.address + 8, first.image_size)
        assert not kernel.memory.is_mapped(second.address + 8, second.image_size)


class TestPoolBytes:
    @both_machines
    def test_read_and_write_across_pages(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocate(kernel, 3 * PAGE_SIZE)
        data = bytes(i * 7 % 256 for i in range(2 * PAGE_SIZE))
        kernel.write(address + 100, data)
        assert kernel.read(address + 100, len(data)) == data
        assert kernel.read(address + 2 * PAGE_SIZE, 10) == data[2 * PAGE_SIZE - 100 :][:10]

    def test_pointers_are_little_endian_and_pointer_sized(self) -> None:
        for arch, size in (("x64", 8), ("x86", 4)):
            kernel = Kernel(arch)
            address = allocate(kernel, 16)
            kernel.memory.write_pointer(address, 0x01020304)
            assert kernel.read(address, size) == (0x01020304).to_bytes(size, "little")
            assert kernel.memory.read_pointer(address) == 0x01020304

    def test_pages_of_a_big_allocation_are_filled_when_first_touched(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 4 * PAGE_SIZE)
        states = kernel.pool.nonpaged.arena.states
        assert list(states[1:5]) == [RESERVED] * 4
        kernel.read(address + PAGE_SIZE, 1)
        kernel.write(address + 3 * PAGE_SIZE, b"x")
        assert list(states[1:5]) == [RESERVED, BIG, RESERVED, BIG]

    @both_machines
    def test_the_order_of_touching_pages_does_not_change_their_bytes(self, arch: str) -> None:
        images = []
        for order in ((0, 1, 2), (2, 0, 1)):
            kernel = Kernel(arch, seed=3)
            address = allocate(kernel, 3 * PAGE_SIZE)
            for page in order:
                kernel.read(address + page * PAGE_SIZE, 1)
            images.append(kernel.read(address, 3 * PAGE_SIZE))
        assert images[0] == images[1]
        assert 0 not in images[0]

    @both_machines
    def test_a_returned_page_keeps_its_bytes_for_its_next_owner(self, arch: str) -> None:
        kernel = Kernel(arch)
        size = kernel.arch.pool_header.largest_request
        address = allocate(kernel, size)
        kernel.write(address, b"secret" + bytes(size - 6))
        kernel.pool.free(address)
        assert kernel.pool.nonpaged.arena.states[1] == CACHED
        assert kernel.read(address, 6) == b"secret"  # a page cache keeps it mapped
        assert allocate(kernel, size) == address
        assert kernel.read(address, 6) == b"secret"

    @both_machines
    @pytest.mark.parametrize(
        ("pool_type", "pages", "stays_mapped"),
        [(0, 1, True), (0, 3, True), (0, 4, False), (1, 1, True), (1, 2, False)],
    )
    def test_returned_big_pages_keep_their_bytes_for_their_next_owner(
        self, arch: str, pool_type: int, pages: int, stays_mapped: bool
    ) -> None:
        """Page caches hold runs of 1 page for paged, of 1 to 3 for nonpaged pool."""
        kernel = Kernel(arch)
        size = pages * PAGE_SIZE
        address = allocate(kernel, size, pool_type=pool_type)
        kernel.write(address + size - 6, b"secret")
        kernel.pool.free(address)
        assert kernel.memory.is_unmapped(address, size) is not stays_mapped
        assert allocate(kernel, size, pool_type=pool_type) == address
        assert kernel.read(address + size - 6, 6) == b"secret"
        kernel.check()

    def test_a_cached_page_that_was_never_touched_is_still_filled_once(self) -> None:
        kernel, other = Kernel(), Kernel()
        address = allocate(kernel, 2 * PAGE_SIZE)
        kernel.pool.free(address)
        seen = kernel.read(address, 2 * PAGE_SIZE)
        assert allocate(kernel, 2 * PAGE_SIZE) == allocate(other, 2 * PAGE_SIZE)
        assert kernel.read(address, 2 * PAGE_SIZE) == seen
        assert other.read(address, 2 * PAGE_SIZE) == seen

    def test_writes_into_watched_pages_are_told(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 100)
        told: list[int] = []
        kernel.memory.watch_page(address // PAGE_SIZE, lambda: told.append(1))
        kernel.read(address, 4)
        assert told == []
        kernel.write(address, b"abcd")
        assert told == [1]


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
        size = body(kernel, 8)
        address = allocate(kernel, size)
        assert self.state_after(kernel, address, b"x" * size) == BLOCKS
        assert self.state_after(kernel, address + 5, b"x") == BLOCKS

    @both_machines
    @pytest.mark.parametrize(("where", "length"), [("end", 1), ("end", 4), ("start", 1)])
    def test_a_write_over_a_header_does(self, arch: str, where: str, length: int) -> None:
        kernel = Kernel(arch)
        size = body(kernel, 8)
        address = allocate(kernel, size)
        at = address + size if where == "end" else address - length
        assert self.state_after(kernel, at, kernel.read(at, length)) == EXPOSED

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
        for entry in (one, other, away):
            assert memory.cache(entry)
            memory.links[entry] = 0x1234
        assert self.state_after(kernel, one - 1, b"x") == EXPOSED
        assert set(memory.links) == {away}
        assert [memory.read_pointer(entry) for entry in (one, other, away)] == [0x1234] * 3
        assert not memory.cache(one)

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
        assert not kernel.memory.cache(address)
        kernel.pool.free(address)
        assert allocate(kernel, 4064) == address
        assert kernel.memory.cache(address)


class TestBlockStart:
    @both_machines
    def test_finds_the_header_of_the_live_block_below(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocate(kernel, 100)
        header = address - kernel.arch.pool_header.size
        for where in (address, address + 99, address + 1000):
            assert kernel.memory.block_start(where) == header
        assert kernel.memory.block_start(header) is None
        assert kernel.memory.block_start(address + PAGE_SIZE) is None
        assert kernel.memory.block_start(0x1000) is None


class TestLinkCache:
    """The cache changes where a word is kept, never what a reader sees."""

    @both_machines
    def test_what_can_be_cached(self, arch: str) -> None:
        kernel = Kernel(arch)
        memory = kernel.memory
        unit = kernel.arch.pool_header.unit
        block = allocate(kernel, 100)
        fresh_big = allocate(kernel, 2 * PAGE_SIZE)
        known_big = allocate(kernel, 2 * PAGE_SIZE)
        kernel.write(known_big, b"known")
        for entry in (block, fresh_big, known_big):
            word = int.from_bytes(kernel.read(entry, kernel.arch.pointer_size), "little")
            assert memory.cache(entry)
            assert memory.links[entry] == word
            assert memory.cache(entry)  # it is cached already
        for wrong in (
            -16,
            0,
            block + unit,
            block + 1,
            fresh_big + PAGE_SIZE,
            fresh_big + unit,
            kernel.pool.nonpaged.base,
            kernel.pool.nonpaged.base + 100 * PAGE_SIZE,
        ):
            assert not memory.cache(wrong), wrong

    def test_a_big_page_is_filled_before_its_word_is_cached(self) -> None:
        cached, plain = Kernel(), Kernel()
        entry = allocate(cached, 2 * PAGE_SIZE)
        assert allocate(plain, 2 * PAGE_SIZE) == entry
        assert cached.memory.cache(entry)
        assert cached.memory.links[entry] == plain.memory.read_pointer(entry) != 0

    def test_nothing_is_cached_after_caching_was_stopped(self) -> None:
        kernel = Kernel()
        entry = allocate(kernel, 100)
        memory = kernel.memory
        assert memory.cache(entry)
        memory.links[entry] = 77
        memory.stop_caching()
        assert not memory.links
        assert memory.read_pointer(entry) == 77
        assert not memory.cache(entry)

    @both_machines
    def test_every_overlap_with_a_cached_word_reads_and_writes_it(self, arch: str) -> None:
        kernel = Kernel(arch)
        memory = kernel.memory
        pointer = kernel.arch.pointer_size
        word = 0x81828384_85868788 & ((1 << 8 * pointer) - 1)
        blocks = [allocate(kernel, body(kernel, 3)) for _ in range(4)]
        entry = blocks[2]
        reach = range(-pointer - 1, pointer + 2)
        for offset in reach:
            for length in range(2 * pointer + 3):
                assert memory.cache(entry)
                memory.links[entry] = word
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
                kernel.memory.stop_caching()
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


SPAN = 4 * PAGE_SIZE


@st.composite
def accesses(draw: st.DrawFn) -> list[tuple[str, int, bytes]]:
    steps = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(["link", "cache", "write", "near", "read", "over"]))
        data = draw(st.binary(min_size=0, max_size=24))
        steps.append((kind, draw(st.integers(0, SPAN - 25)), data))
    return steps


@pytest.mark.parametrize("arch", ARCHES)
@given(steps=accesses())
@settings(max_examples=40, deadline=None)
def test_memory_is_a_plain_array_of_bytes_whatever_is_cached(
    arch: str, steps: list[tuple[str, int, bytes]]
) -> None:
    """Two pages of blocks, a big allocation and blocks in its tail, against a bytearray."""
    kernel = Kernel(arch)
    memory = kernel.memory
    pointer = kernel.arch.pointer_size
    units = kernel.arch.pool_header.units_per_page // 4
    small = [allocate(kernel, body(kernel, units)) for _ in range(8)]
    big = allocate(kernel, PAGE_SIZE + 500)
    entries = [*small, big, allocate(kernel, 100), allocate(kernel, 200)]
    base = small[0] // PAGE_SIZE * PAGE_SIZE
    assert big == base + 2 * PAGE_SIZE
    model = bytearray(kernel.read(base, SPAN))

    def write(at: int, data: bytes) -> None:
        kernel.write(base + at, data)
        model[at : at + len(data)] = data

    for kind, number, data in steps:
        entry = entries[number % len(entries)]
        at = entry - base
        if kind == "cache":
            memory.cache(entry)
        elif kind == "link":  # what a lookaside list does
            word = int.from_bytes(data[:pointer].ljust(pointer, b"\1"), "little")
            if memory.cache(entry):
                memory.links[entry] = word
                model[at : at + pointer] = word.to_bytes(pointer, "little")
            else:
                write(at, word.to_bytes(pointer, "little"))
        elif kind == "write":  # inside the body
            write(at + number % 16, data)
        elif kind == "near":  # over the end of the header, into the body
            write(at - number % 8, data)
        elif kind == "over":
            write(number, data)
        else:
            assert kernel.read(base + number, len(data)) == model[number : number + len(data)]
            assert kernel.read(entry - 3, 8) == model[at - 3 : at + 5]
    assert kernel.read(base, SPAN) == model
    memory.stop_caching()
    assert kernel.read(base, SPAN) == model

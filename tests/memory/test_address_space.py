from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.memory import Memory, Reason, Region
from lookaside_sim.memory.address_space import READ, WRITE
from lookaside_sim.memory.arena import BIG, CACHED, RESERVED
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import ARCHES, both_machines, cache_link, cached_link, nowhere, stopped_by
from tests.helpers import allocated as allocate
from tests.memory.helpers import ARENA, SPAN, START, Bytes, FaultError, maps, memory_with
from tests.pool.helpers import body


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


WHOLE = 4 * PAGE_SIZE


@st.composite
def accesses(draw: st.DrawFn) -> list[tuple[str, int, bytes]]:
    steps = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(["link", "cache", "write", "near", "read", "over"]))
        data = draw(st.binary(min_size=0, max_size=24))
        steps.append((kind, draw(st.integers(0, WHOLE - 25)), data))
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
    model = bytearray(kernel.read(base, WHOLE))

    def write(at: int, data: bytes) -> None:
        kernel.write(base + at, data)
        model[at : at + len(data)] = data

    for kind, number, data in steps:
        entry = entries[number % len(entries)]
        at = entry - base
        if kind == "cache":
            memory.cached(entry)
        elif kind == "link":  # what a lookaside list does
            word = int.from_bytes(data[:pointer].ljust(pointer, b"\1"), "little")
            if cache_link(kernel, entry, word):
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
    assert kernel.read(base, WHOLE) == model
    memory.stop_caching()
    assert kernel.read(base, WHOLE) == model


class TestPeeking:
    """A debugger's look: holes instead of faults, and nothing changes."""

    def test_holes_are_none_and_the_rest_is_there(self) -> None:
        memory = memory_with(Bytes(START + 8, b"abcd"))
        memory.map(Region(START + 14, 3, contents=b"xyz"))
        seen = memory.peek(START + 6, 12)
        assert seen == [None, None, *b"abcd", None, None, *b"xyz", None]
        assert memory.peek_bytes(START + 8, 4) == b"abcd"
        assert memory.peek_bytes(START + 8, 5) is None
        assert memory.peek_bytes(START, 0) == b""

    def test_a_long_hole_is_crossed(self) -> None:
        memory = memory_with(Bytes(START + 5 * PAGE_SIZE, b"abcd"))
        seen = memory.peek(START, 6 * PAGE_SIZE)
        assert [i for i, byte in enumerate(seen) if byte is not None] == [
            5 * PAGE_SIZE + i for i in range(4)
        ]

    @both_machines
    def test_a_fresh_page_is_seen_without_being_touched(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocate(kernel, 2 * PAGE_SIZE)
        arena = kernel.pool.nonpaged.arena
        before = bytes(arena.states)
        seen = kernel.memory.peek_bytes(address + 100, PAGE_SIZE)
        assert arena.states == before
        assert seen == kernel.read(address + 100, PAGE_SIZE)
        assert arena.states != before

    def test_cached_words_are_seen_and_stay_cached(self) -> None:
        kernel = Kernel()
        entry = allocate(kernel, 100)
        memory = kernel.memory
        assert cache_link(kernel, entry, 0x1122)
        assert memory.peek_pointer(entry) == 0x1122
        assert memory.peek(entry + 1, 2) == [0x11, 0]
        assert cached_link(kernel, entry) == 0x1122

    def test_a_pointer_with_a_hole_is_none(self) -> None:
        memory = memory_with(Bytes(START, bytes(range(1, 12))))
        assert memory.peek_pointer(START) == 0x0807060504030201
        assert memory.peek_pointer(START + 4) is None

    def test_a_structure_that_cannot_be_rendered_is_a_hole(self) -> None:
        class Gone(Bytes):
            def store_image(self) -> bytes:
                raise LookasideSimError("its memory is gone")

        memory = memory_with(Gone(START, b"abcd"), Bytes(START + 4, b"efgh"))
        assert memory.peek(START + 2, 4) == [None, None, *b"ef"]
        with pytest.raises(LookasideSimError):
            memory.read(START, 1)

    def test_behind_the_last_address_is_a_hole(self) -> None:
        memory = memory_with(Bytes((1 << 32) - 2, b"ab"), arch="x86")
        assert memory.peek((1 << 32) - 2, 4) == [*b"ab", None, None]

    @pytest.mark.parametrize(("address", "size"), [(-1, 1), (8, -1), (1 << 64, 1)])
    def test_a_range_that_is_none_is_a_plain_error(self, address: int, size: int) -> None:
        memory = memory_with()
        for look in (memory.peek, memory.peek_bytes):
            with pytest.raises(ValueError, match="give 0 to"):
                look(address, size)

    def test_a_stopped_machine_can_be_looked_at(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 100)
        with pytest.raises(BugCheck):
            kernel.read(nowhere(kernel), 1)
        assert kernel.memory.peek_bytes(address, 4) is not None
        assert kernel.memory.peek(0x1000, 1) == [None]


ranges = st.lists(
    st.tuples(
        st.builds(
            lambda start, at: start + at,
            st.sampled_from([START - 100, START, ARENA - 8, ARENA, ARENA + 2 * PAGE_SIZE]),
            st.integers(0, SPAN - 1),
        ),
        st.sampled_from([0, 1, 8, 300, 3 * PAGE_SIZE]),
    ),
    min_size=1,
    max_size=12,
)


@given(memory=maps(), asked=ranges)
def test_peeking_sees_what_reading_would(memory: Memory, asked: list[tuple[int, int]]) -> None:
    seen = [memory.peek(address, size) for address, size in asked]
    for (address, size), looked in zip(asked, seen, strict=True):
        got = None
        if None in looked:
            with pytest.raises(FaultError) as caught:
                memory.read(address, size)
            assert caught.value.args == (address + looked.index(None), READ)
        else:
            got = memory.read(address, size)
            assert looked == list(got)
        assert memory.is_mapped(address, size) is (got is not None)
        assert len(looked) == size
        assert memory.is_unmapped(address, size) is (looked == [None] * size)
        assert memory.peek_bytes(address, size) == got
        assert memory.peek(address, size) == looked


@given(memory=maps(), writes=ranges)
def test_memory_is_a_dict_of_bytes_wherever_it_is_mapped(
    memory: Memory, writes: list[tuple[int, int]]
) -> None:
    spans = ((START - 100, SPAN + 3 * PAGE_SIZE), (ARENA, 12 * PAGE_SIZE))
    model = {
        at + i: byte
        for at, size in spans
        for i, byte in enumerate(memory.peek(at, size))
        if byte is not None
    }
    code = {
        address
        for address in model
        if (region := memory.region_at(address)) is not None and not region.writable
    }
    for number, (address, size) in enumerate(writes):
        data = bytes((number + i) % 255 + 1 for i in range(size))
        bad = [at for at in range(address, address + size) if at not in model or at in code]
        if bad:
            with pytest.raises(FaultError) as caught:
                memory.write(address, data)
            reasons = () if bad[0] not in model else (Reason.NOT_PERMITTED,)
            assert caught.value.args == (bad[0], WRITE, *reasons)
        else:
            memory.write(address, data)
            model.update(zip(range(address, address + size), data, strict=True))
    for at, size in spans:
        assert memory.peek(at, size) == [model.get(at + i) for i in range(size)]

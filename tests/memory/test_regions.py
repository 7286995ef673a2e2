from __future__ import annotations

import mmap

import pytest

from lookaside_sim import Kernel, LookasideList
from lookaside_sim.memory import Memory, Reason, Region
from lookaside_sim.memory.regions import Regions
from lookaside_sim.memory.touch import READ, WRITE
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.memory.helpers import START, Bytes, FaultError, memory_with


def with_region(*regions: Region) -> Memory:
    memory = memory_with()
    for region in regions:
        memory.map(region)
    return memory


class TestRegion:
    def test_contents_come_first_and_zeros_follow(self) -> None:
        for size in (8, PAGE_SIZE + 3):
            region = Region(START, size, contents=b"abc")
            assert bytes(region.data[:]) == b"abc".ljust(size, b"\0")
            assert (region.size, region.end) == (size, START + size)

    @pytest.mark.parametrize("contents", [b"abcd", bytearray(b"abcd"), memoryview(b"abcd")])
    def test_contents_may_be_any_bytes(self, contents: bytes | bytearray | memoryview) -> None:
        assert bytes(Region(START, 4, contents=contents).data[:]) == b"abcd"

    def test_contents_are_counted_in_bytes(self) -> None:
        words = memoryview(b"abcdefgh").cast("I")
        with pytest.raises(ValueError, match="contents of 8 bytes: give at most size, 7"):
            Region(START, 7, contents=words)
        assert bytes(Region(START, 8, contents=words).data[:]) == b"abcdefgh"

    @pytest.mark.parametrize(
        ("size", "kind"), [(PAGE_SIZE - 1, bytearray), (PAGE_SIZE, mmap.mmap)]
    )
    def test_a_page_or_more_is_a_mapping_of_the_host(self, size: int, kind: type) -> None:
        assert type(Region(START, size).data) is kind

    @pytest.mark.parametrize(
        ("address", "size", "error"),
        [
            (0, 8, "address 0: give one above 0"),
            (-8, 8, "address -8: give one above 0"),
            (8, 0, "size 0: give 1 to"),
            (8, -1, "size -1: give 1 to"),
            (8, 1 << 60, "size 1152921504606846976: give 1 to"),
        ],
    )
    def test_a_range_that_is_none_is_refused(self, address: int, size: int, error: str) -> None:
        with pytest.raises(ValueError, match=error):
            Region(address, size)

    @pytest.mark.parametrize(("address", "size"), [("8", 8), (8, 8.0), (True, 8), (8, None)])
    def test_what_is_no_integer_is_refused(self, address: object, size: object) -> None:
        with pytest.raises(TypeError, match="give an integer"):
            Region(address, size)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("writable", "executable", "text"),
        [(True, False, "rw-"), (False, True, "r-x"), (False, False, "r--")],
    )
    def test_says_where_it_is_and_what_it_permits(
        self, writable: bool, executable: bool, text: str
    ) -> None:
        region = Region(START, 16, writable=writable, executable=executable)
        assert repr(region) == f"<Region 0x80000000 to 0x80000010 {text}>"


class TestReadingAndWriting:
    @pytest.mark.parametrize("size", [24, 3 * PAGE_SIZE])
    def test_the_buffer_is_the_memory(self, size: int) -> None:
        region = Region(START + 8, size)
        data = region.data
        memory = with_region(region)
        memory.write(START + 10, b"abcd")
        assert data[2:6] == b"abcd"
        data[3:5] = b"XY"
        assert memory.read(START + 9, 6) == b"\0aXYd\0"
        memory.unmap(region)
        memory.map(region)
        assert region.data is data
        assert memory.read(START + 10, 4) == b"aXYd"

    def test_neighbors_are_read_and_written_as_one_range(self) -> None:
        left, middle, right = Region(START, 4), Bytes(START + 4, b"1234"), Region(START + 8, 4)
        memory = with_region(left, right)
        memory.attach(middle)
        memory.write(START + 2, b"abcdefgh")
        assert memory.read(START, 12) == b"\0\0abcdefgh\0\0"
        assert middle.image == b"cdef"

    def test_a_read_or_write_past_the_end_faults_there_and_writes_nothing(self) -> None:
        memory = with_region(Region(START, 6, contents=b"abcdef"))
        for touch, operation in (
            (lambda: memory.read(START + 2, 5), READ),
            (lambda: memory.write(START + 2, b"12345"), WRITE),
        ):
            with pytest.raises(FaultError) as caught:
                touch()
            assert caught.value.args == (START + 6, operation)
        assert memory.read(START, 6) == b"abcdef"

    def test_a_write_that_is_not_permitted_faults_with_that_reason(self) -> None:
        free, fixed = Region(START, 4), Region(START + 4, 4, writable=False, contents=b"code")
        memory = with_region(free, fixed)
        with pytest.raises(FaultError) as caught:
            memory.write(START + 2, b"1234")
        assert caught.value.args == (START + 4, WRITE, Reason.NOT_PERMITTED)
        assert memory.read(START, 8) == b"\0\0\0\0code"

    def test_the_first_address_that_cannot_be_touched_is_told(self) -> None:
        memory = with_region(Region(START + 4, 4, writable=False))
        with pytest.raises(FaultError) as caught:
            memory.write(START + 2, b"1234")
        assert caught.value.args == (START + 2, WRITE)

    def test_protecting_changes_what_a_write_may_do(self) -> None:
        region = Region(START, 4)
        memory = with_region(region)
        memory.protect(region, writable=False)
        with pytest.raises(FaultError):
            memory.write(START, b"x")
        memory.protect(region, executable=True)
        assert (region.writable, region.executable) == (False, True)
        memory.protect(region, writable=True)
        memory.write(START, b"x")
        assert region.executable
        assert memory.read(START, 1) == b"x"

    def test_a_write_touches_no_more_of_a_large_region_than_it_writes(self) -> None:
        region = Region(START, 1 << 30)  # rendering this would take a second and a gigabyte
        memory = with_region(region)
        for _ in range(2000):
            memory.write(START + (1 << 29), b"abcd")
            assert memory.read(START + (1 << 29) + 1, 2) == b"bc"


class TestMapping:
    @pytest.mark.parametrize("offset", [-3, 0, 3])
    def test_a_region_cannot_overlap_a_region_or_a_structure(self, offset: int) -> None:
        memory = with_region(Region(START + 16, 4))
        memory.attach(Bytes(START + 32, b"abcd"))
        for address in (START + 16 + offset, START + 32 + offset):
            with pytest.raises(ValueError, match="already mapped"):
                memory.map(Region(address, 4))
            assert memory.region_at(START + 16 - 1) is None
        memory.map(Region(START + 20, 12))

    @pytest.mark.parametrize("offset", [-3, 0, 12])
    def test_a_structure_cannot_lie_in_a_region(self, offset: int) -> None:
        memory = with_region(Region(START + 16, 16))
        with pytest.raises(ValueError, match="already mapped"):
            memory.attach(Bytes(START + 16 + offset, b"abcd"))
        assert memory.structure_at(START + 16) is None

    def test_a_list_that_is_placed_by_itself_avoids_regions(self) -> None:
        kernel = Kernel()
        first = LookasideList(kernel)
        next_page = (first.address // PAGE_SIZE + 1) * PAGE_SIZE
        region = Region(next_page, PAGE_SIZE)
        kernel.memory.map(region)
        placed = [LookasideList(kernel).address for _ in range(100)]
        assert any(address > region.end for address in placed)
        assert not any(region.address <= address < region.end for address in placed)

    @pytest.mark.parametrize("page", [1, 1000])
    def test_nothing_lies_where_a_pool_may_grow(self, page: int) -> None:
        kernel = Kernel()
        address = kernel.pool.nonpaged.base + page * PAGE_SIZE
        with pytest.raises(ValueError, match="set aside for the pool"):
            kernel.memory.map(Region(address, 16))
        with pytest.raises(ValueError, match="set aside for the pool"):
            kernel.memory.attach(Bytes(address, b"abcd"))
        assert kernel.memory.is_unmapped(address, PAGE_SIZE)

    def test_a_region_must_lie_in_the_address_space(self) -> None:
        memory = memory_with(arch="x86")
        with pytest.raises(ValueError, match="outside the address space"):
            memory.map(Region((1 << 32) - 4, 5))
        last = Region((1 << 32) - 4, 4, contents=b"last")
        memory.map(last)
        assert memory.read((1 << 32) - 4, 4) == b"last"

    def test_what_is_not_mapped_cannot_be_unmapped_or_protected(self) -> None:
        mapped, other = Region(START, 16), Region(START, 16)
        memory = with_region(mapped)
        with pytest.raises(ValueError, match="give one that is mapped here"):
            memory.unmap(other)
        with pytest.raises(ValueError, match="give one that is mapped here"):
            memory.protect(other, writable=False)
        assert other.writable
        assert memory.region_at(START) is mapped
        memory.unmap(mapped)
        assert memory.is_unmapped(START, 16)
        with pytest.raises(ValueError, match="give one that is mapped here"):
            memory.unmap(mapped)

    def test_detaching_structures_leaves_regions(self) -> None:
        region, structure = Region(START, 16), Bytes(START + 16, b"abcd")
        memory = with_region(region)
        memory.attach(structure)
        assert memory.detach_range(START, START + PAGE_SIZE) == [structure]
        assert memory.region_at(START + 15) is region
        assert memory.is_unmapped(START + 16, 4)

    def test_mapped_and_unmapped_are_exact_to_the_byte(self) -> None:
        memory = with_region(Region(START + 16, PAGE_SIZE))
        memory.attach(Bytes(START + 16 + PAGE_SIZE, b"abcd"))
        end = START + 16 + PAGE_SIZE + 4
        assert memory.is_mapped(START + 16, PAGE_SIZE + 4)
        assert not memory.is_mapped(START + 15, 2)
        assert not memory.is_mapped(end - 1, 2)
        assert memory.is_unmapped(START, 16)
        assert not memory.is_unmapped(START, 17)
        assert memory.is_unmapped(end, 100)
        assert not memory.is_unmapped(end - 1, 1)
        for address in (START, START + 16):
            assert memory.is_mapped(address, 0)
            assert memory.is_unmapped(address, 0)


def test_the_table_finds_what_it_holds_and_nothing_else() -> None:
    regions = Regions()
    held = [Region(START + 100 * i, 50) for i in range(1, 6)]
    for region in (held[3], held[0], held[4], held[2], held[1]):
        regions.add(region)
    for region in held:
        assert regions.at(region.address) is regions.at(region.end - 1) is region
        assert regions.at(region.end) is regions.at(region.address - 1) is None
    assert regions.overlapping(START, START + 1000) == held
    assert regions.overlapping(held[1].end - 1, held[3].address + 1) == held[1:4]
    assert regions.overlapping(held[1].end, held[3].address) == [held[2]]
    assert regions.overlapping(held[1].address, held[1].address) == []
    regions.remove(held[2])
    assert held[2] not in regions
    assert regions.overlapping(START, START + 1000) == [held[i] for i in (0, 1, 3, 4)]

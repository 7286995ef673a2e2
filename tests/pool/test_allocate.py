"""Where an allocation lies: its size, its header, and which block is taken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import Kernel, PoolTag, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import ARCHES, allocated, both_machines
from tests.pool.helpers import (
    RAISE,
    TAG,
    Header,
    blocks_at_end,
    body,
    first_page,
    free_list,
    page_count,
    read_header,
)


class TestBlockSize:
    """BlockSize for a request of n bytes: header added, rounded up to units."""

    @pytest.mark.parametrize(
        ("arch", "request_size", "block"),
        [
            ("x64", 0, 32),
            ("x64", 1, 32),
            ("x64", 16, 32),
            ("x64", 17, 48),
            ("x64", 100, 128),
            ("x64", 0x1F0, 0x200),
            ("x64", 4048, 4064),
            ("x64", 4049, 4080),
            ("x64", 4064, 4080),
            ("x86", 0, 16),
            ("x86", 1, 16),
            ("x86", 8, 16),
            ("x86", 9, 24),
            ("x86", 100, 112),
            ("x86", 4072, 4080),
            ("x86", 4080, 4088),
        ],
    )
    def test_examples(self, arch: str, request_size: int, block: int) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, request_size)
        unit = kernel.arch.pool_header.unit
        assert read_header(kernel, address).units * unit == block
        found = kernel.pool.query(address)
        assert found is not None
        assert found.block_size == block

    @pytest.mark.parametrize(("arch", "last"), [("x64", 4064), ("x86", 4080)])
    def test_the_last_request_with_a_header(self, arch: str, last: int) -> None:
        kernel = Kernel(arch)
        header = kernel.arch.pool_header.size
        assert allocated(kernel, last) % PAGE_SIZE == header
        for size in (last + 1, 4095, 4096):
            assert allocated(kernel, size) % PAGE_SIZE == 0

    def test_zero_bytes_are_served_as_one(self) -> None:
        kernel = Kernel()
        address = allocated(kernel, 0)
        found = kernel.pool.query(address)
        assert found is not None
        assert (found.size, found.block_size) == (1, 32)
        assert kernel.pool.usage(TAG).nonpaged_bytes == 32
        kernel.pool.free(address)


class TestHeader:
    def test_x64_byte_for_byte(self) -> None:
        kernel = Kernel("x64")
        first = allocated(kernel, 100)
        last = allocated(kernel, 100, pool_type=PoolType.NonPagedPoolSession)
        # PreviousSize, PoolIndex, BlockSize, PoolType, PoolTag
        assert kernel.read(first - 16, 8) == b"\x00\x00\x08\x02Test"
        assert kernel.read(last - 16, 8) == b"\xf0\x00\x08\x22Test"

    def test_x86_byte_for_byte(self) -> None:
        kernel = Kernel("x86")
        first = allocated(kernel, 100, pool_type=PoolType.PagedPool)
        last = allocated(kernel, 100, pool_type=PoolType.PagedPool)
        # PreviousSize : 9, PoolIndex : 7; BlockSize : 9, PoolType : 7; PoolTag
        assert kernel.read(first - 8, 8) == b"\x00\x00\x0e\x06Test"
        assert kernel.read(last - 8, 8) == b"\xe4\x01\x0e\x06Test"

    @both_machines
    @pytest.mark.parametrize(
        ("pool_type", "byte"),
        [
            (PoolType.NonPagedPool, 0x02),
            (PoolType.PagedPool, 0x03),
            (PoolType.NonPagedPoolNx, 0x02),
            (PoolType.NonPagedPoolCacheAligned, 0x06),
            (PoolType.PagedPoolCacheAligned, 0x07),
            (PoolType.NonPagedPoolSession, 0x22),
            (PoolType.PagedPoolSession, 0x23),
            (PoolType.NonPagedPool | PoolType.POOL_ZERO_ALLOCATION, 0x02),
            (PoolType.PagedPool | PoolType.POOL_COLD_ALLOCATION, 0x03),
            (PoolType.NonPagedPool | PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 0x02),
            (PoolType.NonPagedPool | RAISE, 0x02),
        ],
    )
    def test_pool_type_byte(self, arch: str, pool_type: PoolType, byte: int) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, 100, pool_type=pool_type)
        assert read_header(kernel, address).block_type == byte

    @both_machines
    def test_the_tag_lies_in_memory_order_protected_bit_included(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, 100, PoolTag(0xEE657645))
        assert read_header(kernel, address).tag == b"\x45\x76\x65\xee"

    @both_machines
    def test_sizes_link_all_blocks_of_a_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        unit, size = kernel.arch.pool_header.unit, kernel.arch.pool_header.size
        live = {allocated(kernel, request) for request in (100, 1, 60, 333)}
        at, previous, found = first_page(kernel), 0, set()
        while at < first_page(kernel) + PAGE_SIZE:
            header = read_header(kernel, at + size)
            assert header.previous == previous
            if header.block_type:
                found.add(at + size)
            previous = header.units
            at += previous * unit
        assert at == first_page(kernel) + PAGE_SIZE
        assert found == live


class TestOrder:
    """Scan the lists upwards from the block's size and take the first head."""

    @both_machines
    def test_a_fresh_page_gives_its_front_and_the_rest_is_one_free_block(
        self, arch: str
    ) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        address = allocated(kernel, body(kernel, 8))
        assert address == first_page(kernel) + layout.size
        rest = layout.units_per_page - 8
        remainder = address + 8 * layout.unit
        assert read_header(kernel, remainder) == Header(8, rest, 0, b"Free")
        assert free_list(kernel, rest) == [remainder]
        assert page_count(kernel) == 1

    @both_machines
    def test_the_rest_of_a_fresh_page_goes_to_the_tail_of_its_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        units = layout.units_per_page // 2 + 1
        addresses = [allocated(kernel, body(kernel, units)) for _ in range(3)]
        assert page_count(kernel) == 3
        assert [address - first_page(kernel) for address in addresses] == [
            page * PAGE_SIZE + layout.size for page in range(3)
        ]
        rests = [address + units * layout.unit for address in addresses]
        assert free_list(kernel, layout.units_per_page - units) == rests

    @both_machines
    def test_a_block_in_a_page_gives_its_end_and_the_remainder_stays_in_front(
        self, arch: str
    ) -> None:
        kernel = Kernel(arch)
        unit = kernel.arch.pool_header.unit
        blocks = blocks_at_end(kernel, 3)
        kernel.pool.free(blocks[1])
        taken = allocated(kernel, body(kernel, 3), b"Took")
        assert taken == blocks[1] + 5 * unit
        assert read_header(kernel, blocks[1]) == Header(8, 5, 0, TAG)
        assert read_header(kernel, taken) == Header(5, 3, 2, b"Took")
        assert read_header(kernel, blocks[0]) == Header(3, 8, 2, TAG)
        assert free_list(kernel, 5) == [blocks[1]]
        assert free_list(kernel, 8) == []

    @both_machines
    def test_a_block_at_the_start_of_a_page_gives_its_front(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        first = allocated(kernel, body(kernel, 8), b"Owns")
        rest = layout.units_per_page - 8
        behind = allocated(kernel, body(kernel, rest))
        kernel.pool.free(first)
        assert free_list(kernel, 8) == [first]
        assert allocated(kernel, body(kernel, 3)) == first
        remainder = first + 3 * layout.unit
        assert read_header(kernel, first) == Header(0, 3, 2, TAG)
        assert read_header(kernel, remainder) == Header(3, 5, 0, b"Owns")
        assert read_header(kernel, behind) == Header(5, rest, 2, TAG)
        assert free_list(kernel, 5) == [remainder]

    @both_machines
    def test_a_remainder_goes_to_the_tail_of_its_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        fives = blocks_at_end(kernel, 4, units=5)
        eights = blocks_at_end(kernel, 4, units=8)
        kernel.pool.free(fives[1])
        kernel.pool.free(eights[1])
        kernel.pool.free(eights[3])  # head of its list
        taken = [allocated(kernel, body(kernel, 5)), allocated(kernel, body(kernel, 3))]
        assert taken == [fives[1], eights[3] + 5 * kernel.arch.pool_header.unit]
        kernel.pool.free(fives[1])
        assert free_list(kernel, 5) == [fives[1], eights[3]]
        allocated(kernel, body(kernel, 3))  # from the block of 5 at the head
        allocated(kernel, body(kernel, 3))  # from the other
        assert free_list(kernel, 5) == []
        assert free_list(kernel, 2) == [fives[1], eights[3]]

    @both_machines
    def test_the_head_of_the_smallest_list_with_room_is_taken(self, arch: str) -> None:
        kernel = Kernel(arch)
        nines = blocks_at_end(kernel, 4, units=9)
        sixes = blocks_at_end(kernel, 4, units=6)
        for block in (nines[1], nines[3], sixes[1], sixes[3]):
            kernel.pool.free(block)
        unit = kernel.arch.pool_header.unit
        assert allocated(kernel, body(kernel, 7)) == nines[3] + 2 * unit
        assert allocated(kernel, body(kernel, 6)) == sixes[3]
        assert allocated(kernel, body(kernel, 5)) == sixes[1] + unit
        assert allocated(kernel, body(kernel, 9)) == nines[1]

    @both_machines
    def test_a_page_is_only_taken_when_no_list_has_room(self, arch: str) -> None:
        kernel = Kernel(arch)
        units = kernel.arch.pool_header.units_per_page
        allocated(kernel, body(kernel, units - 10))
        allocated(kernel, body(kernel, 10))
        assert page_count(kernel) == 1
        allocated(kernel, 1)
        assert page_count(kernel) == 2

    @both_machines
    def test_more_pages_than_the_pool_began_with(self, arch: str) -> None:
        kernel = Kernel(arch)
        size = kernel.arch.pool_header.largest_request
        pages = len(kernel.pool.nonpaged.arena.states) + 5
        blocks = [allocated(kernel, size) for _ in range(pages)]
        for number, block in enumerate(blocks):
            kernel.write(block, bytes([number]) * size)
        assert len(kernel.pool.nonpaged.arena.states) > pages
        assert [kernel.read(block, 1)[0] for block in blocks] == list(range(pages))
        kernel.check()

    @both_machines
    def test_a_fragment_of_one_unit_is_free_and_on_no_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 3)
        kernel.pool.free(blocks[1])
        taken = allocated(kernel, body(kernel, 7))
        assert taken == blocks[1] + kernel.arch.pool_header.unit
        assert read_header(kernel, blocks[1]).units == 1
        assert read_header(kernel, blocks[1]).block_type == 0
        assert read_header(kernel, taken).previous == 1
        assert free_list(kernel, 1) == free_list(kernel, 7) == free_list(kernel, 8) == []
        kernel.check()

    @pytest.mark.parametrize(("arch", "size"), [("x64", 4064), ("x86", 4080)])
    def test_the_largest_block_leaves_one_unit_of_its_page(self, arch: str, size: int) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        address = allocated(kernel, size)
        fragment = address + (layout.units_per_page - 1) * layout.unit
        assert fragment - layout.size == first_page(kernel) + PAGE_SIZE - layout.unit
        fragment_header = kernel.read(fragment - layout.size, 8)
        assert fragment_header[4:] == b"Free"
        expected = (layout.units_per_page - 1) | 1 << 16
        assert int.from_bytes(fragment_header[:4], "little") == expected
        assert not any(free_list(kernel, n + 1) for n in range(layout.units_per_page - 1))
        kernel.check()

    def test_each_pool_has_pages_and_lists_of_its_own(self) -> None:
        kernel = Kernel()
        pool = kernel.pool
        types = (PoolType.NonPagedPool, PoolType.NonPagedPoolNx, PoolType.PagedPool)
        for kind, descriptor in zip(types, pool.descriptors, strict=True):
            address = allocated(kernel, 100, pool_type=kind)
            assert pool.descriptor_at(address) is descriptor
            assert address == descriptor.base + PAGE_SIZE + 16
            assert free_list(kernel, 248, descriptor) == [address + 128]
        assert [descriptor.bytes_in_use for descriptor in pool.descriptors] == [PAGE_SIZE] * 3


@pytest.mark.parametrize("arch", ARCHES)
@given(st.lists(st.tuples(st.integers(0, 9000), st.sampled_from([0, 1, 0x200])), max_size=40))
@settings(max_examples=30, deadline=None)
def test_alignment_pages_and_overlap(arch: str, requests: list[tuple[int, int]]) -> None:
    """Aligned to a unit; a block with a header never crosses a page; no two overlap."""
    kernel = Kernel(arch)
    layout = kernel.arch.pool_header
    taken: list[tuple[int, int]] = []
    for size, kind in requests:
        address = allocated(kernel, size, pool_type=kind)
        assert address % kernel.arch.maximum_alignment == 0
        if size > layout.largest_request:
            assert address % PAGE_SIZE == 0
            taken.append((address, address + size))
        else:
            end = address + read_header(kernel, address).units * layout.unit - layout.size
            assert end >= address + max(size, 1)
            assert (address - layout.size) // PAGE_SIZE == (end - 1) // PAGE_SIZE
            taken.append((address - layout.size, end))
    taken.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(taken))
    kernel.check()

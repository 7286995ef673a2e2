from __future__ import annotations

from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import BugCheckCode, Kernel, NtStatus, NtStatusError, PoolTag, PoolType
from lookaside_sim.machine.calls import Observer
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.descriptor import PoolDescriptor
from tests.pool.helpers import (
    ARCHES,
    RAISE,
    TAG,
    ZERO,
    Header,
    allocate,
    blocks_at_end,
    body,
    both_machines,
    first_page,
    free_list,
    page_count,
    read_header,
    stopped_by,
)

#: What ExInitializeLookasideListEx takes.
LIST_TYPES = [kind for kind in range(0x400) if not kind & ~0x3E7 and kind & 3 != 3]


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
        address = allocate(kernel, request_size)
        unit = kernel.arch.pool_header.unit
        assert read_header(kernel, address).units * unit == block
        found = kernel.pool.query(address)
        assert found is not None
        assert found.block_size == block

    @pytest.mark.parametrize(("arch", "last"), [("x64", 4064), ("x86", 4080)])
    def test_the_last_request_with_a_header(self, arch: str, last: int) -> None:
        kernel = Kernel(arch)
        header = kernel.arch.pool_header.size
        assert allocate(kernel, last) % PAGE_SIZE == header
        for size in (last + 1, 4095, 4096):
            assert allocate(kernel, size) % PAGE_SIZE == 0

    def test_zero_bytes_are_served_as_one(self) -> None:
        kernel = Kernel()
        address = allocate(kernel, 0)
        found = kernel.pool.query(address)
        assert found is not None
        assert (found.size, found.block_size) == (1, 32)
        assert kernel.pool.usage(TAG).nonpaged_bytes == 32
        kernel.pool.free(address)


class TestHeader:
    def test_x64_byte_for_byte(self) -> None:
        kernel = Kernel("x64")
        first = allocate(kernel, 100)
        last = allocate(kernel, 100, pool_type=PoolType.NonPagedPoolSession)
        # PreviousSize, PoolIndex, BlockSize, PoolType, PoolTag
        assert kernel.read(first - 16, 8) == b"\x00\x00\x08\x02Test"
        assert kernel.read(last - 16, 8) == b"\xf0\x00\x08\x22Test"

    def test_x86_byte_for_byte(self) -> None:
        kernel = Kernel("x86")
        first = allocate(kernel, 100, pool_type=PoolType.PagedPool)
        last = allocate(kernel, 100, pool_type=PoolType.PagedPool)
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
        address = allocate(kernel, 100, pool_type=pool_type)
        assert read_header(kernel, address).block_type == byte

    @both_machines
    def test_the_tag_lies_in_memory_order_protected_bit_included(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocate(kernel, 100, PoolTag(0xEE657645))
        assert read_header(kernel, address).tag == b"\x45\x76\x65\xee"

    @both_machines
    def test_sizes_link_all_blocks_of_a_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        unit, size = kernel.arch.pool_header.unit, kernel.arch.pool_header.size
        live = {allocate(kernel, request) for request in (100, 1, 60, 333)}
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
        address = allocate(kernel, body(kernel, 8))
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
        addresses = [allocate(kernel, body(kernel, units)) for _ in range(3)]
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
        taken = allocate(kernel, body(kernel, 3), b"Took")
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
        first = allocate(kernel, body(kernel, 8), b"Owns")
        rest = layout.units_per_page - 8
        behind = allocate(kernel, body(kernel, rest))
        kernel.pool.free(first)
        assert free_list(kernel, 8) == [first]
        assert allocate(kernel, body(kernel, 3)) == first
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
        taken = [allocate(kernel, body(kernel, 5)), allocate(kernel, body(kernel, 3))]
        assert taken == [fives[1], eights[3] + 5 * kernel.arch.pool_header.unit]
        kernel.pool.free(fives[1])
        assert free_list(kernel, 5) == [fives[1], eights[3]]
        allocate(kernel, body(kernel, 3))  # from the block of 5 at the head
        allocate(kernel, body(kernel, 3))  # from the other
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
        assert allocate(kernel, body(kernel, 7)) == nines[3] + 2 * unit
        assert allocate(kernel, body(kernel, 6)) == sixes[3]
        assert allocate(kernel, body(kernel, 5)) == sixes[1] + unit
        assert allocate(kernel, body(kernel, 9)) == nines[1]

    @both_machines
    def test_a_page_is_only_taken_when_no_list_has_room(self, arch: str) -> None:
        kernel = Kernel(arch)
        units = kernel.arch.pool_header.units_per_page
        allocate(kernel, body(kernel, units - 10))
        allocate(kernel, body(kernel, 10))
        assert page_count(kernel) == 1
        allocate(kernel, 1)
        assert page_count(kernel) == 2

    @both_machines
    def test_more_pages_than_the_pool_began_with(self, arch: str) -> None:
        kernel = Kernel(arch)
        size = kernel.arch.pool_header.largest_request
        pages = len(kernel.pool.nonpaged.arena.states) + 5
        blocks = [allocate(kernel, size) for _ in range(pages)]
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
        taken = allocate(kernel, body(kernel, 7))
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
        address = allocate(kernel, size)
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
            address = allocate(kernel, 100, pool_type=kind)
            assert pool.descriptor_at(address) is descriptor
            assert address == descriptor.base + PAGE_SIZE + 16
            assert free_list(kernel, 248, descriptor) == [address + 128]
        assert [descriptor.bytes_in_use for descriptor in pool.descriptors] == [PAGE_SIZE] * 3


class TestLimits:
    @staticmethod
    def pool_of(kernel: Kernel, name: str) -> tuple[PoolDescriptor, PoolType]:
        return {
            "nonpaged": (kernel.pool.nonpaged, PoolType.NonPagedPool),
            "nonpaged_nx": (kernel.pool.nonpaged_nx, PoolType.NonPagedPoolNx),
            "paged": (kernel.pool.paged, PoolType.PagedPool),
        }[name]

    @staticmethod
    def with_limits(arch: str, name: str) -> Kernel:
        limits = {"nonpaged": 1 << 20, "nonpaged_nx": 1 << 20, "paged": 1 << 20}
        limits[name] = 3 * PAGE_SIZE + 4095  # whole pages count
        return Kernel(
            arch,
            nonpaged_pool_bytes=limits["nonpaged"],
            paged_pool_bytes=limits["paged"],
            nonpaged_nx_pool_bytes=limits["nonpaged_nx"],
        )

    @both_machines
    @pytest.mark.parametrize("name", ["nonpaged", "nonpaged_nx", "paged"])
    @pytest.mark.parametrize("size", [3000, 4096])
    def test_each_pool_is_exhausted_alone(self, arch: str, name: str, size: int) -> None:
        kernel = self.with_limits(arch, name)
        pool, kind = self.pool_of(kernel, name)
        for _ in range(3):
            assert kernel.pool.allocate(kind, size, TAG) is not None
        usage = kernel.pool.usage(TAG)
        assert kernel.pool.allocate(kind, size, TAG) is None
        with pytest.raises(NtStatusError, match=r"3 of\s+3 pages") as caught:
            kernel.pool.allocate(kind | RAISE, size, TAG)
        assert caught.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES
        assert kernel.bugcheck is None
        assert kernel.pool.usage(TAG) == usage
        statistics = kernel.pool.statistics(pool)
        assert (statistics.pages, statistics.peak_pages, statistics.limit_pages) == (3, 3, 3)
        kernel.check()
        for other in {"nonpaged", "nonpaged_nx", "paged"} - {name}:
            _, other_kind = self.pool_of(kernel, other)
            assert kernel.pool.allocate(other_kind | RAISE, size, TAG) is not None

    @both_machines
    def test_an_exhausted_pool_still_serves_from_its_lists(self, arch: str) -> None:
        kernel = Kernel(arch, nonpaged_pool_bytes=PAGE_SIZE)
        allocate(kernel, 3000)
        assert kernel.pool.allocate(0, 3000, TAG) is None
        assert kernel.pool.allocate(0, 500, TAG) is not None

    def test_a_freed_block_can_be_had_again(self) -> None:
        kernel = Kernel(nonpaged_pool_bytes=PAGE_SIZE)
        address = allocate(kernel, 4064)
        assert kernel.pool.allocate(0, 1, TAG) is None
        kernel.pool.free(address)
        assert kernel.pool.allocate(0, 4064, TAG) == address

    def test_nx_pool_has_the_limit_of_nonpaged_pool_unless_given(self) -> None:
        kernel = Kernel(nonpaged_pool_bytes=5 * PAGE_SIZE)
        assert kernel.pool.statistics(kernel.pool.nonpaged_nx).limit_pages == 5
        assert kernel.pool.statistics(kernel.pool.nonpaged).limit_pages == 5
        assert kernel.pool.statistics(kernel.pool.paged).limit_pages > 5

    def test_a_pool_of_less_than_a_page_has_nothing(self) -> None:
        kernel = Kernel(nonpaged_pool_bytes=4095)
        assert kernel.pool.allocate(0, 1, TAG) is None
        assert kernel.pool.allocate(0, 4096, TAG) is None

    def test_a_request_larger_than_any_pool_is_refused(self) -> None:
        assert Kernel().pool.allocate(0, (1 << 64) - 1, TAG) is None


class TestTypes:
    @pytest.mark.parametrize("kind", [kind for kind in LIST_TYPES if not kind & 2])
    def test_every_type_a_lookaside_list_takes_can_be_allocated(self, kind: int) -> None:
        kernel = Kernel()
        for size in (100, 5000):
            address = allocate(kernel, size, pool_type=kind)
            if kind & 1:
                expected = kernel.pool.paged
            elif kind & 0x200:
                expected = kernel.pool.nonpaged_nx
            else:
                expected = kernel.pool.nonpaged
            assert kernel.pool.descriptor_at(address) is expected
            kernel.pool.free(address)
        kernel.check()

    @pytest.mark.parametrize("kind", [kind for kind in LIST_TYPES if kind & 2])
    def test_must_succeed_types_stop_the_machine(self, kind: int) -> None:
        kernel = Kernel()
        parameters = stopped_by(
            kernel,
            BugCheckCode.BAD_POOL_CALLER,
            lambda: kernel.pool.allocate(kind, 100, TAG),
        )
        assert parameters == (0x9A, kind, 100, PoolTag(TAG))

    @pytest.mark.parametrize("kind", [3, 7, 35, 0x203, 0x800, 0x1000, -1, 1 << 40])
    def test_types_that_do_not_exist_are_a_plain_error(self, kind: int) -> None:
        kernel = Kernel()
        assert not kernel.pool.serves(kind)
        with pytest.raises(ValueError, match=r"pool.type"):
            kernel.pool.allocate(kind, 100, TAG)
        assert kernel.bugcheck is None

    @pytest.mark.parametrize("modifier", [0, 8, 0x10, 0x18, 0x100, 0x400, 0x518])
    def test_modifier_bits_may_be_added(self, modifier: int) -> None:
        kernel = Kernel()
        assert kernel.pool.serves(modifier)
        address = allocate(kernel, 100, pool_type=modifier)
        assert kernel.pool.descriptor_at(address) is kernel.pool.nonpaged


class TestContents:
    @both_machines
    @pytest.mark.parametrize("size", [100, 10000])
    def test_fresh_memory_is_garbage_without_a_zero_byte(self, arch: str, size: int) -> None:
        kernel = Kernel(arch)
        assert 0 not in kernel.read(allocate(kernel, size), size)

    @both_machines
    @pytest.mark.parametrize("size", [100, 10000])
    def test_the_seed_decides_the_garbage(self, arch: str, size: int) -> None:
        def image(seed: int) -> bytes:
            kernel = Kernel(arch, seed=seed)
            return kernel.read(allocate(kernel, size), size)

        assert image(1) == image(1)
        assert image(1) != image(2)

    @both_machines
    def test_a_reused_block_holds_what_was_there_but_for_the_two_links(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 3)[1]
        links = 2 * kernel.arch.pointer_size
        size = body(kernel, 8)
        data = bytes(i % 251 + 1 for i in range(size))
        kernel.write(block, data)
        kernel.pool.free(block)
        assert allocate(kernel, size) == block
        assert kernel.read(block + links, size - links) == data[links:]

    @both_machines
    @pytest.mark.parametrize("size", [1, 100, 4064, 5000])
    @pytest.mark.parametrize("pool_type", [0, 1, 0x200])
    def test_zero_allocation_clears_fresh_and_stale_memory(
        self, arch: str, size: int, pool_type: int
    ) -> None:
        kernel = Kernel(arch)
        for _ in range(2):
            address = allocate(kernel, size, pool_type=ZERO | pool_type)
            assert kernel.read(address, size) == bytes(size)
            kernel.write(address, b"\xff" * size)
            kernel.pool.free(address)
        kernel.check()

    def test_zero_allocation_of_zero_bytes_clears_the_one_byte_it_serves(self) -> None:
        kernel = Kernel()
        assert kernel.read(allocate(kernel, 0, pool_type=ZERO), 1) == b"\0"


class TestIrql:
    @pytest.mark.parametrize(
        ("pool_type", "irql"),
        [(0, 0), (0, 1), (0, 2), (0x200, 2), (1, 0), (1, 1)],
    )
    @pytest.mark.parametrize("size", [100, 5000])
    def test_allowed(self, pool_type: int, irql: int, size: int) -> None:
        kernel = Kernel()
        with kernel.raise_irql(irql):
            kernel.pool.free(allocate(kernel, size, pool_type=pool_type))

    @pytest.mark.parametrize(
        ("pool_type", "irql"), [(0, 3), (0, 15), (0x200, 3), (1, 2), (0x21, 2), (1, 15)]
    )
    @pytest.mark.parametrize("size", [100, 5000])
    def test_too_high(self, pool_type: int, irql: int, size: int) -> None:
        kernel = Kernel()
        kernel.raise_irql(irql)
        parameters = stopped_by(
            kernel,
            BugCheckCode.BAD_POOL_CALLER,
            lambda: kernel.pool.allocate(pool_type, size, TAG),
        )
        assert parameters == (8, irql, pool_type, size)
        assert kernel.pool.rows() == {}


class TestArguments:
    @pytest.mark.parametrize(("tag", "code"), [(0, 0x9B), (b"BIG ", 0x9C), (b"\0\0\0\0", 0x9B)])
    @pytest.mark.parametrize("size", [0, 100, 5000])
    def test_refused_tags_stop_the_machine(
        self, tag: int | bytes, code: int, size: int
    ) -> None:
        kernel = Kernel()
        parameters = stopped_by(
            kernel,
            BugCheckCode.BAD_POOL_CALLER,
            lambda: kernel.pool.allocate(PoolType.PagedPool, size, tag),
        )
        assert parameters == (code, 1, size, 0)

    def test_a_refused_request_that_is_repeated_is_refused_again(self) -> None:
        kernel = Kernel()
        first = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.allocate(0, 10, 0)
        )
        again = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.allocate(0, 10, 0)
        )
        assert first == again

    def test_a_negative_size_is_a_plain_error(self) -> None:
        with pytest.raises(ValueError, match="size -1"):
            Kernel().pool.allocate(0, -1, TAG)
        with pytest.raises(ValueError, match="size -1"):
            Kernel().pool.allocate_block(0, -1, PoolTag(TAG))

    @pytest.mark.parametrize("size", [1.0, "1", None])
    def test_a_size_must_be_an_integer(self, size: object) -> None:
        with pytest.raises(TypeError):
            Kernel().pool.allocate(0, size, TAG)  # type: ignore[arg-type]

    @pytest.mark.parametrize("tag", [None, 1.5, True])
    def test_a_tag_must_be_one(self, tag: object) -> None:
        with pytest.raises(TypeError):
            Kernel().pool.allocate(0, 10, tag)  # type: ignore[arg-type]

    @pytest.mark.parametrize("pool_type", ["0", 1.5, 0.0])
    def test_a_pool_type_must_be_an_integer(self, pool_type: object) -> None:
        with pytest.raises(TypeError):
            Kernel().pool.allocate(pool_type, 10, TAG)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("size", "tag"), [(16.0, 1), (16, 1.0), (16, True)])
    def test_arguments_equal_to_earlier_ones_must_still_be_of_the_right_type(
        self, size: object, tag: object
    ) -> None:
        kernel = Kernel()
        allocate(kernel, 16, 1)
        with pytest.raises(TypeError):
            kernel.pool.allocate(0, size, tag)  # type: ignore[arg-type]

    def test_many_kinds_of_requests_in_one_program(self) -> None:
        """More than the manager remembers at once: it starts over and stays right."""
        kernel = Kernel()
        for size in range(1, 2100):
            for tag in (b"aaaa", b"bbbb"):
                kernel.pool.free(allocate(kernel, size, tag))
        kernel.pool.free(allocate(kernel, 1, b"aaaa"))
        assert kernel.pool.usage(b"aaaa").nonpaged_allocs == 2100
        assert kernel.pool.usage(b"bbbb").nonpaged_frees == 2099
        kernel.check()


class Recorder:
    """Hears of pool calls; whatever else happens is no concern of these tests."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def pool_allocated(
        self, address: int | None, pool_type: PoolType, size: int, tag: object
    ) -> None:
        self.heard.append((address, pool_type, size, tag))

    def pool_freed(self, address: int) -> None:
        self.heard.append(address)


def test_an_observer_hears_each_call_that_returned() -> None:
    kernel = Kernel(nonpaged_pool_bytes=PAGE_SIZE)
    recorder = Recorder()
    kernel.observe(cast(Observer, recorder))
    address = allocate(kernel, 4064)
    assert kernel.pool.allocate(0, 1, b"More") is None
    with pytest.raises(NtStatusError):
        kernel.pool.allocate(RAISE, 1, b"More")
    kernel.pool.free(address)
    kernel.observe(None)
    kernel.pool.free(allocate(kernel, 1))
    assert recorder.heard == [
        (address, PoolType.NonPagedPool, 4064, TAG),
        (None, PoolType.NonPagedPool, 1, b"More"),
        (None, RAISE, 1, b"More"),
        address,
    ]


@pytest.mark.parametrize("arch", ARCHES)
@given(st.lists(st.tuples(st.integers(0, 9000), st.sampled_from([0, 1, 0x200])), max_size=40))
@settings(max_examples=30, deadline=None)
def test_alignment_pages_and_overlap(arch: str, requests: list[tuple[int, int]]) -> None:
    """Aligned to a unit; a block with a header never crosses a page; no two overlap."""
    kernel = Kernel(arch)
    layout = kernel.arch.pool_header
    taken: list[tuple[int, int]] = []
    for size, kind in requests:
        address = allocate(kernel, size, pool_type=kind)
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

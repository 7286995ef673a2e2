"""Freed blocks: on their lists, merged, given back as pages; and programs of both calls."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import BugCheckCode, Kernel, PoolTag
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.nt.types import PROTECTED_POOL
from tests.helpers import (
    ARCHES,
    allocated,
    both_machines,
    cache_link,
    read_pointer,
    stopped_by,
    write_pointer,
)
from tests.pool.helpers import (
    TAG,
    Header,
    blocks_at_end,
    body,
    first_page,
    free_list,
    list_head,
    page_count,
    read_header,
)

PROTECTED = PoolTag(PoolTag(TAG) | PROTECTED_POOL)


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[bool, int, int]]:
    small = st.integers(0, 300)
    sizes = st.one_of(small, st.integers(0, 9000), st.sampled_from([4064, 4065, 4080, 4081]))
    step = st.tuples(st.booleans(), sizes, st.sampled_from([0, 0, 1, 0x200, 0x20, 0x400]))
    return draw(st.lists(step, max_size=60))


class TestFreeBlocks:
    @both_machines
    def test_a_free_block_keeps_its_size_and_tag_and_loses_its_type(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 3)
        kernel.pool.free(blocks[1])
        assert read_header(kernel, blocks[1]) == Header(8, 8, 0, TAG)

    @both_machines
    def test_its_body_starts_with_flink_and_blink(self, arch: str) -> None:
        kernel = Kernel(arch)
        pointer = kernel.arch.pointer_size
        blocks = blocks_at_end(kernel, 5)
        kernel.pool.free(blocks[1])
        kernel.pool.free(blocks[3])
        head = list_head(kernel, 8)
        assert read_pointer(kernel, head) == blocks[3]
        assert read_pointer(kernel, blocks[3]) == blocks[1]
        assert read_pointer(kernel, blocks[1]) == head
        assert read_pointer(kernel, head + pointer) == blocks[1]
        assert read_pointer(kernel, blocks[1] + pointer) == blocks[3]
        assert read_pointer(kernel, blocks[3] + pointer) == head

    @both_machines
    def test_an_empty_list_head_points_at_itself(self, arch: str) -> None:
        kernel = Kernel(arch)
        for units in range(1, kernel.arch.pool_header.units_per_page + 1):
            head = list_head(kernel, units)
            assert read_pointer(kernel, head) == head
            assert read_pointer(kernel, head + kernel.arch.pointer_size) == head

    @both_machines
    def test_blocks_are_inserted_at_the_head(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 6)
        for block in blocks[::2]:
            kernel.pool.free(block)
        assert free_list(kernel, 8) == [blocks[4], blocks[2], blocks[0]]

    @both_machines
    @pytest.mark.parametrize("size", [1, 100, 1000, 4000, 4064, 4096, 5000, 100000])
    @pytest.mark.parametrize("pool_type", [0, 1, 0x200])
    def test_freeing_and_allocating_the_same_size_gives_the_same_block(
        self, arch: str, size: int, pool_type: int
    ) -> None:
        kernel = Kernel(arch)
        blocks = [allocated(kernel, size, pool_type=pool_type) for _ in range(5)]
        for block in blocks:
            kernel.pool.free(block)
            assert allocated(kernel, size, pool_type=pool_type) == block
        kernel.check()

    @both_machines
    def test_reuse_of_equal_sizes_is_last_in_first_out(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 8)
        freed = blocks[1::2]
        for block in freed:
            kernel.pool.free(block)
        assert [allocated(kernel, body(kernel, 8)) for _ in freed] == freed[::-1]

    @both_machines
    def test_contents_behind_the_links_stay(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 3)[1]
        links = 2 * kernel.arch.pointer_size
        data = bytes(range(1, body(kernel, 8) - links + 1))
        kernel.write(block + links, data)
        kernel.pool.free(block)
        assert kernel.read(block + links, len(data)) == data

    @both_machines
    @pytest.mark.parametrize("order", [(1,), (1, 2), (2, 1), (1, 3, 2), (3, 1, 2)])
    def test_a_cached_word_goes_back_to_memory_or_gives_way_to_a_link(
        self, arch: str, order: tuple[int, ...]
    ) -> None:
        images = []
        for caching in (True, False):
            kernel = Kernel(arch)
            blocks = blocks_at_end(kernel, 5)
            for block in blocks:
                if caching:
                    assert cache_link(kernel, block, block + 0x11)
                else:
                    write_pointer(kernel, block, block + 0x11)
            for index in order:
                kernel.pool.free(blocks[index])
            kernel.check()
            images.append(kernel.read(first_page(kernel), PAGE_SIZE))
        assert images[0] == images[1]


# Blocks of 8 units, by number: 0 ends the page, and each number lies before the one below it.
# How many there are, which are freed in which order, where the merged block starts, and then the
# free lists by the units of their blocks, newest first.
MERGES = {
    "with the block behind": (4, (1, 2), 2, {16: [2], 8: []}),
    "with the block in front": (4, (2, 1), 2, {16: [2], 8: []}),
    "with both": (5, (1, 3, 2), 3, {24: [3], 8: []}),
    "out of the middle of their lists": (
        12,
        (0, 3, 5, 8, 10, 4),
        5,
        {24: [5], 8: [10, 8, 0]},
    ),
    "nothing behind the end of the page": (2, (0,), 0, {8: [0]}),
}


class TestMerging:
    """With the block behind first, then with the one in front; lists are unlinked."""

    @both_machines
    @pytest.mark.parametrize(
        ("count", "order", "start", "lists"), MERGES.values(), ids=MERGES.keys()
    )
    def test_free_neighbors_merge(
        self,
        arch: str,
        count: int,
        order: tuple[int, ...],
        start: int,
        lists: dict[int, list[int]],
    ) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, count)
        for index in order:
            kernel.pool.free(blocks[index])
        units = max(lists)
        assert read_header(kernel, blocks[start]) == Header(8, units, 0, TAG)
        behind = start - units // 8
        if behind >= 0:
            assert read_header(kernel, blocks[behind]).previous == units
        for size, numbers in lists.items():
            assert free_list(kernel, size) == [blocks[number] for number in numbers]
        kernel.check()

    @both_machines
    def test_with_a_fragment_of_one_unit_that_is_on_no_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 4)
        kernel.pool.free(blocks[1])
        behind_fragment = allocated(kernel, body(kernel, 7))  # the fragment is at blocks[1]
        kernel.pool.free(behind_fragment)
        assert free_list(kernel, 8) == [blocks[1]]
        assert allocated(kernel, body(kernel, 7)) == behind_fragment
        kernel.pool.free(blocks[2])  # the fragment lies behind it now
        assert free_list(kernel, 9) == [blocks[2]]
        kernel.check()


class TestWholePages:
    @both_machines
    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 0)])
    def test_a_page_without_live_blocks_is_given_back(
        self, arch: str, order: tuple[int, ...]
    ) -> None:
        kernel = Kernel(arch)
        blocks = [allocated(kernel, 300) for _ in range(3)]
        for step, index in enumerate(order):
            assert page_count(kernel) == 1, step
            kernel.pool.free(blocks[index])
        assert page_count(kernel) == 0
        units = kernel.arch.pool_header.units_per_page
        assert not any(free_list(kernel, size) for size in range(1, units + 1))
        kernel.check()
        assert allocated(kernel, 300) == blocks[0]

    @both_machines
    def test_the_largest_block_and_its_fragment_are_a_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        kernel.pool.free(allocated(kernel, kernel.arch.pool_header.largest_request))
        assert page_count(kernel) == 0

    @both_machines
    def test_pages_are_reused_newest_first(self, arch: str) -> None:
        kernel = Kernel(arch)
        size = kernel.arch.pool_header.largest_request
        blocks = [allocated(kernel, size) for _ in range(4)]
        for block in blocks:
            kernel.pool.free(block)
        assert kernel.pool.statistics(kernel.pool.nonpaged).peak_pages == 4
        assert [allocated(kernel, size) for _ in range(4)] == blocks[::-1]


class TestTags:
    @both_machines
    @pytest.mark.parametrize("size", [100, 5000])
    @pytest.mark.parametrize("tag", [None, 0, TAG, b"Othr", "Othr"])
    def test_a_plain_block_can_be_freed_with_any_tag(
        self, arch: str, size: int, tag: bytes | str | int | None
    ) -> None:
        kernel = Kernel(arch)
        kernel.pool.free(allocated(kernel, size), tag)
        assert kernel.pool.usage(TAG).outstanding == 0
        assert list(kernel.pool.tags()) == [PoolTag(TAG)]

    @both_machines
    @pytest.mark.parametrize("size", [100, 5000])
    @pytest.mark.parametrize("tag", [None, 0, TAG, b"Othr"])
    def test_a_protected_block_needs_its_own_tag(
        self, arch: str, size: int, tag: bytes | int | None
    ) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, size, PROTECTED)
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(block, tag)
        )
        assert parameters == (0xA, block, PROTECTED, PoolTag(tag) if tag else 0)

    @pytest.mark.parametrize("size", [100, 5000])
    def test_a_protected_block_is_freed_with_its_tag(self, size: int) -> None:
        kernel = Kernel()
        kernel.pool.free(allocated(kernel, size, PROTECTED), PROTECTED)
        assert kernel.pool.usage(TAG).outstanding == 0

    @pytest.mark.parametrize("size", [100, 5000])
    @pytest.mark.parametrize("tag", [None, 0, TAG])
    def test_strict_tags_accept_the_block_s_tag_and_none(
        self, size: int, tag: bytes | int | None
    ) -> None:
        kernel = Kernel(strict_pool_tags=True)
        kernel.pool.free(allocated(kernel, size), tag)
        assert kernel.pool.usage(TAG).outstanding == 0

    @pytest.mark.parametrize("size", [100, 5000])
    def test_strict_tags_refuse_another_tag(self, size: int) -> None:
        kernel = Kernel(strict_pool_tags=True)
        block = allocated(kernel, size)
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(block, b"Othr")
        )
        assert parameters == (0xA, block, PoolTag(TAG), PoolTag(b"Othr"))


@pytest.mark.parametrize("arch", ARCHES)
@given(program=programs())
@settings(max_examples=25, deadline=None)
def test_random_programs_keep_contents_and_invariants(
    arch: str, program: list[tuple[bool, int, int]]
) -> None:
    """Live blocks never overlap, keep what was written, and end in an empty pool."""
    kernel = Kernel(arch)
    pool = kernel.pool
    live: dict[int, bytes] = {}

    def free(address: int) -> None:
        data = live.pop(address)
        assert kernel.read(address, len(data)) == data
        pool.free(address)

    for number, (is_free, value, kind) in enumerate(program):
        if is_free and live:
            free(list(live)[value % len(live)])
        else:
            address = allocated(kernel, value, b"t%03d" % (number % 5), kind)
            assert address not in live
            data = bytes([number % 255 + 1]) * value
            kernel.write(address, data)
            live[address] = data
    kernel.check()
    spans = sorted((address, address + max(len(data), 1)) for address, data in live.items())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for address in list(live):
        free(address)
    kernel.check()
    assert all(descriptor.bytes_in_use == 0 for descriptor in pool.descriptors)
    assert all(usage.outstanding == 0 for usage in pool.tags().values())
    assert all(usage.nonpaged_bytes == usage.paged_bytes == 0 for usage in pool.tags().values())


@pytest.mark.parametrize("arch", ARCHES)
@given(program=programs())
@settings(max_examples=20, deadline=None)
def test_a_program_always_gives_the_same_addresses_and_bytes(
    arch: str, program: list[tuple[bool, int, int]]
) -> None:
    def run() -> list[object]:
        kernel = Kernel(arch, seed=7)
        live: list[int] = []
        seen: list[object] = []
        for is_free, value, kind in program:
            if is_free and live:
                kernel.pool.free(live.pop(value % len(live)))
            else:
                address = allocated(kernel, value, TAG, kind)
                live.append(address)
                seen.append((address, kernel.read(address, value)))
        return seen

    assert run() == run()


def test_first_page_is_where_the_first_block_lies() -> None:
    kernel = Kernel()
    assert allocated(kernel, 1) == first_page(kernel) + 16

"""What !poolused counts: allocations, frees and bytes of each tag."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import Kernel, PoolTag, PoolTagUsage, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.nt.types import PROTECTED_POOL
from lookaside_sim.pool.accounting import (
    ALLOCS,
    BYTES,
    FREES,
    OVERFLOW_TAG,
    TABLE_SIZE,
    TagTable,
)
from tests.helpers import allocated, both_machines

NOTHING = PoolTagUsage()


def numbered(number: int) -> PoolTag:
    return PoolTag(0x41000000 + number)


class TestUsage:
    @both_machines
    def test_a_tag_is_charged_its_blocks_header_included(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, 100, b"Test")
        charged = {"x64": 128, "x86": 112}[arch]
        assert kernel.pool.usage(b"Test") == PoolTagUsage(
            nonpaged_allocs=1, nonpaged_bytes=charged
        )
        kernel.pool.free(address)
        assert kernel.pool.usage(b"Test") == PoolTagUsage(nonpaged_allocs=1, nonpaged_frees=1)

    @pytest.mark.parametrize(("low", "high"), [(0x51, 0x60)])
    def test_one_object_of_0x51_to_0x60_bytes_shows_0x70(self, low: int, high: int) -> None:
        for size in (low, high):
            kernel = Kernel()
            allocated(kernel, size)
            assert kernel.pool.usage(b"Test").nonpaged_bytes == 0x70

    def test_allocs_never_go_down(self) -> None:
        kernel = Kernel()
        for _ in range(5):
            kernel.pool.free(allocated(kernel, 10))
        usage = kernel.pool.usage(b"Test")
        assert (usage.nonpaged_allocs, usage.nonpaged_frees, usage.outstanding) == (5, 5, 0)

    def test_nonpaged_and_paged_are_two_sides_of_one_row(self) -> None:
        kernel = Kernel()
        allocated(kernel, 10)
        paged = allocated(kernel, 30, pool_type=PoolType.PagedPool)
        allocated(kernel, 30, pool_type=PoolType.PagedPool)
        kernel.pool.free(paged)
        assert kernel.pool.usage(b"Test") == PoolTagUsage(1, 0, 32, 2, 1, 48)
        assert kernel.pool.usage(b"Test").outstanding == 2

    def test_nx_pool_is_counted_as_nonpaged(self) -> None:
        kernel = Kernel()
        allocated(kernel, 10, pool_type=PoolType.NonPagedPoolNx)
        assert kernel.pool.usage(b"Test") == PoolTagUsage(1, 0, 32)

    def test_protected_pool_is_masked(self) -> None:
        kernel = Kernel()
        tag = PoolTag(PoolTag(b"Test") | PROTECTED_POOL)
        address = allocated(kernel, 10, tag)
        assert kernel.pool.usage(b"Test") == kernel.pool.usage(tag) == PoolTagUsage(1, 0, 32)
        assert list(kernel.pool.tags()) == [PoolTag(b"Test")]
        kernel.pool.free(address, tag)
        assert kernel.pool.usage(tag) == PoolTagUsage(1, 1, 0)

    def test_a_protected_big_block_is_accounted_without_the_bit(self) -> None:
        kernel = Kernel()
        tag = PoolTag(PoolTag(b"Test") | PROTECTED_POOL)
        address = allocated(kernel, 2 * PAGE_SIZE, tag)
        assert kernel.pool.usage(b"Test") == PoolTagUsage(1, 0, 2 * PAGE_SIZE)
        kernel.pool.free(address, tag)
        assert kernel.pool.usage(b"Test") == PoolTagUsage(1, 1, 0)

    def test_a_tag_in_any_form_names_the_same_row(self) -> None:
        kernel = Kernel()
        allocated(kernel, 10, "Test")
        allocated(kernel, 10, b"Test")
        allocated(kernel, 10, PoolTag.from_literal("tseT"))
        allocated(kernel, 10, int(PoolTag(b"Test")))
        for form in ("Test", b"Test", PoolTag(b"Test"), int(PoolTag(b"Test"))):
            assert kernel.pool.usage(form).nonpaged_allocs == 4

    def test_an_unknown_tag_has_used_nothing(self) -> None:
        assert Kernel().pool.usage(b"none") == NOTHING

    def test_a_snapshot_does_not_move(self) -> None:
        kernel = Kernel()
        allocated(kernel, 10)
        usage, tags = kernel.pool.usage(b"Test"), kernel.pool.tags()
        allocated(kernel, 10)
        assert usage.nonpaged_allocs == tags[PoolTag(b"Test")].nonpaged_allocs == 1

    def test_a_refused_request_makes_no_row(self) -> None:
        kernel = Kernel(nonpaged_pool_bytes=0)
        assert kernel.pool.allocate(0, 10, b"Test") is None
        assert kernel.pool.allocate(0, 10000, b"Test") is None
        assert not kernel.pool.tags()


class TestTags:
    def test_rows_are_ordered_by_their_text(self) -> None:
        kernel = Kernel()
        for tag in (b"bbbb", b"Zzzz", b"aaab", b"baaa"):
            allocated(kernel, 10, tag)
        assert [str(tag) for tag in kernel.pool.tags()] == ["Zzzz", "aaab", "baaa", "bbbb"]

    def test_each_row_is_what_usage_says(self) -> None:
        kernel = Kernel()
        allocated(kernel, 10, b"aaaa")
        allocated(kernel, 10, b"bbbb", PoolType.PagedPool)
        kernel.pool.free(allocated(kernel, 10000, b"cccc"))
        tags = kernel.pool.tags()
        assert len(tags) == 3
        assert all(usage == kernel.pool.usage(tag) for tag, usage in tags.items())

    def test_the_mapping_is_read_only(self) -> None:
        tags = Kernel().pool.tags()
        assert not hasattr(tags, "__setitem__")


class TestOverflow:
    """A full table charges the tags that find no row to its last, the overflow row."""

    @staticmethod
    def full(kernel: Kernel) -> None:
        for number in range(TABLE_SIZE):
            allocated(kernel, 16, numbered(number), PoolType.PagedPool * (number % 2))

    def test_tag_2049_is_charged_to_the_overflow_row(self) -> None:
        kernel = Kernel()
        self.full(kernel)
        assert len(kernel.pool.tags()) == TABLE_SIZE
        assert kernel.pool.usage(OVERFLOW_TAG) == NOTHING
        address = allocated(kernel, 100, b"More")
        big = allocated(kernel, 10000, b"Big2", PoolType.PagedPool)
        assert kernel.pool.usage(b"More") == kernel.pool.usage(b"Big2") == NOTHING
        assert kernel.pool.usage(OVERFLOW_TAG) == PoolTagUsage(1, 0, 128, 1, 0, 10000)
        kernel.pool.free(address)
        kernel.pool.free(big)
        assert kernel.pool.usage(OVERFLOW_TAG) == PoolTagUsage(1, 1, 0, 1, 1, 0)

    def test_the_other_side_of_a_known_tag_still_finds_its_row(self) -> None:
        kernel = Kernel()
        self.full(kernel)
        allocated(kernel, 16, numbered(0), PoolType.PagedPool)
        assert kernel.pool.usage(numbered(0)) == PoolTagUsage(1, 0, 32, 1, 0, 32)
        assert kernel.pool.usage(OVERFLOW_TAG) == NOTHING

    def test_the_walk_agrees_with_the_overflow_row(self) -> None:
        kernel = Kernel()
        self.full(kernel)
        kept = allocated(kernel, 100, b"More")
        kernel.pool.free(allocated(kernel, 10000, b"Big2"))
        allocated(kernel, 10000, b"Big3")
        kernel.check()
        kernel.pool.free(kept)
        kernel.check()


class TestTagTable:
    def test_counters_are_ulongs_and_bytes_are_not(self) -> None:
        table = TagTable(256, 16)
        tag = PoolTag(b"Test")
        side = table.open(table.nonpaged, tag)
        side[2] = (1 << 32) + 5
        side[-2] = (1 << 32) - 1
        assert table.usage(tag) == PoolTagUsage(5, (1 << 32) - 1, 6 * 32)
        assert table.usage(tag).outstanding == 6

    def test_big_counters_are_ulongs(self) -> None:
        table = TagTable(256, 16)
        tag = PoolTag(b"Test")
        table.open(table.paged, tag)[2] = (1 << 32) - 1
        table.count_big(table.paged, tag, ALLOCS, 5000)
        assert table.usage(tag).paged_allocs == 0
        assert table.usage(tag).paged_bytes == 5000 + 32 * ((1 << 32) - 1)

    def test_every_size_is_counted_apart(self) -> None:
        table = TagTable(256, 16)
        tag = PoolTag(b"Test")
        side = table.open(table.nonpaged, tag)
        for units in range(1, 256):
            side[units] += 2
            side[-units] += 1
        assert table.usage(tag) == PoolTagUsage(510, 255, 16 * sum(range(256)))

    def test_a_free_of_a_tag_without_a_row_is_counted_on_the_overflow_row(self) -> None:
        table = TagTable(256, 16)
        side = table.find(table.paged, PoolTag(b"Test"))
        assert side is table.find(table.paged, PoolTag(b"More"))
        assert side is table.open(table.paged, OVERFLOW_TAG)
        table.count_big(table.paged, PoolTag(b"Test"), FREES, -100)
        assert table.usage(OVERFLOW_TAG) == PoolTagUsage(0, 0, 0, 0, 1, -100)

    def test_an_opened_row_that_counted_nothing_is_not_shown(self) -> None:
        table = TagTable(256, 16)
        table.open(table.nonpaged, PoolTag(b"Test"))
        assert not table.snapshot()

    def test_positions_of_the_totals_differ(self) -> None:
        assert len({ALLOCS, FREES, BYTES}) == 3


@both_machines
@given(
    program=st.lists(
        st.tuples(st.integers(0, 9000), st.sampled_from([0, 1, 0x200]), st.integers(0, 3)),
        max_size=30,
    ),
    frees=st.lists(st.integers(0, 100), max_size=30),
)
@settings(max_examples=30, deadline=None)
def test_bytes_are_the_sum_over_live_blocks(
    arch: str, program: list[tuple[int, int, int]], frees: list[int]
) -> None:
    kernel = Kernel(arch)
    pool = kernel.pool
    live = [allocated(kernel, size, b"tag%d" % tag, kind) for size, kind, tag in program]
    for number in frees:
        if live:
            pool.free(live.pop(number % len(live)))
    blocks = [found for found in map(pool.query, live) if found is not None]
    assert len(blocks) == len(live)
    for tag, usage in pool.tags().items():
        mine = [block for block in blocks if block.tag == tag]
        assert usage.outstanding == len(mine)
        # Whole pages are charged what was asked for, the others their block.
        charged = [
            block.size if block.address % PAGE_SIZE == 0 else block.block_size for block in mine
        ]
        assert usage.nonpaged_bytes + usage.paged_bytes == sum(charged)
    allocs = sum(u.nonpaged_allocs + u.paged_allocs for u in pool.tags().values())
    assert allocs == len(program)

"""`Kernel.check`: passes as long as nobody wrote over anything, and finds each damage."""

from __future__ import annotations

from typing import cast

import pytest

from lookaside_sim import InvariantError, Kernel, LookasideSimError, PoolTag
from lookaside_sim.memory.arena import NO_BLOCK, mark_of
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.big import BigBlock
from lookaside_sim.pool.check import blocks_of_page
from tests.helpers import allocated, both_machines, cache_link, read_pointer, write_pointer
from tests.pool.helpers import TAG, blocks_at_end, body, first_page, list_head, write_header


def with_free_block(arch: str, *, on_bytes: bool = False) -> tuple[Kernel, list[int]]:
    """Blocks of 8 units of which [1] is free, and its neighbors are not.

    Who breaks the tables of the simulator by hand needs the bytes to decide.
    """
    kernel = Kernel(arch)
    if on_bytes:
        kernel.pool.leave_model()
    blocks = blocks_at_end(kernel, 6)
    kernel.pool.free(blocks[1])
    kernel.check()
    return kernel, blocks


def broken(kernel: Kernel, problem: str | None) -> None:
    with pytest.raises(InvariantError, match=problem) as caught:
        kernel.check()
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, LookasideSimError)
    assert kernel.bugcheck is None


class TestHeaders:
    @both_machines
    @pytest.mark.parametrize("units", [0, 250])
    def test_a_block_size_that_does_not_fit_the_page(self, arch: str, units: int) -> None:
        kernel, blocks = with_free_block(arch)
        write_header(kernel, blocks[2], units=units)
        broken(kernel, f"BlockSize {units}, which does not\\s+fit")

    @both_machines
    def test_a_block_size_that_leads_into_a_body(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        kernel.write(blocks[2], bytes(body(kernel, 8)))
        write_header(kernel, blocks[2], units=5)
        inside = blocks[2] + 5 * kernel.arch.pool_header.unit
        write_header(kernel, inside, previous=4, units=3, block_type=2)
        broken(kernel, "has PreviousSize\\s+4, and 5 units lie before it")

    @both_machines
    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_a_previous_size(self, arch: str, index: int) -> None:
        kernel, blocks = with_free_block(arch)
        write_header(kernel, blocks[index], previous=7)
        broken(kernel, "has PreviousSize\\s+7, and 8 units lie before it")

    @both_machines
    def test_a_previous_size_at_the_start_of_a_page(self, arch: str) -> None:
        kernel, _ = with_free_block(arch)
        write_header(kernel, first_page(kernel) + kernel.arch.pool_header.size, previous=1)
        broken(kernel, "has PreviousSize\\s+1, and 0 units lie before it")

    @both_machines
    def test_two_free_blocks_side_by_side(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        write_header(kernel, blocks[2], block_type=0)
        broken(kernel, "follows a free block")

    @both_machines
    def test_a_live_block_marked_free(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        write_header(kernel, blocks[4], block_type=0)
        broken(kernel, "live blocks at .*, marked")

    @both_machines
    def test_a_free_block_marked_in_use(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        write_header(kernel, blocks[1], block_type=2)
        broken(kernel, "live blocks at .*, marked")

    @both_machines
    def test_a_tag(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        write_header(kernel, blocks[2], tag=b"Othr")
        broken(kernel, f"tag {TAG.decode()} is charged")

    def test_an_overrun(self) -> None:
        kernel, blocks = with_free_block("x64")
        kernel.write(blocks[3], b"\x41" * (body(kernel, 8) + 4))
        broken(kernel, "has (PreviousSize|BlockSize)")

    @both_machines
    def test_a_header_in_the_tail_of_a_big_allocation(self, arch: str) -> None:
        kernel = Kernel(arch)
        allocated(kernel, PAGE_SIZE + 100)
        block = allocated(kernel, 100)
        kernel.check()
        write_header(kernel, block, previous=3)
        broken(kernel, "has PreviousSize\\s+3")


class TestLists:
    @both_machines
    def test_blink(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        write_pointer(kernel, blocks[1] + kernel.arch.pointer_size, 0x1230)
        broken(kernel, "points back at 0x1230")

    @both_machines
    def test_the_head_s_blink(self, arch: str) -> None:
        kernel, _ = with_free_block(arch)
        write_pointer(kernel, list_head(kernel, 8) + kernel.arch.pointer_size, 0x1230)
        broken(kernel, "points back at 0x1230")

    @both_machines
    def test_a_list_cut_off_at_its_head(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        head = list_head(kernel, 8)
        write_pointer(kernel, head, head)
        write_pointer(kernel, head + kernel.arch.pointer_size, head)
        assert read_pointer(kernel, blocks[1]) == head
        broken(kernel, f"on no list: .*{blocks[1]:x}")

    @both_machines
    @pytest.mark.parametrize("flink", [0, 5, 0x1000, (1 << 32) - 16])
    def test_a_flink_into_the_wild(self, arch: str, flink: int) -> None:
        kernel, blocks = with_free_block(arch)
        write_pointer(kernel, blocks[1], flink)
        broken(kernel, None)

    @both_machines
    @pytest.mark.parametrize("target", ["itself", "a live block", "another pool", "unmapped"])
    def test_a_flink_elsewhere_in_the_pools(self, arch: str, target: str) -> None:
        kernel, blocks = with_free_block(arch)
        paged = allocated(kernel, 100, pool_type=1)
        write_pointer(
            kernel,
            blocks[1],
            {
                "itself": blocks[1],
                "a live block": blocks[3],
                "another pool": paged,
                "unmapped": kernel.pool.nonpaged.base + 9 * PAGE_SIZE,
            }[target],
        )
        write_pointer(kernel, blocks[3], list_head(kernel, 8))
        broken(kernel, None)

    @both_machines
    def test_a_free_block_on_the_list_of_another_size(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch, on_bytes=True)
        kernel.pool.nonpaged.unlink(blocks[1])
        kernel.pool.nonpaged.insert_head(blocks[1], 9)
        broken(kernel, "is on list 8 of NonPagedPool, and no such free block")

    @both_machines
    def test_a_free_block_on_no_list(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch, on_bytes=True)
        kernel.pool.nonpaged.unlink(blocks[1])
        broken(kernel, "free blocks of NonPagedPool on no list")

    @pytest.mark.parametrize(("index", "hint"), [(7, 0), (20, 1)])
    def test_a_wrong_hint(self, index: int, hint: int) -> None:
        kernel, _ = with_free_block("x64", on_bytes=True)
        kernel.pool.nonpaged.listed[index] = hint
        broken(kernel, f"list {index} of NonPagedPool: . entries, wrong hint")


class TestTables:
    """What no write to memory can break is broken by hand."""

    @both_machines
    def test_a_lost_mark(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch, on_bytes=True)
        pool = kernel.pool.nonpaged
        pool.arena.marks[(blocks[2] - pool.base) // kernel.arch.pool_header.unit] = NO_BLOCK
        broken(kernel, "live blocks at .*, marked")

    def test_a_mark_where_no_block_can_be(self) -> None:
        kernel, _ = with_free_block("x64", on_bytes=True)
        kernel.pool.paged.reach(2)
        kernel.pool.paged.arena.marks[300] = mark_of(0)
        broken(kernel, "page 1 of PagedPool: live blocks at set")

    @pytest.mark.parametrize("change", [-1, 1])
    def test_a_wrong_number_of_pages_in_use(self, change: int) -> None:
        kernel, _ = with_free_block("x64")
        kernel.pool.nonpaged.runs.in_use += change
        broken(kernel, "NonPagedPool has 1 pages")

    def test_more_pages_than_the_limit(self) -> None:
        kernel, _ = with_free_block("x64")
        kernel.pool.nonpaged.runs.limit = 0
        broken(kernel, "NonPagedPool has 1 pages.*may have\\s+0")

    def test_a_miscounted_allocation(self) -> None:
        kernel, _ = with_free_block("x64")
        kernel.pool.nonpaged.sides[PoolTag(TAG)][8] += 1
        broken(kernel, "tag Test is charged 768 bytes and holds 640")

    def test_a_big_allocation_of_another_size(self) -> None:
        kernel = Kernel()
        kernel.pool.big_blocks[allocated(kernel, 5000)].size += 1
        broken(kernel, "tag Test is charged 5000 bytes and holds 5001")

    def test_a_big_allocation_in_no_pool(self) -> None:
        kernel = Kernel()
        table = cast(dict[int, BigBlock], kernel.pool.big_blocks)
        table[0x1000] = BigBlock(0x1000, 1, PoolTag(TAG), 0, 1, 0)
        broken(kernel, "0x1000 is in the big page table and in no pool")

    def test_a_block_of_a_tag_without_a_row(self) -> None:
        kernel, blocks = with_free_block("x64", on_bytes=True)
        pool = kernel.pool.nonpaged
        pool.unlink(blocks[1])
        write_header(kernel, blocks[1], block_type=2, tag=b"Lost")
        pool.arena.marks[(blocks[1] - pool.base) // 16] = mark_of(0)
        broken(kernel, "blocks of tags without a row")

    @both_machines
    @pytest.mark.parametrize("where", ["free", "inside", "nowhere"])
    def test_a_cached_word_where_no_live_block_starts(self, arch: str, where: str) -> None:
        kernel, blocks = with_free_block(arch)
        entry = {"free": blocks[1], "inside": blocks[2] + 16, "nowhere": blocks[0] + 0x800}[
            where
        ]
        kernel.pool.leave_model()
        kernel.memory.slots.make_for_links(kernel.pool.nonpaged.arena, entry, None)
        broken(kernel, f"the word at {entry:#x} is cached")

    @both_machines
    def test_cached_words_of_live_blocks_are_fine(self, arch: str) -> None:
        kernel, blocks = with_free_block(arch)
        big = allocated(kernel, 2 * PAGE_SIZE)
        assert cache_link(kernel, blocks[0], blocks[2])
        assert cache_link(kernel, big, blocks[0])
        kernel.check()


@both_machines
def test_the_headers_of_a_page_front_to_back(arch: str) -> None:
    kernel, blocks = with_free_block(arch)
    found = list(blocks_of_page(kernel.memory, kernel.pool.nonpaged, 1))
    size = kernel.arch.pool_header.size
    assert [block.header + size for block in found[1:]] == blocks[::-1]
    assert [block.is_free for block in found] == [False] * 5 + [True, False]
    assert {block.units for block in found[1:]} == {8}
    assert found[0].previous_units == 0
    assert found[-1].tag == PoolTag(TAG)
    assert found[-1].block_type == 2

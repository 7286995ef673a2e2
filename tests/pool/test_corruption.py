"""What NT reads is what lies in memory: each kind of damage to a header, and its stop."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel, PoolTag
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.accounting import OVERFLOW_TAG
from tests.helpers import allocated, both_machines, stopped_by, write_pointer
from tests.pool.helpers import (
    TAG,
    blocks_at_end,
    body,
    first_page,
    free_list,
    list_head,
    read_header,
    ulong1,
    write_header,
)

HEADER = BugCheckCode.BAD_POOL_HEADER


CALLER = BugCheckCode.BAD_POOL_CALLER


FAULT = BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA


EXPOOL = BugCheckCode.DRIVER_CORRUPTED_EXPOOL


class TestOverrun:
    @both_machines
    def test_into_the_next_block_in_use_is_found_when_the_block_is_freed(
        self, arch: str
    ) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 4)
        kernel.write(blocks[2], b"\x41" * (body(kernel, 8) + 4))
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(blocks[2]))
        size = kernel.arch.pool_header.size
        entry, behind = blocks[2] - size, blocks[1] - size
        assert parameters == (0x20, entry, behind, ulong1(kernel, blocks[2]))

    @both_machines
    def test_into_the_next_block_in_use_is_found_when_that_one_is_freed(
        self, arch: str
    ) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 4)
        kernel.write(blocks[2], bytes(body(kernel, 8) + 4))
        parameters = stopped_by(kernel, CALLER, lambda: kernel.pool.free(blocks[1]))
        assert parameters == (7, 0, 0, blocks[1])

    @both_machines
    def test_into_a_free_block_is_found_when_it_is_taken(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 4)
        kernel.pool.free(blocks[1])
        kernel.write(blocks[2], b"\x41" * (body(kernel, 8) + 4))
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
        assert parameters == (0xE, blocks[1] - kernel.arch.pool_header.size, 0x41414141, 0)

    @both_machines
    def test_into_the_links_of_a_free_block(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 4)
        kernel.pool.free(blocks[1])
        pointer = kernel.arch.pointer_size
        kernel.write(blocks[1], b"\x41" * 2 * pointer)
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
        assert parameters == (3, blocks[1], 0, 0)


class TestSizes:
    @both_machines
    @pytest.mark.parametrize("units", [0, 7, 9])
    def test_an_own_size_that_the_next_header_does_not_confirm(
        self, arch: str, units: int
    ) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 4)[1]
        kernel.write(block, b"\xff" * body(kernel, 8))
        write_header(kernel, block, units=units)
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(block))
        layout = kernel.arch.pool_header
        entry = block - layout.size
        assert parameters == (0x20, entry, entry + units * layout.unit, ulong1(kernel, block))

    @both_machines
    def test_a_size_of_zero_at_the_start_of_a_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, 100)
        write_header(kernel, block, units=0)
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(block))
        assert parameters[:3] == (0x20, first_page(kernel), first_page(kernel))

    @both_machines
    def test_a_size_that_leads_into_a_page_that_disagrees(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 2)[0]
        blocks_at_end(kernel, 2)
        write_header(kernel, block, units=20)
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(block))
        layout = kernel.arch.pool_header
        entry = block - layout.size
        assert parameters == (0x20, entry, entry + 20 * layout.unit, ulong1(kernel, block))

    @both_machines
    def test_a_size_that_leads_into_unmapped_memory(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 2)[0]
        write_header(kernel, block, units=20)
        parameters = stopped_by(kernel, FAULT, lambda: kernel.pool.free(block))
        layout = kernel.arch.pool_header
        assert parameters == (block - layout.size + 20 * layout.unit, 0, 0, 0)

    @both_machines
    def test_a_size_that_the_next_page_happens_to_confirm_is_believed(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        unit = layout.unit
        block = blocks_at_end(kernel, 2)[0]
        blocks_at_end(kernel, 2)
        write_header(kernel, block, units=20)
        kernel.write(block + 20 * unit - layout.size, bytes(layout.size))
        write_header(kernel, block + 20 * unit, previous=20, block_type=2)
        kernel.pool.free(block)
        assert free_list(kernel, 20) == [block]
        assert kernel.pool.usage(TAG).nonpaged_frees == 1

    @both_machines
    def test_a_previous_size_that_leads_out_of_the_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        rest = layout.units_per_page // 2
        first = allocated(kernel, body(kernel, rest))
        block = first + rest * layout.unit
        assert allocated(kernel, body(kernel, rest)) == block
        write_header(kernel, block, previous=layout.size_mask)
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(block))
        entry = block - layout.size
        assert parameters == (6, entry - layout.size_mask * layout.unit, 0, entry)

    @both_machines
    def test_sizes_that_add_up_to_more_than_a_page_wrap(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        rest = layout.units_per_page // 2
        block = allocated(kernel, body(kernel, rest))
        write_header(kernel, block + rest * layout.unit, units=layout.size_mask)
        kernel.pool.free(block)
        assert read_header(kernel, block).units == (rest + layout.size_mask) & layout.size_mask

    @both_machines
    def test_sizes_that_wrap_to_one_unit_leave_a_block_on_no_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        rest = layout.units_per_page // 2
        block = allocated(kernel, body(kernel, rest))
        write_header(kernel, block + rest * layout.unit, units=rest + 1)
        kernel.pool.free(block)
        assert read_header(kernel, block).units == 1
        assert not any(free_list(kernel, units) for units in (1, 2, rest, rest + 1))

    @both_machines
    def test_a_tail_of_a_big_allocation_that_leads_out_of_its_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        big = allocated(kernel, 2 * PAGE_SIZE - 1000)
        allocated(kernel, 100)
        used = -(-(PAGE_SIZE - 1000) // layout.unit)
        free = big + PAGE_SIZE + (used + 1) * layout.unit + layout.size
        assert read_header(kernel, free).block_type == 0
        write_header(kernel, free, units=layout.size_mask)
        parameters = stopped_by(kernel, EXPOOL, lambda: kernel.pool.free(big))
        behind = free - layout.size + layout.size_mask * layout.unit
        assert parameters[:2] == (behind, 2)

    @both_machines
    @pytest.mark.parametrize("last", [4, PAGE_SIZE - 1000])
    def test_a_tail_that_leads_into_a_mapped_page_wraps(self, arch: str, last: int) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        big = allocated(kernel, PAGE_SIZE + last)
        used = -(-last // layout.unit)
        free = big + PAGE_SIZE + (used + 1) * layout.unit + layout.size
        write_header(kernel, free, units=layout.size_mask)
        # The page behind is mapped; the damaged list is not looked at for so much.
        allocated(kernel, 2 * PAGE_SIZE)
        kernel.pool.free(big)
        front = read_header(kernel, big + PAGE_SIZE + layout.size)
        assert front.units == (used + 1 + layout.size_mask) & layout.size_mask
        assert (front.units > 1) == bool(free_list(kernel, front.units))

    @both_machines
    @pytest.mark.parametrize("taken", [10, 98])
    def test_a_forged_block_at_the_end_of_the_pool(self, arch: str, taken: int) -> None:
        # On the list of its size, with sound links, but longer than its page.
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        block = blocks_at_end(kernel, 3)[0]
        for _ in range(2, len(kernel.pool.nonpaged.arena.states)):
            block = blocks_at_end(kernel, 3)[0]
        units = read_header(kernel, block).units
        kernel.pool.free(block)
        (entry,) = free_list(kernel, units)
        head, forged = list_head(kernel, units), list_head(kernel, 100)
        size = kernel.arch.pointer_size
        for at, target in ((head, head), (forged, entry), (entry, forged)):
            write_pointer(kernel, at, target)
            write_pointer(kernel, at + size, target)
        write_header(kernel, entry, units=100)
        parameters = stopped_by(kernel, EXPOOL, lambda: allocated(kernel, body(kernel, taken)))
        wild = entry - layout.size + (100 - taken if taken < 50 else 100) * layout.unit
        assert parameters == (wild, 2, 1, 0)

    @both_machines
    def test_a_free_block_behind_that_leads_out_of_the_page(self, arch: str) -> None:
        # Merging writes the PreviousSize behind the merged block.
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        blocks = blocks_at_end(kernel, 3)
        for page in range(2, len(kernel.pool.nonpaged.arena.states)):
            blocks = blocks_at_end(kernel, 3)
            assert blocks[0] // PAGE_SIZE == (first_page(kernel) // PAGE_SIZE) + page - 1
        kernel.pool.free(blocks[1])
        write_header(kernel, blocks[1], units=100)
        parameters = stopped_by(kernel, EXPOOL, lambda: kernel.pool.free(blocks[2]))
        behind = blocks[1] - layout.size + 100 * layout.unit
        assert parameters[:2] == (behind, 2)


class TestTypeAndTag:
    @both_machines
    def test_a_block_without_its_in_use_bit_counts_as_freed(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 3)[1]
        write_header(kernel, block, block_type=0)
        parameters = stopped_by(kernel, CALLER, lambda: kernel.pool.free(block))
        assert parameters == (7, 0, ulong1(kernel, block), block)

    def test_the_paged_bit_in_the_header_decides_about_the_irql(self) -> None:
        kernel = Kernel()
        block = blocks_at_end(kernel, 3)[1]
        write_header(kernel, block, block_type=3)
        kernel.raise_irql(2)
        parameters = stopped_by(kernel, CALLER, lambda: kernel.pool.free(block))
        assert parameters == (9, 2, 1, block)

    def test_a_free_is_charged_to_the_tag_that_lies_there(self) -> None:
        kernel = Kernel()
        blocks = blocks_at_end(kernel, 4)
        allocated(kernel, 10, b"Othr")
        write_header(kernel, blocks[1], tag=b"Othr")
        kernel.pool.free(blocks[1])
        assert kernel.pool.usage(b"Othr").nonpaged_frees == 1
        assert kernel.pool.usage(TAG).nonpaged_frees == 0

    def test_a_free_of_a_tag_without_a_row_is_charged_to_the_overflow_row(self) -> None:
        kernel = Kernel()
        block = blocks_at_end(kernel, 3)[1]
        write_header(kernel, block, tag=b"????")
        kernel.pool.free(block)
        assert kernel.pool.usage(OVERFLOW_TAG).nonpaged_frees == 1

    def test_a_protected_bit_written_over_a_tag_is_respected(self) -> None:
        kernel = Kernel()
        block = blocks_at_end(kernel, 3)[1]
        write_header(kernel, block, tag=b"Tes\xf4")
        parameters = stopped_by(kernel, CALLER, lambda: kernel.pool.free(block, TAG))
        assert parameters == (0xA, block, PoolTag(b"Tes\xf4"), PoolTag(TAG))

"""What NT reads is what lies in memory: each kind of damage, and the stop it leads to."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel, PoolTag, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.accounting import OVERFLOW_TAG
from tests.pool.helpers import (
    TAG,
    allocate,
    blocks_at_end,
    body,
    both_machines,
    first_page,
    free_list,
    list_head,
    read_header,
    stopped_by,
    ulong1,
    write_header,
    write_pointer,
)

HEADER = BugCheckCode.BAD_POOL_HEADER
CALLER = BugCheckCode.BAD_POOL_CALLER
FAULT = BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
EXPOOL = BugCheckCode.DRIVER_CORRUPTED_EXPOOL


def far(kernel: Kernel) -> int:
    """An address in the nonpaged pool's range that its arena does not even back."""
    return kernel.pool.nonpaged.base + 0x800_0000


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
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
        assert parameters == (0xE, blocks[1] - kernel.arch.pool_header.size, 0x41414141, 0)

    @both_machines
    def test_into_the_links_of_a_free_block(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 4)
        kernel.pool.free(blocks[1])
        pointer = kernel.arch.pointer_size
        kernel.write(blocks[1], b"\x41" * 2 * pointer)
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
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
        block = allocate(kernel, 100)
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
        first = allocate(kernel, body(kernel, rest))
        block = first + rest * layout.unit
        assert allocate(kernel, body(kernel, rest)) == block
        write_header(kernel, block, previous=layout.size_mask)
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(block))
        entry = block - layout.size
        assert parameters == (6, entry - layout.size_mask * layout.unit, 0, entry)

    @both_machines
    def test_sizes_that_add_up_to_more_than_a_page_wrap(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        rest = layout.units_per_page // 2
        block = allocate(kernel, body(kernel, rest))
        write_header(kernel, block + rest * layout.unit, units=layout.size_mask)
        kernel.pool.free(block)
        assert read_header(kernel, block).units == (rest + layout.size_mask) & layout.size_mask

    @both_machines
    def test_sizes_that_wrap_to_one_unit_leave_a_block_on_no_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        rest = layout.units_per_page // 2
        block = allocate(kernel, body(kernel, rest))
        write_header(kernel, block + rest * layout.unit, units=rest + 1)
        kernel.pool.free(block)
        assert read_header(kernel, block).units == 1
        assert not any(free_list(kernel, units) for units in (1, 2, rest, rest + 1))

    @both_machines
    def test_a_tail_of_a_big_allocation_that_leads_out_of_its_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        big = allocate(kernel, 2 * PAGE_SIZE - 1000)
        allocate(kernel, 100)
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
        big = allocate(kernel, PAGE_SIZE + last)
        used = -(-last // layout.unit)
        free = big + PAGE_SIZE + (used + 1) * layout.unit + layout.size
        write_header(kernel, free, units=layout.size_mask)
        # The page behind is mapped; the damaged list is not looked at for so much.
        allocate(kernel, 2 * PAGE_SIZE)
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
        for _ in range(1, len(kernel.pool.nonpaged.arena.states)):
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
        parameters = stopped_by(kernel, EXPOOL, lambda: allocate(kernel, body(kernel, taken)))
        wild = entry - layout.size + (100 - taken if taken < 50 else 100) * layout.unit
        assert parameters == (wild, 2, 1, 0)

    @both_machines
    def test_a_free_block_behind_that_leads_out_of_the_page(self, arch: str) -> None:
        # Merging writes the PreviousSize behind the merged block.
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        for page in range(1, len(kernel.pool.nonpaged.arena.states)):
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
        allocate(kernel, 10, b"Othr")
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


class TestLinks:
    """A damaged LIST_ENTRY stops whoever unlinks it: 0x19/3 with what was read back."""

    @staticmethod
    def prepared(arch: str, entries: int) -> tuple[Kernel, list[int], int, int]:
        """A list of 8 units with one or two entries, the head entry, and a live decoy.

        The first words of the decoy are 0x1110 and 0x2220.
        """
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 7)
        decoy = blocks[6]
        write_pointer(kernel, decoy, 0x1110)
        write_pointer(kernel, decoy + kernel.arch.pointer_size, 0x2220)
        for index in (1, 4)[:entries]:
            kernel.pool.free(blocks[index])
        return kernel, blocks, blocks[(1, 4)[entries - 1]], decoy

    @both_machines
    @pytest.mark.parametrize("entries", [1, 2])
    def test_flink_when_the_block_is_taken(self, arch: str, entries: int) -> None:
        kernel, _, entry, decoy = self.prepared(arch, entries)
        write_pointer(kernel, entry, decoy)
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
        assert parameters == (3, entry, 0x2220, entry)

    @both_machines
    @pytest.mark.parametrize("entries", [1, 2])
    def test_blink_when_the_block_is_taken(self, arch: str, entries: int) -> None:
        kernel, _, entry, decoy = self.prepared(arch, entries)
        write_pointer(kernel, entry + kernel.arch.pointer_size, decoy)
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
        assert parameters == (3, entry, entry, 0x1110)

    @both_machines
    @pytest.mark.parametrize("entries", [1, 2])
    @pytest.mark.parametrize("neighbor", [-1, 1])
    @pytest.mark.parametrize("link", [0, 1])
    def test_when_a_neighbor_is_freed(
        self, arch: str, entries: int, neighbor: int, link: int
    ) -> None:
        kernel, blocks, entry, decoy = self.prepared(arch, entries)
        write_pointer(kernel, entry + link * kernel.arch.pointer_size, decoy)
        freed = blocks[blocks.index(entry) + neighbor]
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(freed))
        read_back = (entry, 0x1110) if link else (0x2220, entry)
        assert parameters == (3, entry, *read_back)

    @both_machines
    def test_when_the_big_allocation_in_front_is_freed(self, arch: str) -> None:
        kernel = Kernel(arch)
        decoy = allocate(kernel, 100)
        write_pointer(kernel, decoy + kernel.arch.pointer_size, 0x2220)
        big = allocate(kernel, PAGE_SIZE + 100)
        frag = -(-100 // kernel.arch.pool_header.unit) * kernel.arch.pool_header.unit
        entry = big + PAGE_SIZE + frag + kernel.arch.pool_header.unit
        entry += kernel.arch.pool_header.size
        write_pointer(kernel, entry, decoy)
        parameters = stopped_by(kernel, HEADER, lambda: kernel.pool.free(big))
        assert parameters[:3] == (3, entry, 0x2220)

    @both_machines
    @pytest.mark.parametrize("target", ["nothing", "backed by nothing", "below", "other pool"])
    def test_flink_into_the_wild_nonpaged(self, arch: str, target: str) -> None:
        kernel, _, entry, _ = self.prepared(arch, 2)
        flink = {
            "nothing": kernel.pool.nonpaged.base + 9 * PAGE_SIZE,
            "backed by nothing": far(kernel),
            "below": 0x1000,
            "other pool": kernel.pool.paged.base + 7 * PAGE_SIZE,
        }[target]
        write_pointer(kernel, entry, flink)
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
        assert parameters == (3, entry, 0, entry)

    @both_machines
    def test_flink_into_the_wild_paged(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 3, pool_type=PoolType.PagedPool)[1]
        kernel.pool.free(block)
        write_pointer(kernel, block, 0x1000)
        parameters = stopped_by(
            kernel, HEADER, lambda: allocate(kernel, body(kernel, 8), pool_type=1)
        )
        assert parameters == (3, block, 0, block)

    @both_machines
    def test_a_link_whose_last_byte_is_unmapped(self, arch: str) -> None:
        kernel, _, entry, _ = self.prepared(arch, 2)
        pointer = kernel.arch.pointer_size
        end = first_page(kernel) + PAGE_SIZE
        write_pointer(kernel, entry, end - pointer - 1)
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
        # The word at Flink + one pointer starts in the page's last byte.
        assert parameters == (3, entry, 0, entry)

    @both_machines
    def test_a_misaligned_flink(self, arch: str) -> None:
        kernel, _, entry, decoy = self.prepared(arch, 2)
        write_pointer(kernel, entry, decoy + 1)
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
        assert parameters[:2] == (3, entry)
        assert parameters[3] == entry

    @both_machines
    @pytest.mark.parametrize("target", ["far", "low", "other page"])
    def test_a_list_head_that_leads_into_the_wild(self, arch: str, target: str) -> None:
        kernel, _, _, _ = self.prepared(arch, 1)
        wild = {
            "far": far(kernel),
            "low": 0x1000,
            "other page": kernel.pool.nonpaged.base + 9 * PAGE_SIZE,
        }[target]
        write_pointer(kernel, list_head(kernel, 8), wild)
        parameters = stopped_by(kernel, EXPOOL, lambda: allocate(kernel, body(kernel, 8)))
        assert parameters == (wild, 2, 0, 0)

    @both_machines
    def test_a_list_head_that_leads_to_no_free_block(self, arch: str) -> None:
        kernel, _, _, decoy = self.prepared(arch, 1)
        write_pointer(kernel, decoy, first_page(kernel))
        write_pointer(kernel, decoy + kernel.arch.pointer_size, first_page(kernel))
        write_pointer(kernel, list_head(kernel, 8), decoy)
        parameters = stopped_by(kernel, HEADER, lambda: allocate(kernel, body(kernel, 8)))
        assert parameters[:2] == (3, decoy)


class TestInsertion:
    """Inserting checks nothing: it writes where the list head says."""

    @both_machines
    @pytest.mark.parametrize("target", ["far", "low"])
    def test_at_the_head_writes_the_blink_of_what_the_head_points_at(
        self, arch: str, target: str
    ) -> None:
        # The memory referenced is the second word of the entry.
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 5)
        kernel.pool.free(blocks[1])
        wild = far(kernel) if target == "far" else 0x1000
        write_pointer(kernel, list_head(kernel, 8), wild)
        parameters = stopped_by(kernel, EXPOOL, lambda: kernel.pool.free(blocks[3]))
        assert parameters == (wild + kernel.arch.pointer_size, 2, 1, 0)

    @both_machines
    def test_into_a_page_that_is_not_mapped(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 5)
        kernel.pool.free(blocks[1])
        wild = kernel.pool.nonpaged.base + 9 * PAGE_SIZE
        write_pointer(kernel, list_head(kernel, 8), wild)
        parameters = stopped_by(kernel, EXPOOL, lambda: kernel.pool.free(blocks[3]))
        assert parameters == (wild + kernel.arch.pointer_size, 2, 1, 0)

    @both_machines
    def test_of_a_remainder_writes_the_flink_of_the_list_s_last_entry(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 5)
        kernel.pool.free(blocks[1])
        pointer = kernel.arch.pointer_size
        write_pointer(kernel, list_head(kernel, 5) + pointer, far(kernel))
        parameters = stopped_by(kernel, EXPOOL, lambda: allocate(kernel, body(kernel, 3)))
        assert parameters == (far(kernel), 2, 1, 0)

    @both_machines
    def test_of_the_rest_of_a_fresh_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        rest = kernel.arch.pool_header.units_per_page - 8
        pointer = kernel.arch.pointer_size
        head = list_head(kernel, rest, kernel.pool.paged)
        write_pointer(kernel, head + pointer, 0x1000)
        parameters = stopped_by(
            kernel, FAULT, lambda: allocate(kernel, body(kernel, 8), pool_type=1)
        )
        assert parameters == (0x1000, 2, 0, 0)

    @both_machines
    def test_a_live_block_as_the_head_s_entry_is_written_to(self, arch: str) -> None:
        """The classic write-what-where: nobody notices at once."""
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 7)
        kernel.pool.free(blocks[1])
        write_pointer(kernel, list_head(kernel, 8), blocks[5])
        kernel.pool.free(blocks[3])
        assert kernel.memory.read_pointer(blocks[5] + kernel.arch.pointer_size) == blocks[3]
        assert kernel.memory.read_pointer(blocks[3]) == blocks[5]


class TestListHeads:
    @both_machines
    def test_a_list_hidden_by_a_write_to_its_head_is_not_used(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 3)[1]
        kernel.pool.free(block)
        head = list_head(kernel, 8)
        pointer = kernel.arch.pointer_size
        write_pointer(kernel, head, head)
        write_pointer(kernel, head + pointer, head)
        other = allocate(kernel, body(kernel, 8))
        assert other // PAGE_SIZE != block // PAGE_SIZE
        # And one restored the same way is.
        write_pointer(kernel, head, block)
        write_pointer(kernel, head + pointer, block)
        assert allocate(kernel, body(kernel, 8)) == block

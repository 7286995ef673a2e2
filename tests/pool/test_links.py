"""Damaged links of free lists: each stop, and what NT does not notice."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated, both_machines, stopped_by, write_pointer
from tests.pool.helpers import blocks_at_end, body, first_page, list_head

HEADER = BugCheckCode.BAD_POOL_HEADER


FAULT = BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA


EXPOOL = BugCheckCode.DRIVER_CORRUPTED_EXPOOL


def far(kernel: Kernel) -> int:
    """An address in the nonpaged pool's range that its arena does not even back."""
    return kernel.pool.nonpaged.base + 0x800_0000


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
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
        assert parameters == (3, entry, 0x2220, entry)

    @both_machines
    @pytest.mark.parametrize("entries", [1, 2])
    def test_blink_when_the_block_is_taken(self, arch: str, entries: int) -> None:
        kernel, _, entry, decoy = self.prepared(arch, entries)
        write_pointer(kernel, entry + kernel.arch.pointer_size, decoy)
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
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
        decoy = allocated(kernel, 100)
        write_pointer(kernel, decoy + kernel.arch.pointer_size, 0x2220)
        big = allocated(kernel, PAGE_SIZE + 100)
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
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
        assert parameters == (3, entry, 0, entry)

    @both_machines
    def test_flink_into_the_wild_paged(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = blocks_at_end(kernel, 3, pool_type=PoolType.PagedPool)[1]
        kernel.pool.free(block)
        write_pointer(kernel, block, 0x1000)
        parameters = stopped_by(
            kernel, HEADER, lambda: allocated(kernel, body(kernel, 8), pool_type=1)
        )
        assert parameters == (3, block, 0, block)

    @both_machines
    def test_a_link_whose_last_byte_is_unmapped(self, arch: str) -> None:
        kernel, _, entry, _ = self.prepared(arch, 2)
        pointer = kernel.arch.pointer_size
        end = first_page(kernel) + PAGE_SIZE
        write_pointer(kernel, entry, end - pointer - 1)
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
        # The word at Flink + one pointer starts in the page's last byte.
        assert parameters == (3, entry, 0, entry)

    @both_machines
    def test_a_misaligned_flink(self, arch: str) -> None:
        kernel, _, entry, decoy = self.prepared(arch, 2)
        write_pointer(kernel, entry, decoy + 1)
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
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
        parameters = stopped_by(kernel, EXPOOL, lambda: allocated(kernel, body(kernel, 8)))
        assert parameters == (wild, 2, 0, 0)

    @both_machines
    def test_a_list_head_that_leads_to_no_free_block(self, arch: str) -> None:
        kernel, _, _, decoy = self.prepared(arch, 1)
        write_pointer(kernel, decoy, first_page(kernel))
        write_pointer(kernel, decoy + kernel.arch.pointer_size, first_page(kernel))
        write_pointer(kernel, list_head(kernel, 8), decoy)
        parameters = stopped_by(kernel, HEADER, lambda: allocated(kernel, body(kernel, 8)))
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
        parameters = stopped_by(kernel, EXPOOL, lambda: allocated(kernel, body(kernel, 3)))
        assert parameters == (far(kernel), 2, 1, 0)

    @both_machines
    def test_of_the_rest_of_a_fresh_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        rest = kernel.arch.pool_header.units_per_page - 8
        pointer = kernel.arch.pointer_size
        head = list_head(kernel, rest, kernel.pool.paged)
        write_pointer(kernel, head + pointer, 0x1000)
        parameters = stopped_by(
            kernel, FAULT, lambda: allocated(kernel, body(kernel, 8), pool_type=1)
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
        other = allocated(kernel, body(kernel, 8))
        assert other // PAGE_SIZE != block // PAGE_SIZE
        # And one restored the same way is.
        write_pointer(kernel, head, block)
        write_pointer(kernel, head + pointer, block)
        assert allocated(kernel, body(kernel, 8)) == block

"""Whole pages, and what becomes of the rest of the last one."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, PoolTagUsage, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated, both_machines
from tests.pool.helpers import TAG, Header, body, first_page, free_list, page_count, read_header


def tail_of(kernel: Kernel, address: int, size: int) -> tuple[int, int, int]:
    """Bodies of the Frag unit and of the free block behind it, and that block's units."""
    layout = kernel.arch.pool_header
    used = -(-(size % PAGE_SIZE) // layout.unit)
    last_page = address + size // PAGE_SIZE * PAGE_SIZE
    frag = last_page + used * layout.unit + layout.size
    return frag, frag + layout.unit, layout.units_per_page - used - 1


class TestPages:
    @both_machines
    @pytest.mark.parametrize(
        ("size", "pages"), [(4096, 1), (4097, 2), (8192, 2), (10000, 3), (1 << 20, 256)]
    )
    def test_whole_pages_are_taken_and_given_back(
        self, arch: str, size: int, pages: int
    ) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, size)
        assert address == first_page(kernel)
        assert page_count(kernel) == pages
        kernel.check()
        kernel.pool.free(address)
        assert page_count(kernel) == 0
        kernel.check()

    @both_machines
    def test_there_is_no_header_in_front(self, arch: str) -> None:
        kernel = Kernel(arch)
        small = allocated(kernel, kernel.arch.pool_header.largest_request)
        before = kernel.read(small, 16)
        big = allocated(kernel, 2 * PAGE_SIZE)
        assert big == first_page(kernel) + PAGE_SIZE
        assert kernel.read(small, 16) == before

    @both_machines
    @pytest.mark.parametrize("pool_type", [PoolType.NonPagedPool, PoolType.PagedPool])
    def test_the_tag_is_charged_what_was_asked_for(
        self, arch: str, pool_type: PoolType
    ) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, 0x79E8, pool_type=pool_type)
        paged = (0, 0, 0, 1, 0, 0x79E8)
        nonpaged = (1, 0, 0x79E8, 0, 0, 0)
        charged = paged if pool_type.is_paged else nonpaged
        assert kernel.pool.usage(TAG) == PoolTagUsage(*charged)
        kernel.pool.free(address)
        assert kernel.pool.usage(TAG).outstanding == 0
        assert kernel.pool.usage(TAG).nonpaged_bytes == kernel.pool.usage(TAG).paged_bytes == 0

    def test_a_large_arena_grows_and_keeps_what_was_written(self) -> None:
        kernel = Kernel()
        small = allocated(kernel, 100)
        kernel.write(small, b"kept" * 25)
        big = allocated(kernel, 3 << 20)
        kernel.write(big + (3 << 20) - 4, b"last")
        assert kernel.read(small, 100) == b"kept" * 25
        assert allocated(kernel, 100) // PAGE_SIZE == small // PAGE_SIZE
        kernel.check()


class TestTail:
    """The unused end of the last page: a Frag unit, then an ordinary free block."""

    @both_machines
    @pytest.mark.parametrize(("pool_type", "in_use"), [(0, 2), (1, 3), (0x200, 2)])
    def test_is_handed_back(self, arch: str, pool_type: int, in_use: int) -> None:
        kernel = Kernel(arch)
        size = PAGE_SIZE + 1000
        address = allocated(kernel, size, pool_type=pool_type)
        frag, free, units = tail_of(kernel, address, size)
        assert read_header(kernel, frag) == Header(0, 1, in_use, b"Frag")
        assert read_header(kernel, free) == Header(1, units, 0, b"Free")
        pool = kernel.pool.ordinary_at(address)
        assert free_list(kernel, units, pool) == [free]
        kernel.check()

    @both_machines
    def test_goes_to_the_tail_of_its_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        sizes = [PAGE_SIZE + 1000, 2 * PAGE_SIZE + 1000]
        tails = [tail_of(kernel, allocated(kernel, size), size) for size in sizes]
        assert free_list(kernel, tails[0][2]) == [tails[0][1], tails[1][1]]

    @both_machines
    @pytest.mark.parametrize("rest", [0, 1, 2])
    def test_too_short_for_a_block_stays_with_the_allocation(
        self, arch: str, rest: int
    ) -> None:
        kernel = Kernel(arch)
        size = 2 * PAGE_SIZE - rest * kernel.arch.pool_header.unit
        address = allocated(kernel, size)
        units = kernel.arch.pool_header.units_per_page
        assert not any(free_list(kernel, count) for count in range(1, units + 1))
        kernel.check()
        kernel.pool.free(address)
        assert page_count(kernel) == 0

    @both_machines
    def test_shortest_tail(self, arch: str) -> None:
        kernel = Kernel(arch)
        size = 2 * PAGE_SIZE - 3 * kernel.arch.pool_header.unit
        address = allocated(kernel, size)
        _, free, units = tail_of(kernel, address, size)
        assert units == 2
        assert free_list(kernel, 2) == [free]
        assert allocated(kernel, 1) == free
        kernel.check()

    @both_machines
    def test_serves_requests_from_its_end(self, arch: str) -> None:
        kernel = Kernel(arch)
        size = PAGE_SIZE + 1000
        address = allocated(kernel, size)
        block = allocated(kernel, 100)
        assert address + size < block
        units = read_header(kernel, block).units
        end = block - kernel.arch.pool_header.size + units * kernel.arch.pool_header.unit
        assert end == address + 2 * PAGE_SIZE
        assert page_count(kernel) == 2
        kernel.check()
        kernel.pool.free(block)
        kernel.check()
        _, free, free_units = tail_of(kernel, address, size)
        assert free_list(kernel, free_units) == [free]

    @both_machines
    def test_a_tail_block_never_merges_with_the_big_allocation(self, arch: str) -> None:
        kernel = Kernel(arch)
        size = PAGE_SIZE + 1000
        address = allocated(kernel, size)
        frag, free, units = tail_of(kernel, address, size)
        block = allocated(kernel, body(kernel, units))
        assert block == free
        kernel.pool.free(block)
        assert read_header(kernel, frag).tag == b"Frag"
        assert free_list(kernel, units) == [free]
        kernel.check()


class TestFreeing:
    SIZE = 2 * PAGE_SIZE + 1000

    @both_machines
    def test_an_unused_tail_goes_with_its_pages(self, arch: str) -> None:
        kernel = Kernel(arch)
        kernel.pool.free(allocated(kernel, self.SIZE))
        assert page_count(kernel) == 0
        units = kernel.arch.pool_header.units_per_page
        assert not any(free_list(kernel, count) for count in range(1, units + 1))
        kernel.check()

    @both_machines
    @pytest.mark.parametrize("pool_type", [0, 1, 0x200])
    def test_the_last_page_stays_while_a_block_in_its_tail_lives(
        self, arch: str, pool_type: int
    ) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, self.SIZE, pool_type=pool_type)
        pool = kernel.pool.ordinary_at(address)
        assert pool is not None
        block = allocated(kernel, 500, pool_type=pool_type)
        kernel.write(block, b"b" * 500)
        kernel.pool.free(address)
        assert page_count(kernel, pool) == 1
        assert kernel.read(block, 500) == b"b" * 500
        kernel.check()
        # Its front became a free block: together with the Frag unit and what was free behind.
        header = kernel.arch.pool_header
        front = address + 2 * PAGE_SIZE + header.size
        units = header.units_per_page - read_header(kernel, block).units
        assert read_header(kernel, front) == Header(0, units, 0, b"Free")
        assert read_header(kernel, block).previous == units
        assert free_list(kernel, units, pool) == [front]
        kernel.pool.free(block)
        assert page_count(kernel, pool) == 0
        kernel.check()

    @both_machines
    def test_a_tail_that_is_all_in_use_is_left_alone(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, self.SIZE)
        _, free, units = tail_of(kernel, address, self.SIZE)
        assert allocated(kernel, body(kernel, units)) == free
        kernel.pool.free(address)
        front_units = kernel.arch.pool_header.units_per_page - units
        front = address + 2 * PAGE_SIZE + kernel.arch.pool_header.size
        assert read_header(kernel, front).units == front_units
        assert read_header(kernel, free) == Header(front_units, units, 2, TAG)
        kernel.check()
        kernel.pool.free(free)
        assert page_count(kernel) == 0

    @both_machines
    def test_a_fragment_of_one_unit_behind_the_frag_unit_is_merged(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, self.SIZE)
        _, free, units = tail_of(kernel, address, self.SIZE)
        block = allocated(kernel, body(kernel, units - 1))
        assert block == free + kernel.arch.pool_header.unit
        kernel.pool.free(address)
        assert read_header(kernel, block).previous == (
            kernel.arch.pool_header.units_per_page - units + 1
        )
        kernel.check()

    @both_machines
    def test_the_tail_first_and_the_allocation_after(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, self.SIZE)
        block = allocated(kernel, 500)
        kernel.pool.free(block)
        assert page_count(kernel) == 3
        kernel.pool.free(address)
        assert page_count(kernel) == 0
        kernel.check()

    @both_machines
    def test_the_front_goes_to_the_head_of_its_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        bigs, blocks = [], []
        for _ in range(2):
            big = allocated(kernel, self.SIZE)
            _, free, units = tail_of(kernel, big, self.SIZE)
            block = allocated(kernel, body(kernel, units))
            assert block == free
            bigs.append(big)
            blocks.append(block)
        for big in bigs:
            kernel.pool.free(big)
        fronts = [big + 2 * PAGE_SIZE + kernel.arch.pool_header.size for big in bigs]
        front_units = kernel.arch.pool_header.units_per_page - units
        assert free_list(kernel, front_units) == fronts[::-1]
        kernel.check()

    @both_machines
    def test_an_exposed_tail_is_walked_like_any_page(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = allocated(kernel, self.SIZE)
        block = allocated(kernel, 500)
        kernel.write(block - 1, kernel.read(block - 1, 1))
        kernel.pool.free(address)
        kernel.check()
        kernel.pool.free(block)
        assert page_count(kernel) == 0
        kernel.check()

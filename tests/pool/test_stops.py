"""What a free stops the machine for, and that it stays stopped."""

from __future__ import annotations

from functools import partial

import pytest

from lookaside_sim import BugCheckCode, Kernel, PoolTag, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated, both_machines, new_list, stopped_by
from tests.pool.helpers import TAG, blocks_at_end, body, free_list, ulong1


class TestIrql:
    @both_machines
    @pytest.mark.parametrize(
        ("pool_type", "irql"), [(0, 3), (0, 15), (0x200, 3), (1, 2), (0x21, 2), (1, 3)]
    )
    @pytest.mark.parametrize("size", [100, 5000])
    def test_too_high(self, arch: str, pool_type: int, irql: int, size: int) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, size, pool_type=pool_type)
        kernel.raise_irql(irql)
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(block)
        )
        assert parameters == (9, irql, pool_type & 1, block)

    @pytest.mark.parametrize(("pool_type", "irql"), [(0, 2), (0x200, 2), (1, 1)])
    @pytest.mark.parametrize("size", [100, 5000])
    def test_highest_allowed(self, pool_type: int, irql: int, size: int) -> None:
        kernel = Kernel()
        block = allocated(kernel, size, pool_type=pool_type)
        with kernel.raise_irql(irql):
            kernel.pool.free(block)
        assert kernel.pool.usage(TAG).outstanding == 0


class TestAlreadyFreed:
    @both_machines
    def test_a_block_on_a_free_list(self, arch: str) -> None:
        kernel = Kernel(arch)
        blocks = blocks_at_end(kernel, 3)
        kernel.pool.free(blocks[1])
        contents = ulong1(kernel, blocks[1])
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(blocks[1])
        )
        assert parameters == (7, 0, contents, blocks[1])

    @both_machines
    @pytest.mark.parametrize("order", [(1, 2), (2, 1), (1, 3, 2), (0, 1)])
    def test_a_block_whose_header_lies_inside_a_merged_block(
        self, arch: str, order: tuple[int, ...]
    ) -> None:
        for again in order:
            kernel = Kernel(arch)
            blocks = blocks_at_end(kernel, 5)
            for index in order:
                kernel.pool.free(blocks[index])
            block = blocks[again]
            parameters = stopped_by(
                kernel,
                BugCheckCode.BAD_POOL_CALLER,
                partial(kernel.pool.free, block),
            )
            assert parameters == (7, 0, ulong1(kernel, block), block)

    @both_machines
    def test_a_block_whose_page_was_given_back(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, 100)
        kernel.pool.free(block)
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(block)
        )
        assert parameters == (7, 0, ulong1(kernel, block), block)

    @both_machines
    def test_a_big_allocation(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, 5000)
        kernel.pool.free(block)
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_HEADER, lambda: kernel.pool.free(block)
        )
        assert parameters == (0x22, block, 0, 0)

    def test_a_block_that_was_allocated_again_can_be_freed_again(self) -> None:
        """Which no header can tell from a double free, on NT as here."""
        kernel = Kernel()
        block = blocks_at_end(kernel, 3)[1]
        kernel.pool.free(block)
        assert allocated(kernel, body(kernel, 8)) == block
        kernel.pool.free(block)
        kernel.check()


class TestWildAddresses:
    @both_machines
    def test_null_is_invalid(self, arch: str) -> None:
        for null in (0, None):
            kernel = Kernel(arch)
            parameters = stopped_by(
                kernel, BugCheckCode.BAD_POOL_CALLER, partial(kernel.pool.free, null)
            )
            assert parameters == (0x40, 0, kernel.arch.system_start, 0)

    @both_machines
    def test_a_page_outside_the_pools_is_invalid(self, arch: str) -> None:
        kernel = Kernel(arch)
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(0xFFFF_8000)
        )
        start = kernel.arch.system_start
        wild = (0x46, 0xFFFF_8000, 0, 0) if arch == "x86" else (0x40, 0xFFFF_8000, start, 0)
        assert parameters == wild

    @both_machines
    @pytest.mark.parametrize("page", [0, 1, 2, 3, 50])
    def test_a_page_in_a_pool_that_nobody_allocated_has_no_tracking_entry(
        self, arch: str, page: int
    ) -> None:
        kernel = Kernel(arch)
        allocated(kernel, 100)
        allocated(kernel, 2 * PAGE_SIZE)
        # 0 the list heads, 1 a page of blocks, 3 inside a big allocation, 50 not mapped
        if page == 2:
            page = 4  # 2 is the big allocation itself
        address = kernel.pool.nonpaged.base + page * PAGE_SIZE
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_HEADER, lambda: kernel.pool.free(address)
        )
        assert parameters == (0x22, address, 0, 0)

    @both_machines
    def test_unmapped_memory_faults_where_the_header_would_be(self, arch: str) -> None:
        kernel = Kernel(arch)
        address = kernel.pool.nonpaged.base + 100 * PAGE_SIZE + 0x40
        parameters = stopped_by(
            kernel, BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA, lambda: kernel.pool.free(address)
        )
        assert parameters == (address - kernel.arch.pool_header.size, 0, 0, 0)

    @both_machines
    def test_the_header_of_a_very_low_address_wraps_around(self, arch: str) -> None:
        kernel = Kernel(arch)
        parameters = stopped_by(
            kernel, BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA, lambda: kernel.pool.free(4)
        )
        header = (4 - kernel.arch.pool_header.size) % (1 << kernel.arch.address_bits)
        assert parameters == (header, 0, 0, 0)

    @both_machines
    def test_an_address_between_units_is_invalid(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, 100)
        kernel.write(block, b"\xff" * 100)
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(block + 1)
        )
        assert parameters == (0x46, block + 1, 0, 0)

    @both_machines
    def test_inside_a_block_without_the_in_use_bit_is_already_freed(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, 100)
        kernel.write(block, bytes(100))
        inside = block + 2 * kernel.arch.pool_header.unit
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(inside)
        )
        assert parameters == (7, 0, 0, inside)

    @both_machines
    def test_inside_a_big_allocation_with_the_in_use_bit_is_invalid(self, arch: str) -> None:
        kernel = Kernel(arch)
        block = allocated(kernel, 2 * PAGE_SIZE)
        kernel.write(block, b"\xff" * 100)
        inside = block + 2 * kernel.arch.pool_header.unit
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(inside)
        )
        assert parameters == (0x46, inside, 0, 0)

    @both_machines
    def test_driver_data_is_invalid(self, arch: str) -> None:
        kernel = Kernel(arch)
        lookaside = new_list(kernel, size=100, tag=TAG)
        inside = lookaside.address + 2 * kernel.arch.pool_header.unit
        parameters = stopped_by(
            kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(inside)
        )
        assert parameters == (0x46, inside, 0, 0)

    @both_machines
    def test_bytes_that_look_like_a_block_are_freed_as_one(self, arch: str) -> None:
        """NT looks at headers alone; so a forged one inside a block is freed."""
        kernel = Kernel(arch)
        layout = kernel.arch.pool_header
        block = blocks_at_end(kernel, 3, units=20)[1]
        forged = block + 4 * layout.unit
        header = 0 | 6 << 16 | 2 << layout.type_shift
        behind = 6 | 1 << 16 | 2 << layout.type_shift
        kernel.write(forged - layout.size, header.to_bytes(4, "little") + TAG)
        kernel.write(forged + 6 * layout.unit - layout.size, behind.to_bytes(4, "little") + TAG)
        kernel.pool.free(forged)
        assert free_list(kernel, 6) == [forged]
        assert kernel.pool.usage(TAG).nonpaged_frees == 1

    @pytest.mark.parametrize("address", [-1, 1 << 64, (1 << 64) + 8])
    def test_what_fits_no_pointer_is_a_plain_error(self, address: int) -> None:
        kernel = Kernel()
        with pytest.raises(ValueError, match="address"):
            kernel.pool.free(address)
        assert kernel.bugcheck is None

    def test_an_integer_like_object_is_taken(self) -> None:
        kernel = Kernel()
        block = PoolTag  # any int subclass will do
        x86 = Kernel("x86")
        x86.pool.free(block(allocated(x86, 100)))
        assert x86.pool.usage(TAG).outstanding == 0
        with pytest.raises(TypeError):
            kernel.pool.free("1")  # type: ignore[arg-type]


class TestStopped:
    def test_every_later_call_raises_the_same_stop_again(self) -> None:
        kernel = Kernel()
        block, big = allocated(kernel, 100), allocated(kernel, 5000)
        paged = allocated(kernel, 100, pool_type=PoolType.PagedPool)
        stopped_by(kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(None))
        stop = kernel.bugcheck
        calls = (
            lambda: kernel.pool.free(block),
            lambda: kernel.pool.free(big),
            lambda: kernel.pool.free(paged),
            lambda: kernel.pool.free(None),
            lambda: kernel.pool.free(0x1234),
            lambda: kernel.pool.allocate(0, 100, TAG),
            lambda: kernel.pool.allocate(1, 5000, TAG),
            lambda: kernel.pool.allocate(0, 100, 0),
            lambda: kernel.pool.allocate(2, 100, TAG),
            lambda: kernel.pool.usage(TAG),
            kernel.pool.tags,
            lambda: kernel.pool.query(block),
            lambda: kernel.read(block, 1),
            lambda: kernel.write(block, b"x"),
            lambda: kernel.raise_irql(2),
            kernel.tick,
        )
        for call in calls:
            stopped_by(kernel, BugCheckCode.BAD_POOL_CALLER, call)
            assert kernel.bugcheck is stop

    def test_what_only_looks_still_works(self) -> None:
        kernel = Kernel()
        block = allocated(kernel, 100)
        stopped_by(kernel, BugCheckCode.BAD_POOL_CALLER, lambda: kernel.pool.free(None))
        found = kernel.pool.find(block)
        assert found is not None
        assert found.size == 100
        assert list(kernel.pool.rows()) == [PoolTag(TAG)]
        assert kernel.pool.statistics(kernel.pool.nonpaged).pages == 1
        kernel.check()

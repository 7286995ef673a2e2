"""The small-pool lists: one for each size, pool and processor, with links in memory."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    InvariantError,
    Kernel,
    PoolType,
)
from tests.helpers import allocated

NONPAGED, PAGED, NX = PoolType.NonPagedPool, PoolType.PagedPool, PoolType.NonPagedPoolNx


def test_small_lists_count_hits() -> None:
    kernel = Kernel(small_pool_lists=True)
    assert kernel.small_pool_lists is not None
    blocks = [allocated(kernel, 40) for _ in range(5)]
    for block in blocks:
        kernel.pool.free(block)
    small = kernel.small_pool_lists.of(0, NONPAGED)[3]  # 64 bytes with the header
    assert (small.total_allocates, small._allocate_misses) == (5, 0)
    assert (small.total_frees, small._free_misses, small.current_depth) == (5, 4, 4)
    assert (small.allocate_misses, small.free_misses) == (5, 1)
    assert [allocated(kernel, 40) for _ in range(4)] == blocks[3::-1]
    assert (small.total_allocates, small._allocate_misses, small.current_depth) == (9, 4, 0)
    image = kernel.read(small.address, small.image_size)
    small.load_image(image)
    assert small.store_image() == image


def test_each_pool_and_processor_has_lists_of_its_own() -> None:
    kernel = Kernel(processors=2, small_pool_lists=True)
    for pool_type in (NONPAGED, PAGED, NX):
        address = allocated(kernel, 40, pool_type=pool_type)
        with kernel.on_processor(1):
            kernel.pool.free(address)
        assert allocated(kernel, 40, pool_type=pool_type) != address
        with kernel.on_processor(1):
            assert allocated(kernel, 40, pool_type=pool_type) == address
    kernel.check()


@pytest.mark.parametrize(("size", "parked"), [(496, True), (497, False)])
def test_only_blocks_of_32_units_are_parked(size: int, parked: bool) -> None:
    kernel = Kernel(small_pool_lists=True)
    assert kernel.small_pool_lists is not None
    address = allocated(kernel, size)
    kernel.pool.free(address)
    assert bool(list(kernel.small_pool_lists.all())) is parked


def test_phase_2_scans_one_set_a_time() -> None:
    kernel = Kernel(processors=2, small_pool_lists=True)
    assert kernel.small_pool_lists is not None
    lists = [kernel.small_pool_lists.of(number, NONPAGED)[3] for number in range(2)]
    for number in range(2):
        with kernel.on_processor(number):
            # 200 in the 6 seconds between two scans is busy, and all of them miss.
            for _ in range(200):
                allocated(kernel, 40)
    kernel.tick(3)
    assert [each.depth for each in lists] == [30 + 4, 4]
    kernel.tick(3)
    assert [each.depth for each in lists] == [34, 34]
    kernel.tick(6)  # the shared lists, then processor 0 again, idle now
    assert [each.depth for each in lists] == [24, 34]


def test_a_write_after_the_free_redirects_the_list() -> None:
    kernel = Kernel(small_pool_lists=True)
    first, second = allocated(kernel, 40), allocated(kernel, 40)
    target = allocated(kernel, 600)
    kernel.pool.free(second)
    kernel.pool.free(first)
    kernel.write(first, target.to_bytes(8, "little"))
    assert allocated(kernel, 40) == first
    assert allocated(kernel, 40) == target


def test_small_blocks_are_zeroed_when_asked() -> None:
    kernel = Kernel("x86", small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.write(address, b"\xff" * 40)
    kernel.pool.free(address)
    assert allocated(kernel, 40, pool_type=PoolType.POOL_ZERO_ALLOCATION) == address
    assert kernel.read(address, 40) == bytes(40)
    kernel.pool.free(address)
    assert kernel.small_pool_lists is not None
    small = next(kernel.small_pool_lists.all())
    before = small.store_image()
    small.load_image(before)
    assert (small.first, small.current_depth, small.store_image()) == (address, 1, before)


def test_a_forged_link_out_of_the_pool_is_handed_out_all_the_same() -> None:
    kernel = Kernel(small_pool_lists=True)
    blocks = [allocated(kernel, 40) for _ in range(2)]
    for block in blocks:
        kernel.pool.free(block)
    other = kernel.registry.nonpaged.address
    kernel.write(blocks[1], other.to_bytes(8, "little"))
    with pytest.raises(InvariantError):
        kernel.check()
    assert allocated(kernel, 40) == blocks[1]
    assert allocated(kernel, 40) == other

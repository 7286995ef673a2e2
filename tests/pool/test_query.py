"""Which live block holds an address."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, PoolAllocation, PoolTag, PoolType
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated, both_machines
from tests.pool.helpers import TAG, blocks_at_end, body, write_header


@both_machines
@pytest.mark.parametrize("size", [1, 16, 100, 4064])
def test_every_address_of_a_body_finds_its_block(arch: str, size: int) -> None:
    kernel = Kernel(arch)
    address = allocated(kernel, size, PoolTag(0xEE657645))
    found = kernel.pool.query(address)
    assert found is not None
    assert found == PoolAllocation(
        address, size, PoolTag(0xEE657645), PoolType.NonPagedPool, found.block_size
    )
    end = address - kernel.arch.pool_header.size + found.block_size
    for inside in (address, address + 1, address + size - 1, end - 1):
        assert kernel.pool.query(inside) == found
    for outside in (address - 1, address - kernel.arch.pool_header.size, end):
        assert kernel.pool.query(outside) is None


@both_machines
def test_neighbors_are_told_apart(arch: str) -> None:
    kernel = Kernel(arch)
    blocks = blocks_at_end(kernel, 3)
    for block in blocks:
        for offset in (0, body(kernel, 8) - 1):
            found = kernel.pool.query(block + offset)
            assert found is not None
            assert found.address == block


@both_machines
def test_a_big_block_has_the_size_asked_for(arch: str) -> None:
    kernel = Kernel(arch)
    address = allocated(kernel, 0x79E8, pool_type=PoolType.PagedPool)
    found = kernel.pool.query(address)
    assert found == PoolAllocation(
        address, 0x79E8, PoolTag(TAG), PoolType.PagedPool, 8 * PAGE_SIZE
    )
    end = address + -(-0x79E8 // kernel.arch.pool_header.unit) * kernel.arch.pool_header.unit
    for inside in (address + 1, address + PAGE_SIZE, address + 0x79E7, end - 1):
        assert kernel.pool.query(inside) == found
    assert kernel.pool.query(end) is None  # the Frag unit
    assert kernel.pool.query(address - 1) is None


@both_machines
def test_a_block_in_the_tail_of_a_big_block_is_its_own(arch: str) -> None:
    kernel = Kernel(arch)
    big = allocated(kernel, PAGE_SIZE + 100)
    block = allocated(kernel, 200)
    found = kernel.pool.query(block + 199)
    assert found is not None
    assert (found.address, found.size) == (block, 200)
    assert kernel.pool.query(block - kernel.arch.pool_header.size) is None
    of_big = kernel.pool.query(big + PAGE_SIZE + 99)
    assert of_big is not None
    assert of_big.address == big


@both_machines
@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        (PoolType.NonPagedPool, PoolType.NonPagedPool),
        (PoolType.PagedPool, PoolType.PagedPool),
        (PoolType.NonPagedPoolNx, PoolType.NonPagedPoolNx),
        (PoolType.NonPagedPoolNxCacheAligned, PoolType.NonPagedPoolNxCacheAligned),
        (PoolType.PagedPoolSession, PoolType.PagedPoolSession),
        (PoolType.PagedPool | PoolType.POOL_NX_ALLOCATION, PoolType.PagedPool),
        (PoolType.NonPagedPool | PoolType.POOL_ZERO_ALLOCATION, PoolType.NonPagedPool),
    ],
)
@pytest.mark.parametrize("size", [100, 5000])
def test_the_type_is_that_of_the_pool_and_the_header(
    arch: str, asked: PoolType, reported: PoolType, size: int
) -> None:
    kernel = Kernel(arch)
    found = kernel.pool.query(allocated(kernel, size, pool_type=asked))
    assert found is not None
    assert found.pool_type == reported


@both_machines
def test_a_free_block_is_no_block(arch: str) -> None:
    kernel = Kernel(arch)
    blocks = blocks_at_end(kernel, 3)
    big = allocated(kernel, 5000)
    for block in (blocks[1], big):
        kernel.pool.free(block)
        assert kernel.pool.query(block) is None


@pytest.mark.parametrize("address", [0, -1, 0x1000, 1 << 70])
def test_an_address_outside_the_pools_holds_nothing(address: int) -> None:
    kernel = Kernel()
    allocated(kernel, 100)
    assert kernel.pool.query(address) is None


def test_pages_of_a_pool_without_a_block_hold_nothing() -> None:
    kernel = Kernel()
    allocated(kernel, 100)
    base = kernel.pool.nonpaged.base
    assert kernel.pool.query(base) is None
    assert kernel.pool.query(base + 2 * PAGE_SIZE) is None
    assert kernel.pool.query(base + 1000 * PAGE_SIZE) is None


@both_machines
def test_an_overwritten_size_is_reported_as_it_lies_there(arch: str) -> None:
    kernel = Kernel(arch)
    block = blocks_at_end(kernel, 3)[1]
    write_header(kernel, block, units=1)
    assert kernel.pool.query(block) is None  # no body is left
    write_header(kernel, block, units=2)
    found = kernel.pool.query(block)
    assert found is not None
    assert found.block_size == 2 * kernel.arch.pool_header.unit
    assert 0 <= found.size <= body(kernel, 2)


def test_a_query_changes_nothing() -> None:
    kernel = Kernel()
    address = allocated(kernel, 2 * PAGE_SIZE)
    states = bytes(kernel.pool.nonpaged.arena.states)
    assert kernel.pool.query(address + 5) is not None
    assert bytes(kernel.pool.nonpaged.arena.states) == states
    kernel.check()

"""Where a list may lie, and what becomes of one in a pool block."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideList,
    PoolTag,
    PoolType,
)
from tests.helpers import SIZES, allocated, list_in_block, new_list, poke, where

BEYOND_CACHES = 0x40_0000  # bytes of a block whose pages are unmapped when it is freed


# --- where a structure may lie -----------------------------------------------------------


@pytest.mark.parametrize("offset", range(1, 16))
def test_a_misaligned_address_is_refused(kernel: Kernel, arch: str, offset: int) -> None:
    address = kernel.arch.image_data_start + 0x1000 + offset
    if arch == "x86":
        assert LookasideList(kernel, address=address).address == address
        return
    with pytest.raises(ValueError, match=f"{address:#x}.*aligned"):
        LookasideList(kernel, address=address)


def test_overlapping_structures_are_refused(kernel: Kernel, arch: str) -> None:
    first = LookasideList(kernel)
    step = {"x64": 16, "x86": 8}[arch]
    for address in range(first.address - SIZES[arch] + step, first.address + SIZES[arch], step):
        if address == first.address:
            continue
        with pytest.raises(ValueError, match=f"{address:#x}"):
            LookasideList(kernel, address=address)
    assert LookasideList(kernel, address=first.address + 0x80).address == first.address + 0x80


def test_an_inactive_list_gives_its_place_to_a_new_object(kernel: Kernel) -> None:
    old = new_list(kernel, "old", size=32, tag=b"old ")
    with pytest.raises(ValueError, match="the active list"):
        LookasideList(kernel, address=old.address)
    old.free(old.allocate())
    old.delete()
    image = bytes(old)
    new = LookasideList(kernel, "new", old.address)
    assert bytes(new) == bytes(old) == kernel.read(old.address, new.image_size) == image
    new.initialize(size=64, tag=b"new ")
    entry = new.allocate()
    new.free(entry)
    # The old object still works on the memory, which is the new one's now.
    assert (old.size, old.tag, old.total_frees) == (64, PoolTag(b"new "), 1)
    assert old.allocate() == entry
    assert (new.total_allocates, new.current_depth) == (2, 0)
    assert kernel.lookaside_lists == [new]
    kernel.check()


def test_a_given_address_is_skipped_by_the_next_list(kernel: Kernel) -> None:
    first = LookasideList(kernel)
    taken = LookasideList(kernel, address=first.address + first.image_size)
    third = LookasideList(kernel)
    assert third.address >= taken.address + taken.image_size


@pytest.mark.parametrize("address", [0, -16, -(1 << 70), 1 << 64, (1 << 64) - 16, 1 << 80])
def test_an_address_outside_the_address_space_is_refused(kernel: Kernel, address: int) -> None:
    with pytest.raises(ValueError, match="address"):
        LookasideList(kernel, address=address)
    assert kernel.bugcheck is None


@pytest.mark.parametrize("address", ["text", 1.5, [1], b"1"])
def test_an_address_of_another_type_is_refused(kernel: Kernel, address: object) -> None:
    with pytest.raises(TypeError):
        LookasideList(kernel, address=address)  # type: ignore[arg-type]


def test_in_a_pool_it_must_lie_in_one_live_block(kernel: Kernel, arch: str) -> None:
    block = allocated(kernel, SIZES[arch] + 0x20, b"DExt")
    with pytest.raises(ValueError, match="not inside one live pool block"):
        LookasideList(kernel, address=block + 0x30)
    LookasideList(kernel, address=block + 0x20)
    with pytest.raises(ValueError, match="not inside one live pool block"):
        LookasideList(kernel, address=block - 0x10)
    with pytest.raises(ValueError, match="not inside one live pool block"):
        LookasideList(kernel, address=block + 0x40_0000)
    kernel.pool.free(block)
    with pytest.raises(ValueError, match="not inside one live pool block"):
        LookasideList(kernel, address=block)


def test_a_list_in_a_big_block_works(kernel: Kernel) -> None:
    block = allocated(kernel, 0x3000, b"DExt")
    lookaside = LookasideList(kernel, address=block + 0x1FD0)  # across two pages
    lookaside.initialize(size=32, tag=b"big ")
    entry = lookaside.allocate()
    lookaside.free(entry)
    assert lookaside.allocate() == entry
    lookaside.delete()
    assert lookaside.total_allocates == 2


# --- a list inside a pool block ----------------------------------------------------------


def test_the_block_keeps_the_fields(kernel: Kernel) -> None:
    lookaside = list_in_block(kernel)
    before = kernel.read(lookaside.address, lookaside.image_size)
    assert bytes(lookaside) == before  # whatever the block held; nothing was written
    lookaside.initialize(size=32, tag=b"embd")
    assert kernel.lookaside_lists == [lookaside]
    assert list(lookaside.entries()) == []
    kernel.check()


def test_a_block_freed_with_an_active_list_is_written_by_the_next_scan(
    kernel: Kernel, arch: str
) -> None:
    keep = kernel.pool.allocate(0, 64, b"keep")  # so that the page stays
    lookaside = list_in_block(kernel, size=0x100)
    lookaside.initialize(size=32, tag=b"gone")
    poke(kernel, lookaside, Depth=50)
    kernel.pool.free(lookaside.address)
    assert kernel.pool.query(lookaside.address) is None
    kernel.tick()
    offset, size = where(arch, "Depth")
    raw = kernel.read(lookaside.address + offset, size)
    assert int.from_bytes(raw, "little") == 40
    assert keep is not None


def test_a_new_owner_of_the_block_is_the_list(kernel: Kernel, arch: str) -> None:
    keep = kernel.pool.allocate(0, 64, b"keep")
    lookaside = list_in_block(kernel, size=0x100)
    lookaside.initialize(size=32, tag=b"gone")
    kernel.pool.free(lookaside.address)
    block = kernel.pool.allocate(0, 0x100, b"next")
    assert block == lookaside.address
    poke(kernel, lookaside, Depth=20, MaximumDepth=256, LastTotalAllocates=0)
    poke(kernel, lookaside, TotalAllocates=0)
    kernel.tick()
    offset, size = where(arch, "Depth")
    assert int.from_bytes(kernel.read(block + offset, size), "little") == 10
    assert keep is not None


def test_a_block_whose_page_is_gone_faults(kernel: Kernel, arch: str) -> None:
    lookaside = list_in_block(kernel, size=BEYOND_CACHES)
    lookaside.initialize(size=32, tag=b"gone")
    kernel.pool.free(lookaside.address)
    with pytest.raises(BugCheck) as stop:
        kernel.tick()
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert stop.value.parameters[:3] == (lookaside.address + where(arch, "Flink")[0], 2, 0)


OPERATIONS: dict[str, Callable[[LookasideList], object]] = {
    "allocate": lambda each: each.allocate(),
    "free": lambda each: each.free(each.address),
    "flush": lambda each: each.flush(),
    "initialize": lambda each: each.initialize(size=32, tag=b"gone"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_on_a_list_whose_page_is_gone_faults(
    kernel: Kernel, operation: str
) -> None:
    lookaside = list_in_block(kernel, size=BEYOND_CACHES)
    lookaside.initialize(size=32, tag=b"gone")
    kernel.pool.free(lookaside.address)
    with pytest.raises(BugCheck) as stop:
        OPERATIONS[operation](lookaside)
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.value.parameters[:2] == (lookaside.address, 0)


def test_a_list_in_paged_pool_is_a_list(kernel: Kernel) -> None:
    # The structure must be nonpaged by contract; nothing checks it while its page is resident.
    lookaside = list_in_block(kernel, pool_type=PoolType.PagedPool)
    lookaside.initialize(size=32, tag=b"pged")
    lookaside.free(lookaside.allocate())
    assert lookaside.current_depth == 1


def test_an_entry_overflow_into_the_list_changes_it(kernel: Kernel, arch: str) -> None:
    lookaside = list_in_block(kernel)
    lookaside.initialize(size=32, tag=b"over")
    offset, _ = where(arch, "Depth")
    kernel.write(lookaside.address + offset, b"\xff\xff")
    assert lookaside.depth == 0xFFFF

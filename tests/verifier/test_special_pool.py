"""Special pool: a page for each block, its end or its start guarded."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    PoolType,
    Verifier,
    VerifierFlags,
    ddi,
)
from lookaside_sim.verifier.special_pool import ALLOCATE_IRQL, FREE_IRQL, SpecialPool
from tests.helpers import allocated, new_list, nowhere, stop_of

SPECIAL = Verifier(VerifierFlags.SPECIAL_POOL)


AT_START = Verifier(VerifierFlags.SPECIAL_POOL, special_pool_start=True)


CORRUPTION = BugCheckCode.SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION


PAGE = 4096


NONPAGED = PoolType.NonPagedPool


@pytest.mark.parametrize(
    ("arch", "size", "offset"),
    [
        ("x64", 0x3C, 0xFC0),
        ("x64", 0x34, 0xFC0),
        ("x64", 0x18, 0xFE0),
        ("x64", 0x4F0, 0xB10),
        ("x86", 4, 0xFF8),
        ("x86", 8, 0xFF8),
        ("x86", 16, 0xFF0),
    ],
)
def test_data_ends_at_the_end_of_its_page(arch: str, size: int, offset: int) -> None:
    kernel = Kernel(arch, verifier=SPECIAL)
    assert allocated(kernel, size) % PAGE == offset


def test_data_starts_its_page_with_verify_start() -> None:
    kernel = Kernel(verifier=AT_START)
    address = allocated(kernel, 60)
    assert address % PAGE == 0
    stop = stop_of(lambda: kernel.read(address - 1, 1))
    assert stop.code is BugCheckCode.DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION
    assert "1 bytes in front of" in stop.message


def test_an_overrun_stops_at_the_access_and_writes_nothing() -> None:
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(kernel, 64)
    before = kernel.read(address, 64)
    stop = stop_of(lambda: kernel.write(address + 60, b"overrun!"))
    assert stop.code is BugCheckCode.DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION
    assert stop.parameters[:2] == (address + 64, 1)
    assert "allocated in allocated (helpers.py" in stop.message
    assert kernel.memory.read(address, 64) == before


def test_a_late_access_stops_at_once_and_names_both_ends_of_the_block() -> None:
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(kernel)
    kernel.pool.free(address)
    stop = stop_of(lambda: kernel.read(address + 5, 1))
    assert stop.code is BugCheckCode.DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL
    assert stop.parameters[:2] == (address + 5, 0)
    assert "allocated in" in stop.message
    assert "freed in test_a_late_access" in stop.message


def test_the_kernels_own_touch_has_the_other_code() -> None:
    kernel = Kernel(verifier=SPECIAL)
    lookaside = new_list(kernel, address=allocated(kernel, 0x60), size=32, tag=b"List")
    kernel.registry.remove(lookaside)  # or the free would be stopped
    kernel.pool.free(lookaside.address)
    stop = stop_of(lookaside.allocate)
    assert stop.code is BugCheckCode.PAGE_FAULT_IN_FREED_SPECIAL_POOL


@pytest.mark.parametrize(
    ("at", "kind"), [(-1, 0x23), (60, 0x24), (63, 0x24)], ids=["before", "behind", "last"]
)
def test_slop_bytes_are_looked_at_on_the_free(at: int, kind: int) -> None:
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(kernel, 60)
    damaged = address + at
    kernel.write(damaged, bytes([kernel.read(damaged, 1)[0] ^ 0xFF]))
    stop = stop_of(lambda: kernel.pool.free(address))
    assert stop.code is CORRUPTION
    assert stop.parameters == (address, damaged, 0, kind)


def test_a_damaged_header_is_a_size_mismatch_or_nearby_bytes() -> None:
    for at, kind in ((0, 0x21), (4, 0x23)):
        kernel = Kernel(verifier=SPECIAL)
        address = allocated(kernel, 60)
        header = address & ~(PAGE - 1)
        kernel.write(header + at, b"\x01")
        stop = stop_of(lambda address=address, kernel=kernel: kernel.pool.free(address))  # type: ignore[misc]
        assert (stop.code, stop.parameters[3]) == (CORRUPTION, kind)


def test_a_second_free_and_a_free_inside_are_not_allocated() -> None:
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(kernel)
    kernel.pool.free(address)
    stop = stop_of(lambda: kernel.pool.free(address))
    assert (stop.code, stop.parameters) == (CORRUPTION, (address, 0, 0, 0x20))
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(kernel)
    stop = stop_of(lambda: kernel.pool.free(address + 16))
    assert (stop.code, stop.parameters[3]) == (CORRUPTION, 0x20)
    assert "lies inside" in stop.message


def test_freed_slots_wait_before_they_are_used_again() -> None:
    kernel = Kernel(verifier=SPECIAL)
    first = allocated(kernel)
    kernel.pool.free(first)
    seen = 0
    while (address := allocated(kernel)) != first:
        kernel.pool.free(address)
        seen += 1
    assert seen == 1023  # the 1,024th makes room for the oldest
    kernel.check()


def test_what_does_not_fit_or_has_no_page_left_comes_from_the_ordinary_pool() -> None:
    settings = Verifier(VerifierFlags.SPECIAL_POOL, special_pool_pages=1)
    kernel = Kernel(verifier=settings)
    assert kernel.verification is not None
    special = kernel.verification.special_pool
    assert special is not None
    assert not special.holds(allocated(kernel, 4081))
    assert special.holds(allocated(kernel, 4080))
    assert not special.holds(allocated(kernel, 16))
    counters = kernel.verification.counters
    assert (counters.allocations_succeeded, counters.allocations_succeeded_special_pool) == (
        3,
        1,
    )


def test_tags_limit_special_pool() -> None:
    settings = Verifier(VerifierFlags.SPECIAL_POOL, special_pool_tags="Ab*")
    kernel = Kernel(verifier=settings)
    assert kernel.verification is not None
    special = kernel.verification.special_pool
    assert special is not None
    assert special.holds(allocated(kernel, 16, tag=b"Abcd"))
    assert not special.holds(allocated(kernel, 16, tag=b"Bbcd"))


def test_blocks_are_found_counted_and_zeroed_like_others() -> None:
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(
        kernel, 60, pool_type=PoolType.PagedPool | PoolType.POOL_ZERO_ALLOCATION
    )
    assert kernel.read(address, 60) == bytes(60)
    block = kernel.pool.query(address + 59)
    assert block is not None
    assert (block.address, block.size, str(block.tag)) == (address, 60, "Test")
    assert block.pool_type.is_paged
    assert kernel.pool.query(address + 60) is None
    assert kernel.pool.usage(b"Test").paged_bytes == PAGE
    kernel.check()
    kernel.pool.free(address)
    assert kernel.pool.usage(b"Test").paged_bytes == 0
    kernel.check()


@given(st.integers(1, 4080), st.sampled_from(["x64", "x86"]), st.booleans(), st.data())
def test_every_byte_outside_the_data_is_guarded(
    size: int, arch: str, at_start: bool, data: st.DataObject
) -> None:
    kernel = Kernel(arch, verifier=AT_START if at_start else SPECIAL)
    address = allocated(kernel, size)
    kernel.write(address, bytes(size))
    start = address & ~(PAGE - 1)
    outside = data.draw(
        st.integers(start - 64, start + PAGE + 63).filter(
            lambda at: not address <= at < address + size
        )
    )
    where = outside - start

    def misuse() -> None:
        value = kernel.read(outside, 1)[0]
        kernel.write(outside, bytes([value ^ 0x5A]))
        kernel.pool.free(address)

    stop = stop_of(misuse)
    if 0 <= where < PAGE:
        assert stop.code is CORRUPTION
    else:
        assert stop.code is BugCheckCode.DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION


def test_special_pool_for_code_that_is_not_verified_checks_the_irql() -> None:
    from lookaside_sim import ddi

    settings = Verifier(VerifierFlags.SPECIAL_POOL, drivers=["other.sys"])
    flags = ddi.POOL_FLAG_PAGED | ddi.POOL_FLAG_SPECIAL_POOL
    for freeing in (False, True):
        kernel = Kernel(verifier=settings)
        with kernel:
            address = ddi.ExAllocatePool2(flags, 40, b"Test")
            assert kernel.verification is not None
            assert kernel.verification.special_pool is not None
            assert kernel.verification.special_pool.holds(address)
            kernel.raise_irql(2)
            if freeing:
                stop = stop_of(lambda address=address: ddi.ExFreePool(address))  # type: ignore[misc]
                assert stop.parameters == (2, 1, address, 0x31)
            else:
                stop = stop_of(lambda: ddi.ExAllocatePool2(flags, 40, b"Test"))
                assert stop.parameters == (2, 1, 40, 0x30)
            assert stop.code is CORRUPTION


def test_forgotten_blocks_are_still_stopped_for() -> None:
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(kernel)
    kernel.pool.free(address)
    assert kernel.ledger is not None
    kernel.ledger.freed.clear()
    stop = stop_of(lambda: kernel.read(address, 1))
    assert "not remembered" in stop.message


def test_other_unmapped_memory_is_an_ordinary_page_fault() -> None:
    kernel = Kernel(verifier=SPECIAL)
    stop = stop_of(lambda: kernel.read(nowhere(kernel), 1))
    assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA


def test_a_priority_chooses_the_end_that_special_pool_guards() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SPECIAL_POOL))
    with kernel:
        under = ddi.ExAllocatePoolPriorityZero(
            NONPAGED, 100, b"Test", ddi.NormalPoolPrioritySpecialPoolUnderrun
        )
        over = ddi.ExAllocatePoolPriorityUninitialized(
            NONPAGED, 100, b"Test", ddi.NormalPoolPrioritySpecialPoolOverrun
        )
    assert under % 4096 == 0
    assert over % 4096 == 0xF90
    assert kernel.read(under, 100) == bytes(100)


def special_pool_of(kernel: Kernel) -> SpecialPool:
    assert kernel.verification is not None
    special = kernel.verification.special_pool
    assert special is not None
    return special


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_each_block_has_two_pages_of_the_range(arch: str) -> None:
    kernel = Kernel(arch, verifier=SPECIAL)
    special = special_pool_of(kernel)
    size = kernel.arch.pool_region_size
    inside = [special.holds(special.base + at) for at in (-1, 0, size - 1, size)]
    assert inside == [False, True, True, False]
    pages = [(allocated(kernel) - special.base) // PAGE for _ in range(3)]
    assert pages == [2, 4, 6]
    assert special.served == 3
    found = [special.block_in_page(special.base + page * PAGE) for page in range(8)]
    assert [each is not None and each.page for each in found] == [
        *(False, False, 2, False, 4, False, 6, False)
    ]


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_where_the_range_ends_slots_are_used_again_at_once(arch: str) -> None:
    kernel = Kernel(arch, verifier=SPECIAL)
    special = special_pool_of(kernel)
    pages = kernel.arch.pool_region_size // PAGE
    # As after many allocations.
    special._arena.reach(4)
    special._next_page = 4 if arch == "x64" else pages - 4
    first, second = allocated(kernel), allocated(kernel)
    if arch == "x64":  # a range that is far too large to be used up here
        special._next_page = pages
    else:
        assert (second - special.base) // PAGE == pages - 2
    kernel.pool.free(second)
    kernel.pool.free(first)
    assert [allocated(kernel), allocated(kernel)] == [second, first]


def test_the_range_ends_before_its_last_slot_has_no_guard() -> None:
    kernel = Kernel(
        "x86", verifier=Verifier(VerifierFlags.SPECIAL_POOL, special_pool_pages=10**6)
    )
    special = special_pool_of(kernel)
    most = kernel.arch.pool_region_size // PAGE // 2 - 1
    block = special.blocks[allocated(kernel)]
    special.blocks.update(dict.fromkeys(range(most - 2), block))
    assert special.holds(allocated(kernel))
    assert len(special.blocks) == most
    assert not special.holds(allocated(kernel))
    del special.blocks[0]
    assert special.holds(allocated(kernel))


@pytest.mark.parametrize("settings", [SPECIAL, AT_START])
def test_the_pattern_is_of_the_time_and_never_zero(settings: Verifier) -> None:
    kernel = Kernel(verifier=settings)
    special = special_pool_of(kernel)
    seen = []
    for served in range(1, 300):
        block = special.blocks[allocated(kernel, 24)]
        ticks = kernel.seconds * 64 + served
        slop = block.address + 24 if settings is AT_START else block.address - 8
        assert kernel.read(slop, 8) == bytes([ticks % 255 + 1]) * 8
        seen.append(block.pattern)
        if served % 100 == 0:
            kernel.tick(1)
    assert set(seen) == set(range(1, 256))


def test_no_bytes_are_served_as_one() -> None:
    special = special_pool_of(Kernel(verifier=SPECIAL))
    block = special.allocate(0, 0, 0x74736554, at_start=False)
    assert block is not None
    assert (block.size, block.address % PAGE) == (1, PAGE - 16)
    assert special.find(block.address) is block
    assert special.find(block.address + 1) is special.find(block.address - 1) is None
    special.free(special.check_free(block.address))
    assert special.find(block.address) is None


@pytest.mark.parametrize(
    ("irql", "pool_type", "stops"), [(2, 0, False), (3, 0, True), (1, 1, False), (2, 1, True)]
)
@pytest.mark.parametrize("verb", ["allocated", "freed"])
def test_its_irqls_are_those_of_its_pools(
    irql: int, pool_type: int, stops: bool, verb: str
) -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SPECIAL_POOL, drivers=["other.sys"]))
    special = special_pool_of(kernel)
    kind = ALLOCATE_IRQL if verb == "allocated" else FREE_IRQL
    with kernel.raise_irql(irql):
        if not stops:
            special.check_irql(kind, pool_type, 77)
            return
        stop = stop_of(lambda: special.check_irql(kind, pool_type, 77))
    assert stop.parameters == (irql, pool_type, 77, kind)
    assert f"special pool was {verb} at IRQL {irql}" in stop.message


@pytest.mark.parametrize("pool_type", [0, 1])
def test_a_blocks_header_tells_its_size_pool_and_pattern(pool_type: int) -> None:
    kernel = Kernel(verifier=SPECIAL)
    special = special_pool_of(kernel)
    block = special.blocks[allocated(kernel, 77, pool_type=pool_type)]
    ulong1, tag = struct.unpack("<II", kernel.read(block.address & -PAGE, 8))
    assert (ulong1 & 0x1FFF, ulong1 >> 13 & 7, ulong1 >> 16) == (77, pool_type, block.pattern)
    assert tag == block.tag


@pytest.mark.parametrize("freed", [False, True])
def test_what_a_fault_in_special_pool_says(freed: bool) -> None:
    kernel = Kernel(verifier=SPECIAL)
    address = allocated(kernel, 16)
    where = address if freed else address + 16
    if freed:
        kernel.pool.free(address)
    stop = stop_of(lambda: kernel.write(where, b"late"))
    assert stop.parameters[:2] == (where, 1)
    assert stop.parameters[3] == 0

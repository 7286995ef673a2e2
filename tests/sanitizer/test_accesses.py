"""What the sanitizer reports as KASAN does."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode, Kernel
from tests.helpers import allocated, new_list, stop_of, take

ILLEGAL = BugCheckCode.KASAN_ILLEGAL_ACCESS
RIGHT, FREED, FREED_ON_LIST, LEFT = 0x86, 0x87, 0x8C, 0x8D
"""As the page on KASAN lists them."""


def illegal(kernel: Kernel, address: int, size: int, *, write: bool = False) -> int:
    """Touch memory, which KASAN stops; the code it gives."""
    driver = kernel.load_driver("mydrv.sys")

    def touch() -> None:
        with driver:
            if write:
                kernel.write(address, bytes(size))
            else:
                kernel.read(address, size)

    stop = stop_of(touch)
    assert stop.code is ILLEGAL
    assert stop.parameters[:2] == (address, size)
    assert driver.holds(stop.parameters[2])
    assert bool(stop.parameters[3] & 0x100) is write
    return stop.parameters[3] & 0xFF


@pytest.fixture
def kasan() -> Kernel:
    return Kernel(kasan=True)


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize(("offset", "size"), [(0, 8), (63, 1), (-4, 5)])
def test_freed_lookaside_list_memory(
    kasan: Kernel, offset: int, size: int, write: bool
) -> None:
    lookaside = new_list(kasan)
    (entry,) = take(lookaside, 1)
    kasan.write(entry, b"mine")
    lookaside.free(entry)
    assert illegal(kasan, entry + offset, size, write=write) == FREED_ON_LIST


def test_an_entry_given_back_is_freed_memory(kasan: Kernel) -> None:
    lookaside = new_list(kasan)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    lookaside.flush()
    assert illegal(kasan, entry, 1) == FREED


@pytest.mark.parametrize("size", [64, 4096, 3 * 4096])
def test_a_page_that_went_back_to_its_cache(kasan: Kernel, size: int) -> None:
    block = allocated(kasan, size)
    kasan.pool.free(block)
    assert kasan.memory.is_mapped(block, 1)
    assert illegal(kasan, block, 1) == FREED


def test_the_pages_list_heads_are_no_freed_pool(kasan: Kernel) -> None:
    allocated(kasan, 64)
    assert kasan.read(kasan.pool.nonpaged.base, 8)


def test_freed_pool(kasan: Kernel) -> None:
    blocks = [allocated(kasan, 64) for _ in range(3)]
    kasan.pool.free(blocks[1])
    assert illegal(kasan, blocks[1] + 8, 4) == FREED


@pytest.mark.parametrize(
    ("size", "at", "touched", "code"),
    [
        # 64 bytes asked for: no cell is shared, and a free block begins behind them.
        (64, 64, 1, FREED),
        (64, 60, 8, RIGHT),
        (64, 0, 65, RIGHT),
        # 61: of the last cell five bytes are valid.
        (61, 61, 1, 5),
        (61, 60, 2, 5),
        (61, 63, 1, 5),
        (61, 64, 8, FREED),
        # 49: one byte of a cell, then cells of the block that nobody asked for.
        (49, 49, 1, 1),
        (49, 56, 1, RIGHT),
        (4096 + 20, 4096 + 24, 1, RIGHT),
    ],
)
def test_behind_a_block(kasan: Kernel, size: int, at: int, touched: int, code: int) -> None:
    block = allocated(kasan, size)
    kasan.read(block, size)
    kasan.write(block + size - 1, b"x")
    assert illegal(kasan, block + at, touched) == code


def test_in_front_of_a_block(kasan: Kernel) -> None:
    block = allocated(kasan, 64)
    assert illegal(kasan, block - 1, 1, write=True) == LEFT


def test_what_is_no_pool_is_not_its_business(kasan: Kernel) -> None:
    driver = kasan.load_driver("mydrv.sys")
    data = driver.place_data(16)
    kasan.write(data, b"x" * 16)
    lookaside = new_list(kasan)
    kasan.read(lookaside.address, 8)
    kasan.read(kasan.pool.nonpaged.base, 16)  # the list heads
    assert kasan.bugcheck is None


def test_headers_that_were_overwritten_tell_nothing(kasan: Kernel) -> None:
    block = allocated(kasan, 64)
    kasan.memory.write(block - 16, bytes(4))
    kasan.read(block - 16, 1)
    assert kasan.bugcheck is None


def test_other_misuse_stays_a_report(kasan: Kernel) -> None:
    lookaside = new_list(kasan)
    (entry,) = take(lookaside, 1)
    lookaside.free(entry)
    with pytest.raises(Exception, match="double-free"):
        lookaside.free(entry)
    assert kasan.bugcheck is None


def test_kasan_is_off_unless_asked_for_and_x64s_alone() -> None:
    kernel = Kernel(sanitizer=True)
    kernel.read(allocated(kernel, 64) - 8, 4)
    assert Kernel(kasan=True).sanitizer is not None
    with pytest.raises(ValueError, match="kasan on x86"):
        Kernel("x86", kasan=True)
    with pytest.raises(TypeError, match="kasan"):
        Kernel(kasan="yes")  # type: ignore[arg-type]


def test_pool_that_never_was_is_an_ordinary_fault(kasan: Kernel) -> None:
    allocated(kasan, 64)
    where = kasan.pool.nonpaged.base + (kasan.arch.pool_region_size >> 1)
    assert kasan.pool.ordinary_at(where) is not None
    stop = stop_of(lambda: kasan.read(where, 1))
    assert stop.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.parameters[0] == where

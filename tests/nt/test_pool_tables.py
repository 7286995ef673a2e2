"""The pool's own tables: layouts as the symbols of each version have them, and where rows lie."""

from __future__ import annotations

import struct

import pytest

from lookaside_sim.nt.layouts import architecture
from lookaside_sim.nt.pool_tables import (
    BigPages,
    TagSide,
    big_page_entry,
    page_hash,
    placed,
    tag_hash,
    tracker_row,
)
from lookaside_sim.nt.windows import WINDOWS_NAMES, windows_version

EARLY = ("vista", "7", "8", "8.1", "10-1507", "10-1607")
NONPAGED, PAGED = TagSide(0x11, 0x12, 0x13), TagSide(0x21, 0x22, 0x23)


def fields(row: bytes, offsets: dict[int, int]) -> list[int]:
    """Integers of a row: offset to bytes."""
    return [int.from_bytes(row[at : at + size], "little") for at, size in offsets.items()]


@pytest.mark.parametrize("name", WINDOWS_NAMES)
def test_a_tracker_row_on_x64(name: str) -> None:
    version = windows_version(name)
    row = tracker_row(architecture("x64", version), version, 0x6B636154, NONPAGED, PAGED)
    if name in EARLY:
        assert len(row) == 0x28
        offsets = {0: 4, 4: 4, 8: 4, 0x10: 8, 0x18: 4, 0x1C: 4, 0x20: 8}
        assert fields(row, offsets) == [0x6B636154, 0x11, 0x12, 0x13, 0x21, 0x22, 0x23]
    else:
        assert len(row) == 0x38
        offsets = {0: 4, 8: 8, 0x10: 8, 0x18: 8, 0x20: 8, 0x28: 8, 0x30: 8}
        assert fields(row, offsets) == [0x6B636154, 0x13, 0x11, 0x12, 0x23, 0x21, 0x22]
    assert len(row) == version.tracker_size


@pytest.mark.parametrize("name", WINDOWS_NAMES)
def test_a_tracker_row_on_x86(name: str) -> None:
    version = windows_version(name)
    row = tracker_row(architecture("x86", version), version, 1, NONPAGED, PAGED)
    assert struct.unpack("<7I", row) == (1, 0x11, 0x12, 0x13, 0x21, 0x22, 0x23)


def test_counters_of_the_early_row_go_round() -> None:
    version = windows_version("7")
    row = tracker_row(
        architecture("x86", version), version, 1, TagSide(1 << 32, 5, -1), TagSide()
    )
    assert struct.unpack("<7I", row) == (1, 0, 5, 0xFFFF_FFFF, 0, 0, 0)


@pytest.mark.parametrize("name", WINDOWS_NAMES)
def test_an_entry_for_big_pages_on_x64(name: str) -> None:
    version = windows_version(name)
    arch = architecture("x64", version)
    big = BigPages(0xFFFF_C900_0000_3000, 0x20676942, 0x200, 0x79E8)
    entry = big_page_entry(arch, version, big)
    assert len(entry) == 0x18
    va, key, word, size = fields(entry, {0: 8, 8: 4, 0xC: 4, 0x10: 8})
    assert (va, key, size) == (big.address, big.key, 0x79E8)
    if name in ("vista", "7", "8", "8.1"):
        assert word == 0x200
    else:
        # Pattern:8, PoolType:12, SlushSize:12
        assert (word & 0xFF, word >> 8 & 0xFFF, word >> 20) == (0, 0x200, 0x8000 - 0x79E8)
    free = big_page_entry(arch, version, None)
    assert free[0] & 1
    assert fields(free, {8: 4, 0xC: 4, 0x10: 8}) == [0, 0, 0]


def test_an_entry_for_big_pages_on_x86() -> None:
    version = windows_version("10-1809")
    entry = big_page_entry(
        architecture("x86", version), version, BigPages(0x9000_3000, 1, 1, 5000)
    )
    assert struct.unpack("<4I", entry) == (0x9000_3000, 1, 1, 5000)


def test_the_hashes() -> None:
    # 40543 times the tag, its halves folded; the bytes of a page number folded.
    assert tag_hash(0x6B636154) == (40543 * 0x6B636154 & 0xFFFF_FFFF) ^ (
        40543 * 0x6B636154 >> 32
    )
    # Page number 0xC9012303: its bytes are C9, 01, 23 and 03.
    assert page_hash(0xC901_2303_0000 >> 4) & 0xFF == 0xC9 ^ 0x01 ^ 0x23 ^ 0x03
    # Of a page number only 32 bits count.
    assert page_hash(0xFFFF_C901_2303_0000 >> 4) == page_hash(0xFFC_9012_3030_00)


def test_who_finds_a_place_taken_goes_to_the_next() -> None:
    assert placed([4, 8, 3], lambda key: key, 4) == [0, 1, None, 2]
    assert placed([3, 7], lambda key: key, 4) == [1, None, None, 0]
    assert placed([], lambda key: key, 2) == [None, None]

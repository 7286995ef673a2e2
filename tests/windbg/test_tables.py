"""The tables of a machine's pool, as bytes."""

from __future__ import annotations

import struct

import pytest

from lookaside_sim import Kernel, windbg
from lookaside_sim.nt.pool_tables import tag_hash
from tests.helpers import allocated


@pytest.mark.parametrize("windows", ["7", "10-1809"])
def test_each_tag_has_its_row(windows: str) -> None:
    kernel = Kernel(windows=windows)
    allocated(kernel, 100, b"aaaa")
    allocated(kernel, 5000, b"aaaa", pool_type=1)
    kernel.pool.free(allocated(kernel, 20, b"bbbb"))
    table = windbg.pool_track_table(kernel)
    size = kernel.windows.tracker_size
    assert len(table) == 2049 * size
    for tag in (b"aaaa", b"bbbb"):
        key = int.from_bytes(tag, "little")
        at = (tag_hash(key) & 2047) * size
        row, usage = table[at : at + size], kernel.pool.usage(tag)
        assert row[:4] == tag
        sides = (
            (usage.nonpaged_allocs, usage.nonpaged_frees, usage.nonpaged_bytes),
            (usage.paged_allocs, usage.paged_frees, usage.paged_bytes),
        )
        if windows == "7":
            found = struct.unpack("<IIIxxxxQIIQ", row)[1:]
            assert (found[:3], found[3:]) == sides
        else:
            found = struct.unpack("<QQQQQQ", row[8:])
            assert (found[1:3] + found[:1], found[4:] + found[3:4]) == sides
    assert sum(table[at : at + 4] != bytes(4) for at in range(0, len(table), size)) == 2


def test_tags_without_a_row_share_the_last_one() -> None:
    kernel = Kernel()
    for number in range(2050):
        kernel.pool.free(allocated(kernel, 16, 0x4141_4141 + number))
    size = kernel.windows.tracker_size
    table = windbg.pool_track_table(kernel)
    rows = [table[at : at + size] for at in range(0, len(table), size)]
    assert len({row[:4] for row in rows[:-1]}) == 2048
    assert struct.unpack("<QQ", rows[-1][0x10:0x20]) == (2, 2)


def test_each_big_block_has_its_entry() -> None:
    kernel = Kernel()
    blocks = [allocated(kernel, 5000, b"gib "), allocated(kernel, 0x2000, b"gib ", pool_type=1)]
    allocated(kernel, 16)
    table = windbg.pool_big_page_table(kernel)
    assert len(table) == 4096 * 0x18
    entries = struct.iter_unpack("<QIIQ", table)
    found = {
        va: (key, word >> 8 & 0xFFF, size) for va, key, word, size in entries if not va & 1
    }
    tag = int.from_bytes(b"gib ", "little")
    assert found == {blocks[0]: (tag, 0, 5000), blocks[1]: (tag, 1, 0x2000)}


def test_a_full_table_of_big_pages_doubles() -> None:
    kernel = Kernel()
    for _ in range(4096):
        kernel.pool.allocate(0, 4096, b"gib ")
    assert len(windbg.pool_big_page_table(kernel)) == 8192 * 0x18

"""LOOKASIDE_LIST_EX byte for byte, wherever it lies."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    Kernel,
    LookasideList,
    PoolTag,
    PoolType,
)
from tests.helpers import (
    FIELDS,
    POINTERS,
    SIZES,
    allocated,
    fill,
    new_list,
    peek,
    poke,
    slist_header,
    where,
)

PROPERTIES = {
    "Depth": "depth",
    "MaximumDepth": "maximum_depth",
    "TotalAllocates": "total_allocates",
    "AllocateMisses": "allocate_misses",
    "TotalFrees": "total_frees",
    "FreeMisses": "free_misses",
    "Type": "type",
    "Tag": "tag",
    "Size": "size",
    "LastTotalAllocates": "last_total_allocates",
    "LastAllocateMisses": "last_allocate_misses",
}


def test_the_structure_has_the_documented_size_and_alignment(kernel: Kernel, arch: str) -> None:
    alignment = {"x64": 16, "x86": 8}[arch]
    lists = [LookasideList(kernel) for _ in range(5)]
    for lookaside in lists:
        assert len(bytes(lookaside)) == SIZES[arch]
        assert lookaside.address % alignment == 0
    spans = sorted(each.address for each in lists)
    assert all(b - a >= SIZES[arch] for a, b in itertools.pairwise(spans))


def test_a_list_not_yet_initialized_is_zero(
    kernel: Kernel, blank: LookasideList, arch: str
) -> None:
    assert bytes(blank) == bytes(SIZES[arch])
    assert kernel.read(blank.address, SIZES[arch]) == bytes(SIZES[arch])
    assert not blank.is_active


def test_every_field_after_initialize(kernel: Kernel, blank: LookasideList, arch: str) -> None:
    assert blank.initialize(
        pool_type=PoolType.NonPagedPoolNx, size=0x123, tag=b"tsLL", flags=2, depth=300
    ).is_success
    image = bytes(blank)
    assert slist_header(blank) == (0, 0, 0)
    values = {field: peek(image, arch, field) for field in FIELDS}
    allocate_ex, free_ex = values.pop("AllocateEx"), values.pop("FreeEx")
    assert allocate_ex != 0 != free_ex != allocate_ex
    flink, blink = values.pop("Flink"), values.pop("Blink")
    assert flink == blink != 0  # the head, of which it is the only entry
    assert values == {
        "Depth": 4,
        "MaximumDepth": 300,
        "TotalAllocates": 0,
        "AllocateMisses": 0,
        "TotalFrees": 0,
        "FreeMisses": 0,
        "Type": 0x208,
        "Tag": 0x4C4C7374,
        "Size": 0x123,
        "LastTotalAllocates": 0,
        "LastAllocateMisses": 0,
        "Future0": 0,
        "Future1": 0,
    }
    assert kernel.read(blank.address, SIZES[arch]) == image


def test_every_field_after_work(kernel: Kernel, blank: LookasideList, arch: str) -> None:
    blank.initialize(size=64, tag=b"work")
    entries = fill(blank, 7)
    blank.allocate()
    kernel.tick(3)
    image = bytes(blank)
    assert image == kernel.read(blank.address, SIZES[arch])
    assert slist_header(blank) == (3, 4, entries[2])
    assert {field: peek(image, arch, field) for field in PROPERTIES} == {
        "Depth": 4,
        "MaximumDepth": 256,
        "TotalAllocates": 8,
        "AllocateMisses": 7,
        "TotalFrees": 7,
        "FreeMisses": 3,
        "Type": 0,
        "Tag": int(PoolTag(b"work")),
        "Size": 64,
        "LastTotalAllocates": 8,
        "LastAllocateMisses": 7,
    }


@pytest.mark.parametrize("field", PROPERTIES)
def test_a_written_field_is_the_property_and_no_other_changes(
    kernel: Kernel, blank: LookasideList, arch: str, field: str
) -> None:
    blank.initialize(size=64, tag=b"prop")
    before = {name: int(getattr(blank, name)) for name in PROPERTIES.values()}
    offset, size = where(arch, field)
    value = int.from_bytes(bytes([0x21, 0x42, 0x63, 0x44][:size]), "little")
    image = bytearray(bytes(blank))
    image[offset : offset + size] = value.to_bytes(size, "little")
    poke(kernel, blank, **{field: value})
    after = {name: int(getattr(blank, name)) for name in PROPERTIES.values()}
    assert after == before | {PROPERTIES[field]: value}
    assert bytes(blank) == bytes(image)


@given(
    arch=st.sampled_from(["x64", "x86"]),
    embedded=st.booleans(),
    data=st.binary(min_size=0x60, max_size=0x60),
)
def test_any_image_written_is_read_back(arch: str, embedded: bool, data: bytes) -> None:
    kernel = Kernel(arch, windows="8")
    address = kernel.pool.allocate(0, 0x100, b"DExt") if embedded else None
    lookaside = LookasideList(kernel, address=address)
    image = data[: SIZES[arch]]
    kernel.write(lookaside.address, image)
    assert bytes(lookaside) == image
    assert kernel.read(lookaside.address, len(image)) == image
    for field, name in PROPERTIES.items():
        assert getattr(lookaside, name) == peek(image, arch, field)
    assert lookaside.current_depth == slist_header(lookaside)[0]


@given(arch=st.sampled_from(["x64", "x86"]), data=st.data())
def test_any_part_can_be_written(arch: str, data: st.DataObject) -> None:
    kernel = Kernel(arch, windows="8")
    lookaside = new_list(kernel, size=32, tag=b"part")
    start = data.draw(st.integers(0, SIZES[arch] - 1))
    piece = data.draw(st.binary(min_size=1, max_size=SIZES[arch] - start))
    expected = bytearray(bytes(lookaside))
    expected[start : start + len(piece)] = piece
    kernel.write(lookaside.address + start, piece)
    assert bytes(lookaside) == bytes(expected)
    assert kernel.read(lookaside.address + start, len(piece)) == piece


# --- a written field changes what the list does ------------------------------------------


def test_a_written_depth_is_the_limit(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"dept")
    poke(kernel, blank, Depth=2)
    fill(blank, 5)
    assert (blank.current_depth, blank.free_misses) == (2, 3)


def test_a_written_maximum_depth_caps_the_tuning(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"maxi")
    poke(kernel, blank, MaximumDepth=6)
    for _ in range(75):
        blank.allocate()
    kernel.tick(3)
    assert blank.depth == 6


def test_written_counters_count_on(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"cnts")
    poke(kernel, blank, TotalAllocates=1000, AllocateMisses=2000)
    poke(kernel, blank, TotalFrees=3000, FreeMisses=4000, Depth=0)
    blank.free(blank.allocate())
    assert (blank.total_allocates, blank.allocate_misses) == (1001, 2001)
    assert (blank.total_frees, blank.free_misses) == (3001, 4001)


def test_written_type_tag_and_size_are_what_a_miss_asks_for(
    kernel: Kernel, blank: LookasideList
) -> None:
    blank.initialize(size=32, tag=b"olds")
    poke(kernel, blank, Type=0x201 & ~1, Tag=int(PoolTag(b"news")), Size=100)
    entry = blank.allocate()
    assert entry is not None
    block = kernel.pool.query(entry)
    assert block is not None
    assert (block.address, block.size, block.tag) == (entry, 100, PoolTag(b"news"))
    assert block.pool_type == PoolType.NonPagedPoolNx


def test_written_last_counters_move_the_next_scan(kernel: Kernel, blank: LookasideList) -> None:
    blank.initialize(size=32, tag=b"last")
    poke(kernel, blank, LastTotalAllocates=0xFFFF_FFFF - 99)
    poke(kernel, blank, LastAllocateMisses=0xFFFF_FFFF - 99)
    kernel.tick(3)
    # 100 allocations, all missed: ratio 1000, room 252, 126 + 5 entries, at most 30.
    assert blank.depth == 34
    assert (blank.last_total_allocates, blank.last_allocate_misses) == (0, 0)


def test_a_written_list_head_is_the_free_list(
    kernel: Kernel, blank: LookasideList, arch: str
) -> None:
    blank.initialize(size=32, tag=b"head")
    forged = allocated(kernel, 32, b"forg")
    kernel.write(forged, bytes(32))
    if arch == "x64":
        kernel.write(blank.address, struct.pack("<QQ", 1 | 7 << 16, forged))
    else:
        kernel.write(blank.address, struct.pack("<IHH", forged, 1, 7))
    assert blank.current_depth == 1
    assert list(blank.entries()) == [forged]
    assert blank.allocate() == forged
    assert blank.allocate_misses == 0
    assert slist_header(blank) == (0, 7, 0)


def test_a_written_next_entry_is_taken_though_the_depth_says_empty(
    kernel: Kernel, blank: LookasideList, arch: str
) -> None:
    # A pop looks at NextEntry, not at Depth, which wraps.
    blank.initialize(size=32, tag=b"head")
    forged = allocated(kernel, 32, b"forg")
    kernel.write(forged, bytes(32))
    offset = 8 if arch == "x64" else 0
    kernel.write(blank.address + offset, forged.to_bytes(POINTERS[arch], "little"))
    assert blank.allocate() == forged
    assert (blank.allocate_misses, blank.current_depth) == (0, 0xFFFF)


def test_a_written_sequence_counts_on(kernel: Kernel, blank: LookasideList, arch: str) -> None:
    blank.initialize(size=32, tag=b"sequ")
    entry = blank.allocate()
    if arch == "x64":
        kernel.write(blank.address + 2, (0x1234_5678_9ABC).to_bytes(6, "little"))
    else:
        kernel.write(blank.address + 6, (0x1234).to_bytes(2, "little"))
    blank.free(entry)
    expected = 0x1234_5678_9ABD if arch == "x64" else 0x1235
    assert slist_header(blank) == (1, expected, entry)


def test_reserved_header_bits_and_future_are_kept(kernel: Kernel, arch: str) -> None:
    lookaside = new_list(kernel, size=32, tag=b"rsrv")
    poke(kernel, lookaside, Future0=0x1111)
    poke(kernel, lookaside, Future1=0x2222)
    if arch == "x64":
        kernel.write(lookaside.address + 8, b"\x01")
    entry = lookaside.allocate()
    assert entry is not None
    lookaside.free(entry)
    image = bytes(lookaside)
    assert peek(image, arch, "Future0") == 0x1111
    assert peek(image, arch, "Future1") == 0x2222
    if arch == "x64":
        assert struct.unpack_from("<Q", image, 8)[0] == entry | 1

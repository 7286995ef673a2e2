"""Offsets and sizes of the documented structures on both machines."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheckCode
from lookaside_sim.nt.layouts import (
    LOOKASIDE_FIELDS,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    Architecture,
    architecture,
)


@pytest.fixture(params=["x64", "x86"])
def machine(request: pytest.FixtureRequest) -> Architecture:
    return architecture(request.param)


def test_a_page_has_4096_bytes() -> None:
    assert (PAGE_SIZE, 1 << PAGE_SHIFT, PAGE_MASK) == (4096, 4096, 4095)


@pytest.mark.parametrize(
    ("name", "header", "unit", "lists", "largest"),
    [("x64", 16, 16, 256, 4064), ("x86", 8, 8, 512, 4080)],
)
def test_pool_constants(name: str, header: int, unit: int, lists: int, largest: int) -> None:
    layout = architecture(name).pool_header
    assert layout.size == header
    assert layout.unit == 1 << layout.unit_shift == unit
    assert layout.units_per_page == lists
    assert layout.largest_request == largest


def test_block_size_can_express_every_block_but_a_whole_page(machine: Architecture) -> None:
    layout = machine.pool_header
    assert layout.size_mask == layout.units_per_page - 1
    assert layout.type_shift == 16 + layout.size_mask.bit_length()


@pytest.mark.parametrize(
    ("name", "pointer", "size", "list_entry", "head", "alignment"),
    [("x64", 8, 0x60, 0x40, 0x10, 16), ("x86", 4, 0x48, 0x30, 0x08, 8)],
)
def test_lookaside_list_layout(
    name: str, pointer: int, size: int, list_entry: int, head: int, alignment: int
) -> None:
    machine = architecture(name)
    assert machine.pointer_size == machine.minimum_entry_size == pointer
    assert machine.lookaside_size == size
    assert machine.list_entry_offset == list_entry
    assert machine.slist_header_size == head
    assert machine.lookaside_alignment == machine.maximum_alignment == alignment


@pytest.mark.parametrize(
    ("name", "field", "offset"),
    [
        ("x64", "Depth", 0x10),
        ("x64", "TotalAllocates", 0x14),
        ("x64", "AllocateEx", 0x30),
        ("x64", "LastTotalAllocates", 0x50),
        ("x64", "Future[1]", 0x5C),
        ("x86", "Depth", 0x08),
        ("x86", "TotalAllocates", 0x0C),
        ("x86", "AllocateEx", 0x28),
        ("x86", "LastTotalAllocates", 0x38),
        ("x86", "Future[1]", 0x44),
    ],
)
def test_each_field_of_a_lookaside_list_has_its_offset(
    name: str, field: str, offset: int
) -> None:
    assert architecture(name).lookaside_offsets[field] == offset


def test_every_field_of_a_lookaside_list_is_named(machine: Architecture) -> None:
    assert tuple(machine.lookaside_offsets) == LOOKASIDE_FIELDS
    assert len(machine.lookaside_list.format) - 1 == len(LOOKASIDE_FIELDS)


def test_everything_lies_in_system_space_and_apart(machine: Architecture) -> None:
    starts = sorted(
        (machine.nonpaged_pool_start, machine.nonpaged_nx_pool_start, machine.paged_pool_start)
    )
    half = 1 << (machine.address_bits - 1)
    assert all(start >= half and start % machine.pool_region_size == 0 for start in starts)
    assert starts[1] - starts[0] >= machine.pool_region_size
    assert starts[2] - starts[1] >= machine.pool_region_size
    for other in (machine.lookaside_heads_start, machine.image_data_start, machine.code_start):
        assert half <= other < 1 << machine.address_bits
        assert not any(start <= other < start + machine.pool_region_size for start in starts)


@pytest.mark.parametrize("name", ["arm64", "X64", "", None, [], 64])
def test_an_unknown_machine_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="give 'x64' or 'x86'"):
        architecture(name)


def test_stop_codes_have_their_documented_values() -> None:
    assert {code.name: code.value for code in BugCheckCode}.items() >= {
        "IRQL_NOT_GREATER_OR_EQUAL": 0x09,
        "IRQL_NOT_LESS_OR_EQUAL": 0x0A,
        "BAD_POOL_HEADER": 0x19,
        "PAGE_FAULT_IN_NONPAGED_AREA": 0x50,
        "BAD_POOL_CALLER": 0xC2,
        "DRIVER_CORRUPTED_EXPOOL": 0xC5,
        "KERNEL_SECURITY_CHECK_FAILURE": 0x139,
    }.items()

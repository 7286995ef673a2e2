"""Which words slots hold, and when they go to the bytes."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel
from lookaside_sim.memory.slots import UNKNOWN, Slot
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated, both_machines, read_pointer
from tests.pool.helpers import body, read_header


def bytes_at(kernel: Kernel, address: int, size: int) -> bytes:
    """The bytes as they lie there, stale or not."""
    arena = kernel.pool.nonpaged.arena
    at = address - arena.base
    return bytes(arena.data[at : at + size])


@both_machines
def test_bytes_are_written_when_somebody_looks(arch: str) -> None:
    kernel = Kernel(arch)
    address = allocated(kernel, body(kernel, 5))
    arena = kernel.pool.nonpaged.arena
    page = (address - arena.base) // PAGE_SIZE
    assert page in arena.unmade
    assert bytes_at(kernel, address - 8, 8) == bytes(8)
    header = read_header(kernel, address)
    assert header.units == 5
    assert page not in arena.unmade
    size = kernel.arch.pool_header.size
    assert bytes_at(kernel, address - size, size) == kernel.read(address - size, size)


@both_machines
def test_a_slot_is_dropped_when_one_is_made_beside_it(arch: str) -> None:
    kernel = Kernel(arch)
    slots, arena = kernel.memory.slots, kernel.pool.nonpaged.arena
    unit = kernel.arch.pool_header.unit
    address = allocated(kernel, body(kernel, 8))
    inside = address + 3 * unit
    for place in (inside, inside + unit, inside, inside - unit):
        slot = slots.make(arena, place, 2)
        slot.front = slots.edge
        slot.plan = slots.by_address[address].plan
        near = {place + step * unit for step in (-1, 0, 1)}
        assert near & set(slots.by_address) == {place}


def test_a_fragment_at_the_end_of_a_page_is_not_where_the_next_page_begins() -> None:
    slots = Kernel().memory.slots
    assert slots.fragment_key(5 * PAGE_SIZE) == 5 * PAGE_SIZE - 1
    assert slots.fragment_key(5 * PAGE_SIZE + 16) == 5 * PAGE_SIZE + 16


@both_machines
@pytest.mark.parametrize("how", ["read", "write", "drop"])
def test_links_are_rendered_settled_or_dropped(arch: str, how: str) -> None:
    kernel = Kernel(arch)
    slots, arena = kernel.memory.slots, kernel.pool.nonpaged.arena
    address = allocated(kernel, 100)
    slot = slots.by_address[address]
    slot.flink, slot.blink = Slot(0x1230), Slot(0x4560)
    pointer = kernel.arch.pointer_size
    if how == "read":
        assert read_pointer(kernel, address + pointer) == 0x4560
        assert slot.flink is not UNKNOWN
    elif how == "write":
        kernel.write(address + 1, b"\x77")
        assert slot.flink is slot.blink is UNKNOWN
        assert read_pointer(kernel, address) == 0x7730
        assert read_pointer(kernel, address + pointer) == 0x4560
    else:
        slots.drop(arena, slot)
        assert address not in slots.by_address
        assert read_pointer(kernel, address) == 0x1230


def test_the_slots_of_a_page_give_way_to_a_big_allocation() -> None:
    kernel = Kernel()
    blocks = [allocated(kernel, 1000) for _ in range(3)]
    before = kernel.read(blocks[0] & -PAGE_SIZE, PAGE_SIZE)
    for block in blocks:
        kernel.pool.free(block)
    big = allocated(kernel, PAGE_SIZE)
    assert big == blocks[0] & -PAGE_SIZE
    slots = kernel.memory.slots.by_address
    assert not [each for each in slots if big <= each < big + PAGE_SIZE]
    after = kernel.read(big, PAGE_SIZE)
    assert after[-16:] == before[-16:]

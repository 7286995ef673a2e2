"""What the memory tests share: an address space without a kernel, and the simplest structure."""

from __future__ import annotations

from typing import NoReturn

from hypothesis import strategies as st

from lookaside_sim.memory import Memory, Reason, Region
from lookaside_sim.memory.arena import BIG, BLOCKS, RESERVED
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SIZE, architecture

START = 0x8000_0000
ARENA = 3 * architecture("x64").pool_region_size
SPAN = 8 * PAGE_SIZE
"""Bytes from START on in which `maps` puts things."""


class FaultError(Exception):
    """A touch that failed: (address, operation), and the reason when memory is mapped."""


def fault(address: int, operation: int, reason: Reason = Reason.UNMAPPED, /) -> NoReturn:
    if reason is Reason.UNMAPPED:
        raise FaultError(address, operation)
    raise FaultError(address, operation, reason)


class Bytes:
    """The simplest structure: so many bytes at an address."""

    def __init__(self, address: int, image: bytes) -> None:
        self.address = address
        self.image = image

    @property
    def image_size(self) -> int:
        return len(self.image)

    def store_image(self) -> bytes:
        return self.image

    def load_image(self, image: bytes) -> None:
        self.image = image


def memory_with(*structures: Bytes, arch: str = "x64") -> Memory:
    memory = Memory(architecture(arch), 0, fault)
    for structure in structures:
        memory.attach(structure)
    return memory


_PIECES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 100, PAGE_SIZE, -1]),  # bytes left free; -1 up to the next page
        st.sampled_from(["structure", "region", "code"]),
        st.sampled_from([1, 96, 1000, PAGE_SIZE, 2 * PAGE_SIZE + 5]),
    ),
    max_size=10,
)
_STATES = st.lists(st.sampled_from([None, BIG, BLOCKS, RESERVED]), min_size=3, max_size=3)


@st.composite
def maps(draw: st.DrawFn) -> Memory:
    """Regions and structures from START on, with holes and without, and pages at ARENA."""
    memory = memory_with()
    arena = memory.add_arena(ARENA, 4)
    arena.reach(4)
    for page, state in enumerate(draw(_STATES)):
        if state == RESERVED:
            arena.map_big(page, 1)
        elif state is not None:
            arena.map(page, state)
    address = START
    for gap, kind, size in draw(_PIECES):
        address = (address | PAGE_MASK) + 1 if gap < 0 else address + gap
        if address + size > START + SPAN:
            break
        contents = bytes((address * 7 + i) % 251 for i in range(size))
        if kind == "structure":
            memory.attach(Bytes(address, contents))
        else:
            code = kind == "code"
            memory.map(
                Region(address, size, writable=not code, executable=code, contents=contents)
            )
        address += size
    return memory

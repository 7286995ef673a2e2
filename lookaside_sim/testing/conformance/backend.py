"""The memory given to an allocator under test: simulated, watched, and able to run out.

A *block* is what `Backend.allocate` hands out. Each lies in a slot of its own with unused
addresses around it, so that one byte too far is always nobody's memory. An *entry* is what
the allocator under test hands on; it lies inside a block.

The backend only notes the first thing the allocator did wrong (`Backend.violation`) and
carries on, because an exception raised through somebody's C code or clean-up handler would
be lost; the harness looks after each call.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Final

import attrs

__all__ = ["Backend", "Block", "pattern", "required_alignment"]

ALIGNMENT: Final = 16
"""Alignment of pool memory on x64, in bytes (MEMORY_ALLOCATION_ALIGNMENT)."""

_BASE: Final = 0xFFFF_B000_0000_0000  # where the nonpaged pool tends to be on x64
_SLOT_SHIFT: Final = 16
_SLOT: Final = 1 << _SLOT_SHIFT
# Aligned to 16 and to no more, so that nobody can rely on more.
_OFFSET: Final = 0x10
_GARBAGE: Final = bytes.fromhex("a5")
_FILL: Final = bytes(range(0x21, 0x21 + 61))  # 61, a prime: no power of two repeats it


def required_alignment(size: int) -> int:
    """The alignment that anything of a size can need: its largest power of two, up to 16.

    Args:
        size: bytes.
    """
    return min(size & -size, ALIGNMENT) if size else 1


@attrs.define(eq=False)
class Block:
    """Memory handed out by the backend.

    Attributes:
        address: where it begins.
        size: its bytes.
        entries: the live entries inside, by address divided by the entry size, so that an
            overlap is found in the place itself or in one beside it.
        data: its bytes, once anybody looked at them.
    """

    address: int
    size: int
    entries: dict[int, int] = attrs.field(factory=dict)
    data: bytearray | None = None


class Backend:
    """What ``factory(backend, size)`` gets its memory from.

    Args:
        entry_size: bytes of the entries that will be handed on.
        reuse: hand out an address again as soon as it was given back, as a pool does. By
            default every block has an address of its own, which shows stale use at once.

    Attributes:
        blocks: the live blocks, by slot.
        requests: calls of `allocate` so far.
        refusals: those that were refused.
        refuse_next: how many of the next requests will be refused.
        violation: the first wrong thing the allocator did with its memory, or None.
        given_back: the addresses freed since the harness last cleared it, in order.
    """

    def __init__(self, entry_size: int, *, reuse: bool = False) -> None:
        self.entry_size = entry_size
        self.blocks: dict[int, Block] = {}
        self.requests = 0
        self.refusals = 0
        self.refuse_next = 0
        self.violation: str | None = None
        self.given_back: list[int] = []
        self._reuse = reuse
        self._next_slot = 0
        self._returned: list[int] = []

    # --- what the allocator under test may call --------------------------------------------

    def allocate(self, size: int) -> int | None:
        """Hand out a block.

        Args:
            size: its bytes, 1 or more.

        Returns:
            Its address, aligned to 16 bytes; None when there is no memory.
        """
        try:
            size = operator.index(size)
        except TypeError:
            size = 0
        if size <= 0:
            self._note(f"asked the backend for {size!r} bytes")
            return None
        self.requests += 1
        if self.refuse_next:
            self.refuse_next -= 1
            self.refusals += 1
            return None
        if self._returned and size <= _SLOT - 2 * _OFFSET:
            slot = self._returned.pop()
        else:
            slot = self._next_slot
            self._next_slot += 1 + (size + 2 * _OFFSET >> _SLOT_SHIFT)
        address = _BASE + (slot << _SLOT_SHIFT) + _OFFSET
        self.blocks[slot] = Block(address, size)
        return address

    def free(self, address: int) -> None:
        """Take a block back.

        Args:
            address: what `allocate` returned.
        """
        block = self._block_starting_at(address)
        if block is None:
            self._note(f"gave {_hex(address)} to the backend, which is no live block of it")
            return
        if block.entries:
            held = _hex(next(iter(block.entries.values())))
            self._note(f"gave the block {_hex(address)} back while its entry {held} is live")
        slot = address - _BASE >> _SLOT_SHIFT
        del self.blocks[slot]
        self.given_back.append(address)
        if self._reuse and block.size <= _SLOT - 2 * _OFFSET:
            self._returned.append(slot)

    def read(self, address: int, size: int) -> bytes:
        """Read a live block, as an allocator does that keeps its links there.

        Args:
            address: where.
            size: bytes.

        Returns:
            The bytes; garbage where there is no memory, which is noted.
        """
        block = self._block_holding(address, size)
        if block is None:
            self._note(f"read {size} bytes at {_hex(address)}, outside of its memory")
            return _GARBAGE * size
        data = self._bytes_of(block)
        start = address - block.address
        return bytes(data[start : start + size])

    def write(self, address: int, data: bytes) -> None:
        """Write a live block, as an allocator does that keeps its links there.

        Args:
            address: where.
            data: the bytes.
        """
        size = len(data)
        block = self._block_holding(address, size)
        if block is None:
            self._note(f"wrote {size} bytes at {_hex(address)}, outside of its memory")
            return
        for entry in self._entries_between(block, address, address + size):
            self._note(
                f"wrote {size} bytes at {_hex(address)}, into the live entry {_hex(entry)}"
            )
            return
        stored = self._bytes_of(block)
        start = address - block.address
        stored[start : start + size] = data

    # --- what the harness calls ------------------------------------------------------------

    def hand_out(self, entry: int, alignment: int) -> Block | str:
        """Note that an entry is live now, after checking that it may be.

        Args:
            entry: what the allocator returned.
            alignment: what its address must be a multiple of.

        Returns:
            The block it lies in, or what is wrong with it.
        """
        if entry % alignment:
            return f"{_hex(entry)} is not aligned to {alignment} bytes"
        size = self.entry_size
        block = self._block_holding(entry, size)
        if block is None:
            near = self._block_holding(entry, 1)
            if near is None:
                return f"{_hex(entry)} lies in no live block of the backend"
            return (
                f"the entry {_hex(entry)} of {size} bytes runs over the end of its block,"
                f" {near.size} bytes at {_hex(near.address)}"
            )
        if block.entries:
            for other in self._entries_between(block, entry, entry + size):
                if other == entry:
                    return f"{_hex(entry)} is handed out although it is live"
                return f"the entry {_hex(entry)} overlaps the live entry {_hex(other)}"
        block.entries[entry // size] = entry
        if block.data is not None:
            start = entry - block.address
            block.data[start : start + size] = pattern(entry, size)
        return block

    def take_back(self, block: Block, entry: int) -> None:
        """Note that an entry is live no more: its owner is about to free it.

        Args:
            block: what `hand_out` returned.
            entry: the entry.
        """
        del block.entries[entry // self.entry_size]

    def is_live(self, block: Block) -> bool:
        """Whether a block was not given back yet."""
        return self.blocks.get(block.address - _BASE >> _SLOT_SHIFT) is block

    def _note(self, what: str) -> None:
        if self.violation is None:
            self.violation = what

    def _block_starting_at(self, address: object) -> Block | None:
        if not isinstance(address, int):
            return None
        block = self.blocks.get(address - _BASE >> _SLOT_SHIFT)
        return block if block is not None and block.address == address else None

    def _block_holding(self, address: int, size: int) -> Block | None:
        slot = address - _BASE >> _SLOT_SHIFT
        block = self.blocks.get(slot)
        if block is None and 0 <= slot < self._next_slot:
            block = self._large_block_over(address)
        if block is None or address < block.address:
            return None
        return block if address + size <= block.address + block.size else None

    def _large_block_over(self, address: int) -> Block | None:
        """The block that begins in an earlier slot and reaches to an address."""
        for block in self.blocks.values():
            if (
                block.size > _SLOT - _OFFSET
                and block.address <= address < block.address + block.size
            ):
                return block
        return None

    def _bytes_of(self, block: Block) -> bytearray:
        if block.data is None:
            block.data = bytearray(_GARBAGE * block.size)
            for entry in block.entries.values():
                start = entry - block.address
                block.data[start : start + self.entry_size] = pattern(entry, self.entry_size)
        return block.data

    def _entries_between(self, block: Block, start: int, end: int) -> Iterator[int]:
        """The live entries of a block that share a byte with a range."""
        size = self.entry_size
        for place in range(start // size - 1, (end - 1) // size + 1):
            entry = block.entries.get(place)
            if entry is not None and entry < end and start < entry + size:
                yield entry


def pattern(entry: int, size: int) -> bytes:
    """What an entry's owner writes into it: different bytes for neighboring entries."""
    start = (entry >> 4) % len(_FILL)
    return (_FILL[start:] + _FILL * (size // len(_FILL) + 1))[:size]


def _hex(address: object) -> str:
    return f"{address:#x}" if isinstance(address, int) else repr(address)

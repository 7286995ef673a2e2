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
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Final

from lookaside_sim.testing.conformance.blocks import Block, entry_between, pattern
from lookaside_sim.testing.conformance.refusals import Refusals

__all__ = ["Backend"]

_BASE: Final = 0xFFFF_B000_0000_0000  # where the nonpaged pool tends to be on x64
_SLOT_SHIFT: Final = 16
_SLOT: Final = 1 << _SLOT_SHIFT
# Aligned to 16 and to no more, so that nobody can rely on more.
_OFFSET: Final = 0x10
_PATIENCE: Final = 10_000
"""Calls after the first violation until an allocator is taken to loop for ever."""
_GARBAGE: Final = bytes.fromhex("a5")


class Backend:
    """What ``factory(backend, size)`` gets its memory from.

    Args:
        entry_size: bytes of the entries that will be handed on, where nothing else is said.
        reuse: hand out an address again as soon as it was given back, as a pool does. By
            default every block has an address of its own, which shows stale use at once.
        own: entries may lie in memory that the allocator got elsewhere.

    Attributes:
        blocks: the live blocks, by slot.
        held: their bytes.
        requests: calls of `allocate` so far.
        refusals: those that were refused.
        refuse: which of the next requests will be.
        uses: of it, since the harness last began a call.
        on_switch: called where another thread could come in between.
        violation: the first wrong thing the allocator did with its memory, or None.
        given_back: the addresses freed since the harness last cleared it, in order.
    """

    def __init__(self, entry_size: int, *, reuse: bool = False, own: bool = False) -> None:
        self.entry_size = entry_size
        self.blocks: dict[int, Block] = {}
        self.held = 0
        self.requests = 0
        self.refusals = 0
        self.refuse = Refusals()
        self.uses = 0
        self.on_switch: Callable[[], None] | None = None
        self.violation: str | None = None
        self.given_back: list[int] = []
        self._reuse = reuse
        self._next_slot = 0
        self._calls_left = _PATIENCE
        self._returned: list[int] = []
        self._elsewhere = Block(0, 1 << 64) if own else None

    # --- what the allocator under test may call --------------------------------------------

    def allocate(self, size: int) -> int | None:
        """Hand out a block.

        Args:
            size: its bytes, 1 or more.

        Returns:
            Its address, aligned to 16 bytes; None when there is no memory.
        """
        self.switch()
        try:
            number = operator.index(size)
        except TypeError:
            number = 0
        if number <= 0:
            self.note(f"asked the backend for {size!r} bytes")
            return None
        size = number
        self.requests += 1
        if self.refuse and self.refuse.next():
            self.refusals += 1
            return None
        if self._returned and size <= _SLOT - 2 * _OFFSET:
            slot = self._returned.pop()
        else:
            slot = self._next_slot
            self._next_slot += 1 + (size + 2 * _OFFSET >> _SLOT_SHIFT)
        address = _BASE + (slot << _SLOT_SHIFT) + _OFFSET
        self.blocks[slot] = Block(address, size)
        self.held += size
        return address

    def free(self, address: int) -> None:
        """Take a block back.

        Args:
            address: what `allocate` returned.
        """
        self.switch()
        block = self._block_starting_at(address)
        if block is None:
            self.note(f"gave {_hex(address)} to the backend, which is no live block of it")
            return
        if block.entries:
            held = _hex(block.entries[0][0])
            self.note(f"gave the block {_hex(address)} back while its entry {held} is live")
        slot = block.address - _BASE >> _SLOT_SHIFT
        del self.blocks[slot]
        self.held -= block.size
        self.given_back.append(block.address)
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
        self.switch()
        block = self._block_holding(address, size)
        if block is None:
            self.note(f"read {size} bytes at {_hex(address)}, outside of its memory")
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
        self.switch()
        size = len(data)
        block = self._block_holding(address, size)
        if block is None:
            self.note(f"wrote {size} bytes at {_hex(address)}, outside of its memory")
            return
        entry = entry_between(block, address, address + size)
        if entry is not None:
            self.note(
                f"wrote {size} bytes at {_hex(address)}, into the live entry {_hex(entry)}"
            )
            return
        stored = self._bytes_of(block)
        start = address - block.address
        stored[start : start + size] = data

    def switch(self) -> None:
        """Mark a place where another thread could come in between.

        Every call of the backend is one. An allocator for threads calls this where its own
        steps end, as between the load of a list's head and the exchange of it.
        """
        self.uses += 1
        if self.on_switch is not None:
            self.on_switch()
        if self.violation is not None:
            self._calls_left -= 1
            if self._calls_left < 0:
                raise RuntimeError(f"the allocator goes on and on after it {self.violation}")

    # --- what the harness calls ------------------------------------------------------------

    def hand_out(self, entry: int, alignment: int, size: int | None = None) -> Block | str:
        """Note that an entry is live now, after checking that it may be.

        Args:
            entry: what the allocator returned.
            alignment: what its address must be a multiple of.
            size: its bytes; None for those of every entry.

        Returns:
            The block it lies in, or what is wrong with it.
        """
        if entry % alignment:
            return f"{_hex(entry)} is not aligned to {alignment} bytes"
        if size is None:
            size = self.entry_size
        block = self._block_holding(entry, size)
        if block is None:
            near = self._block_holding(entry, 1)
            if near is not None:
                return (
                    f"the entry {_hex(entry)} of {size} bytes runs over the end of its block,"
                    f" {near.size} bytes at {_hex(near.address)}"
                )
            if self._elsewhere is None or not entry:
                return f"{_hex(entry)} lies in no live block of the backend"
            block = self._elsewhere
        other = entry_between(block, entry, entry + size) if block.entries else None
        if other is not None:
            if other == entry:
                return f"{_hex(entry)} is handed out although it is live"
            return f"the entry {_hex(entry)} overlaps the live entry {_hex(other)}"
        insort(block.entries, (entry, entry + size))
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
        entries = block.entries
        del entries[bisect_left(entries, (entry, 0))]

    def contents(self, entry: int, size: int) -> bytes | None:
        """What lies in a block, for the harness; None if nobody wrote there or it is no block.

        Args:
            entry: where.
            size: bytes.
        """
        block = self._block_holding(entry, size)
        if block is None or block.data is None:
            return None
        start = entry - block.address
        return bytes(block.data[start : start + size])

    def lend(self, size: int) -> int:
        """Allocate a block that is none of the allocator's.

        Args:
            size: its bytes.
        """
        planned, self.refuse = self.refuse, Refusals()
        address = self.allocate(size)
        self.refuse = planned
        self.requests -= 1
        assert address is not None
        del self.blocks[address - _BASE >> _SLOT_SHIFT]
        self.held -= size
        return address

    def keep_contents(self, block: Block) -> None:
        """Write down what a block holds now, so that it is there when entries are freed."""
        if block is not self._elsewhere:
            self._bytes_of(block)

    def holds(self, entry: int, size: int) -> bool:
        """Whether a range lies in one live block."""
        return self._block_holding(entry, size) is not None

    def is_live(self, block: Block) -> bool:
        """Whether a block was not given back yet."""
        return self.blocks.get(block.address - _BASE >> _SLOT_SHIFT) is block

    def note(self, what: str) -> None:
        """Note something wrong, unless something was before.

        Args:
            what: the allocator did; goes on after its name.
        """
        if self.violation is None:
            self.violation = what

    def _block_starting_at(self, address: object) -> Block | None:
        try:
            address = operator.index(address)  # type: ignore[arg-type]
        except TypeError:
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
            for entry, end in block.entries:
                start = entry - block.address
                block.data[start : end - block.address] = pattern(entry, end - entry)
        return block.data


def _hex(address: object) -> str:
    return f"{address:#x}" if isinstance(address, int) else repr(address)

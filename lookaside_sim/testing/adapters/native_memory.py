"""Real memory for an allocator in C: guarded, filled when it is released, and kept a while.

Every block has guard bytes on both sides. A released block is filled and goes to a quarantine, so that
what is read there is no link of a list any more, and what is written there is seen. All of
this is looked at after every call. Under AddressSanitizer guards and quarantine are poisoned
instead: then the very instruction that touches them is reported.
"""

from __future__ import annotations

import ctypes
import functools
from bisect import bisect_left, bisect_right, insort
from collections import deque
from typing import Any, Final

import attrs

from lookaside_sim.testing.adapters.poison import poison
from lookaside_sim.testing.conformance.backend import Backend

__all__ = ["NativeMemory"]

_GUARD: Final = 64
"""Bytes on each side of a block that nobody may write."""
_FRESH: Final = b"\xa5"
_RELEASED: Final = b"\xdd"
_GUARD_BYTES: Final = _FRESH * _GUARD
_QUARANTINE_BLOCKS: Final = 256
_QUARANTINE_BYTES: Final = 1 << 20
_LOOKED_AT: Final = 48
"""Blocks looked at after a call, the newest of them always; the others have their turns."""
_LEAST_PHASE: Final = 256
_MOST_PHASE: Final = 4096
# Addresses that stand for memory the backend does not know, by distance from the first one.
_ELSEWHERE: Final = 0x7E00_0000_0000
_NEAR: Final = 1 << 32
_LOST: Final = 0x7DAD_0000_0000


@attrs.define(eq=False)
class _Block:
    native: int
    address: int
    size: int
    buffer: Any
    before: memoryview
    inside: memoryview
    after: memoryview


class NativeMemory:
    """The blocks of one allocator, by their real addresses and by the backend's.

    Args:
        backend: accounts for them, and hears what is wrong.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._blocks: dict[int, _Block] = {}  # by native address
        self._starts: list[int] = []  # the same, sorted
        self._native: dict[int, int] = {}  # native address by the backend's
        self._addresses: list[int] = []  # the same, sorted
        self._quarantine: deque[_Block] = deque()
        self._quarantined = 0
        self._turn = 0
        self._elsewhere: int | None = None
        self._poison = poison()

    # --- what the allocator calls ----------------------------------------------------------

    def give(self, size: int) -> int | None:
        """Hand out a block.

        Args:
            size: its bytes.

        Returns:
            Its native address, or None.
        """
        address = self._backend.allocate(size)
        return None if address is None else self._place(address, size).native

    def take(self, native: int | None) -> None:
        """Take a block back; NULL is none, which C allows."""
        if native is None:
            return
        block = self._blocks.get(native)
        if block is None:
            self._backend.free(self.to_backend(native))  # which complains
            return
        if self._poison is None:
            self._look_at_guards(block)
        self._backend.free(block.address)
        self._forget(block)
        ctypes.memset(native, _RELEASED[0], block.size)
        if self._poison is not None:
            self._poison.put(native, block.size)
        self._quarantine.append(block)
        self._quarantined += block.size
        while len(self._quarantine) > _QUARANTINE_BLOCKS or (
            self._quarantined > _QUARANTINE_BYTES and len(self._quarantine) > 1
        ):
            gone = self._quarantine.popleft()
            if self._poison is None:
                self._look_at_released(gone)
            self._let_go(gone)

    # --- what the harness calls ------------------------------------------------------------

    def look(self) -> None:
        """Look at guards and at released blocks; the backend hears what is wrong."""
        if self._poison is not None:
            return
        blocks, starts = self._blocks, self._starts
        count = len(starts)
        if count <= _LOOKED_AT:
            for block in blocks.values():
                self._look_at_guards(block)
        else:
            for turn in range(self._turn, self._turn + _LOOKED_AT):
                self._look_at_guards(blocks[starts[turn % count]])
        released = len(self._quarantine)
        if released <= _LOOKED_AT:
            for block in self._quarantine:
                self._look_at_released(block)
        elif released:
            for turn in range(self._turn, self._turn + _LOOKED_AT):
                self._look_at_released(self._quarantine[turn % released])
            self._look_at_released(self._quarantine[-1])
        self._turn += _LOOKED_AT

    def look_at_all(self) -> None:
        """Look at everything, as `look` does at a part."""
        if self._poison is None:
            for block in self._blocks.values():
                self._look_at_guards(block)
            for block in self._quarantine:
                self._look_at_released(block)

    def to_backend(self, native: int) -> int:
        """The backend's address for a native one.

        Args:
            native: what the allocator returned.

        Returns:
            The address; for memory that the backend does not know one that is the same in
            every run, as far as its distance from the first such address is.
        """
        block = self._blocks.get(native)
        if block is not None:
            return block.address
        place = bisect_right(self._starts, native) - 1
        if place >= 0:
            block = self._blocks[self._starts[place]]
            if native < block.native + block.size:
                return block.address + native - block.native
        if self._elsewhere is None:
            self._elsewhere = native & ~(_MOST_PHASE - 1)
        distance = native - self._elsewhere
        if abs(distance) < _NEAR:
            return _ELSEWHERE + distance
        return _LOST + native % _MOST_PHASE

    def to_native(self, address: int) -> int:
        """The native address for one of the backend's, or one of `to_backend`'s."""
        native = self._native.get(address)
        if native is not None:
            return native
        place = bisect_right(self._addresses, address) - 1
        if place >= 0:
            start = self._addresses[place]
            block = self._blocks[self._native[start]]
            if address < start + block.size:
                return block.native + address - start
        if self._elsewhere is not None and abs(address - _ELSEWHERE) < _NEAR:
            return self._elsewhere + address - _ELSEWHERE
        # A block that the harness allocated, to free it where it does not belong.
        return self._place(address, self._backend.entry_size).native

    def close(self) -> None:
        """Take the marks off, before Python uses the memory for something else."""
        if self._poison is not None:
            for block in [*self._blocks.values(), *self._quarantine]:
                self._let_go(block)

    # --- blocks ----------------------------------------------------------------------------

    def _place(self, address: int, size: int) -> _Block:
        # Aligned as the backend's address is, so that what is aligned in one is in the other.
        phase = min(max(1 << (size - 1).bit_length(), _LEAST_PHASE), _MOST_PHASE)
        room = size + 2 * _GUARD + phase
        buffer = ctypes.create_string_buffer(_FRESH * room, room)
        start = ctypes.addressof(buffer) + _GUARD
        native = start + (address - start) % phase
        offset = native - ctypes.addressof(buffer)
        view = memoryview(buffer).cast("B")
        before, inside = view[offset - _GUARD : offset], view[offset : offset + size]
        after = view[offset + size : offset + size + _GUARD]
        block = _Block(native, address, size, buffer, before, inside, after)
        self._blocks[native] = block
        insort(self._starts, native)
        self._native[address] = native
        insort(self._addresses, address)
        if self._poison is not None:
            self._poison.put(native - _GUARD, _GUARD)
            self._poison.put(native + size, _GUARD)
        return block

    def _forget(self, block: _Block) -> None:
        del self._blocks[block.native]
        del self._starts[bisect_left(self._starts, block.native)]
        del self._native[block.address]
        del self._addresses[bisect_left(self._addresses, block.address)]

    def _let_go(self, block: _Block) -> None:
        self._quarantined -= block.size
        if self._poison is not None:
            self._poison.take_off(block.native - _GUARD, block.size + 2 * _GUARD)

    def _look_at_guards(self, block: _Block) -> None:
        if block.before != _GUARD_BYTES or block.after != _GUARD_BYTES:
            self._backend.note(f"wrote into memory beside a block of {block.size} bytes")

    def _look_at_released(self, block: _Block) -> None:
        if block.inside != _released(block.size):
            at = next(i for i, byte in enumerate(block.inside) if byte != _RELEASED[0])
            self._backend.note(
                f"wrote into a block of {block.size} bytes after it gave it back, in byte {at}"
            )
        if block.before != _GUARD_BYTES or block.after != _GUARD_BYTES:
            self._backend.note(
                f"wrote into memory beside a block of {block.size} bytes that it gave back"
            )


@functools.lru_cache(64)
def _released(size: int) -> bytes:
    return _RELEASED * size

"""Correct allocators of many designs, to be broken elsewhere and never to be reported."""

from __future__ import annotations

from typing import Any

from lookaside_sim.testing import Backend, Contract
from tests.testing.allocators import WORD, FixedSlab, LinkedList, Passthrough, Slab


class Queue(Passthrough):
    """First in, first out: a freed entry rests as long as can be."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.entries: list[int] = []

    def allocate(self) -> int | None:
        return self.entries.pop(0) if self.entries else super().allocate()

    def free(self, address: int) -> None:
        self.entries.append(address)

    def delete(self) -> None:
        while self.entries:
            super().free(self.entries.pop())


class Magazine(Queue):
    """Keeps sixteen, the last freed first."""

    depth = 16

    def allocate(self) -> int | None:
        return self.entries.pop() if self.entries else self.backend.allocate(self.size)

    def free(self, address: int) -> None:
        if len(self.entries) < self.depth:
            self.entries.append(address)
        else:
            self.give(address)

    def give(self, address: int) -> None:
        self.backend.free(address)

    def flush(self) -> None:
        while self.entries:
            self.give(self.entries.pop())

    def delete(self) -> None:
        self.flush()


class StaticPool(Slab):
    """One block, so many entries, none more."""

    capacity = 16

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        block = backend.allocate(size * self.capacity)
        if block is None:
            raise MemoryError("no memory for the pool")
        self.slabs.append(block)
        self.entries = [block + size * i for i in range(self.capacity)]

    def allocate(self) -> int | None:
        return self.entries.pop() if self.entries else None


class HeaderedPool:
    """Slabs linked by a header in front; entries linked in themselves."""

    count = 8
    header = 16
    reserved = 1
    more = 0

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.size = size
        self.first_slab = 0
        self.entries: list[int] = []

    def allocate(self) -> int | None:
        if not self.entries:
            room = self.header * self.reserved + self.size * self.count
            slab = self.backend.allocate(max(room, WORD))
            if slab is None:
                return None
            self.backend.write(slab, self.first_slab.to_bytes(WORD, "little")[: self.header])
            self.first_slab = slab
            start = slab + self.header
            self.entries = [start + self.size * i for i in range(self.count + self.more)]
        return self.entries.pop()

    def free(self, address: int) -> None:
        self.entries.append(address)

    def slabs(self) -> list[int]:
        found = []
        slab = self.first_slab
        while slab:
            found.append(slab)
            slab = int.from_bytes(self.backend.read(slab, WORD), "little")
        return found

    def delete(self) -> None:
        for slab in self.slabs():
            self.backend.free(slab)


class Bitmap:
    """A bit for each entry of its blocks."""

    count = 32
    searched = 32

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.stride = size
        self.blocks: list[int] = []
        self.used: list[int] = []

    def allocate(self) -> int | None:
        for block, bits in enumerate(self.used):
            for place in range(self.searched):
                if not bits >> place & 1:
                    self.used[block] |= 1 << place
                    return self.blocks[block] + place * self.stride
        made = self.backend.allocate(self.stride * self.count)
        if made is None:
            return None
        self.blocks.append(made)
        self.used.append(1)
        return made

    def block_of(self, address: int) -> int:
        return next(
            i for i, b in enumerate(self.blocks) if 0 <= address - b < self.stride * self.count
        )

    def place(self, address: int) -> int:
        return (address - self.blocks[self.block_of(address)]) // self.stride

    def free(self, address: int) -> None:
        self.used[self.block_of(address)] &= ~(1 << self.place(address))

    def delete(self) -> None:
        for block in self.blocks:
            self.backend.free(block)


class Zeroing(Queue):
    """Clears what it hands out."""

    start = 0
    extra = 0

    def allocate(self) -> int | None:
        entry = super().allocate()
        if entry is not None and self.size + self.extra > 0:
            self.backend.write(entry + self.start, bytes(self.size + self.extra))
        return entry


class Malloc:
    """Size classes of powers of two, each with its list."""

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.sizes: dict[int, int] = {}
        self.lists: dict[int, list[int]] = {}

    def size_class(self, size: int) -> int:
        return 1 << (max(size, 16) - 1).bit_length()

    def allocate(self, size: int) -> int | None:
        kind = self.size_class(size)
        entries = self.lists.setdefault(kind, [])
        entry = entries.pop() if entries else self.backend.allocate(kind)
        if entry is not None:
            self.sizes[entry] = size
        return entry

    def free(self, address: int) -> None:
        kind = self.size_class(self.sizes.pop(address))
        self.lists.setdefault(kind, []).append(address)

    def copied(self, old: int, new: int) -> int:
        return min(old, new)

    def reallocate(self, address: int, size: int) -> int | None:
        moved = self.allocate(size)
        if moved is not None:
            kept = self.copied(self.sizes[address], size)
            self.backend.write(moved, self.backend.read(address, kept))
            self.free(address)
        return moved

    def delete(self) -> None:
        for entries in self.lists.values():
            for entry in entries:
                self.backend.free(entry)


class FirstFit:
    """Ranges of large blocks, first fit, all merged again when nothing lives."""

    block = 1 << 15

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.blocks: list[tuple[int, int]] = []
        self.free_ranges: list[tuple[int, int]] = []
        self.live: dict[int, int] = {}

    def fits(self, room: int, size: int) -> bool:
        return room >= size

    def allocate(self, size: int) -> int | None:
        size = -(-size // 16) * 16
        for index, (start, room) in enumerate(self.free_ranges):
            if self.fits(room, size):
                self.free_ranges[index : index + 1] = (
                    [(start + size, room - size)] if room > size else []
                )
                self.live[start] = size
                return start
        room = max(self.block, size)
        made = self.backend.allocate(room)
        if made is None:
            return None
        self.blocks.append((made, room))
        self.free_ranges.append((made, room))
        return self.allocate(size)

    def free(self, address: int) -> None:
        self.free_ranges.append((address, self.live.pop(address)))
        if not self.live:
            self.merge()

    def merge(self) -> None:
        self.free_ranges = list(self.blocks)

    def delete(self) -> None:
        for block, _ in self.blocks:
            self.backend.free(block)


class AlignedMalloc:
    """Each request a block with room to round up in."""

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.size = size
        self.blocks: dict[int, int] = {}

    def up(self, block: int, alignment: int) -> int:
        return -(-block // alignment) * alignment

    def allocate(self, size: int, alignment: int = 16) -> int | None:
        block = self.backend.allocate(size + alignment)
        if block is None:
            return None
        entry = self.up(block, alignment)
        self.blocks[entry] = block
        return entry

    def free(self, address: int) -> None:
        self.backend.free(self.blocks.pop(address))

    def delete(self) -> None:
        pass


class Arena:
    """Memory of its own: addresses that no backend knows."""

    most = 32
    gap = 0

    def __init__(self, backend: Backend, size: int) -> None:
        self.stride = -(-max(size, 16) // 16) * 16 + self.gap
        self.memory = bytearray(self.stride * 32 + 64)
        self.entries = [0x10000 + i * self.stride for i in range(self.most)]

    def allocate(self) -> int | None:
        return self.entries.pop() if self.entries else None

    def free(self, address: int) -> None:
        self.entries.append(address)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address - 0x10000 :][:size])

    def write(self, address: int, data: bytes) -> None:
        self.memory[address - 0x10000 : address - 0x10000 + len(data)] = data

    def delete(self) -> None:
        self.entries.clear()


class HardenedPool(Slab):
    """Knows what it handed out, and keeps freed entries back for a while."""

    held_back = 24

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.resting: list[int] = []
        self.live: set[int] = set()

    def allocate(self) -> int | None:
        entry = super().allocate()
        if entry is not None:
            self.live.add(entry)
        return entry

    def check(self, address: int) -> bool:
        return address in self.live

    def free(self, address: int) -> None:
        if not self.check(address):
            raise ValueError("not an entry that was handed out")
        self.live.discard(address)
        self.resting.append(address)
        if len(self.resting) > self.held_back:
            super().free(self.resting.pop(0))


class TwoSizes(Slab):
    """Serves entries of 8 to 64 bytes, and is made for no others."""

    def __init__(self, backend: Backend, size: int) -> None:
        if not 8 <= size <= 64:
            raise ValueError("8 to 64 bytes")
        super().__init__(backend, -(-size // 16) * 16)


class OneSize(Slab):
    """A pool of one type."""

    def __init__(self, backend: Backend, size: int) -> None:
        if size != 48:
            raise ValueError("48 bytes")
        super().__init__(backend, size)


class Bump(Passthrough):
    """An arena whose free does nothing: all goes at once."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.taken: list[int] = []

    def allocate(self) -> int | None:
        entry = super().allocate()
        if entry is not None:
            self.taken.append(entry)
        return entry

    def free(self, address: int) -> None:
        """Leaves it for the end."""

    def delete(self) -> None:
        while self.taken:
            self.backend.free(self.taken.pop())


HARDENED = Contract(
    double_free="refused", foreign_free="refused", interior_free="refused", grows=False
)

DESIGNS: list[tuple[type, dict[str, Any]]] = [
    (Queue, {"contract": Contract(order="fifo", capacity=True, grows=False)}),
    (Magazine, {"contract": Contract(depth=16, order="lifo", flush="empty")}),
    (StaticPool, {"contract": Contract.pool(16)}),
    (HeaderedPool, {"contract": Contract.slab()}),
    (Bitmap, {"level": "memory"}),
    (Zeroing, {"contract": Contract(zeroed=True, order="fifo")}),
    (Malloc, {"contract": Contract.malloc(realloc=True)}),
    (FirstFit, {"contract": Contract.malloc()}),
    (AlignedMalloc, {"contract": Contract.malloc(aligned=True)}),
    (Arena, {"contract": Contract(memory="own", capacity=32, order="lifo")}),
    (HardenedPool, {"contract": HARDENED}),
    (HardenedPool, {"level": "memory"}),
    (TwoSizes, {"level": "memory", "sizes": range(8, 65)}),
    (OneSize, {"level": "memory", "sizes": 48}),
    (Bump, {"contract": Contract(capacity=True, grows=True)}),
    (Slab, {"level": "memory", "threads": 2}),
    (FixedSlab, {"level": "fixed"}),
    (LinkedList, {"level": "lookaside"}),
]
"""Each with the arguments of `check_allocator` that state what it promises."""

from __future__ import annotations

import pytest

from lookaside_sim.testing import (
    AllocatorDifference,
    Backend,
    Contract,
    check_allocator,
)


class Sized:
    """The plainest malloc: each request a block, its size kept."""

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.sizes: dict[int, int] = {}

    def allocate(self, size: int) -> int | None:
        block = self.backend.allocate(size)
        if block is not None:
            self.sizes[block] = size
        return block

    def free(self, address: int) -> None:
        del self.sizes[address]
        self.backend.free(address)

    def reallocate(self, address: int, size: int) -> int | None:
        moved = self.allocate(size)
        if moved is not None:
            kept = self.kept(self.sizes[address], size)
            self.backend.write(moved, self.backend.read(address, kept))
            self.free(address)
        return moved

    def kept(self, old: int, new: int) -> int:
        return min(old, new)

    def delete(self) -> None:
        pass


class Aligned(Sized):
    """Rounds up inside a block that is large enough."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.blocks: dict[int, int] = {}

    def allocate(self, size: int, alignment: int = 16) -> int | None:
        block = self.backend.allocate(size + self.room(alignment))
        if block is None:
            return None
        entry = -(-block // alignment) * alignment
        self.blocks[entry] = block
        return entry

    def room(self, alignment: int) -> int:
        return alignment

    def free(self, address: int) -> None:
        self.backend.free(self.blocks.pop(address))


class RoomForHalf(Aligned):
    def room(self, alignment: int) -> int:
        return alignment // 2 if alignment > 16 else 16


class LosesLastByte(Sized):
    def kept(self, old: int, new: int) -> int:
        return min(old, new) - 1


class FreesOnFailure(Sized):
    def reallocate(self, address: int, size: int) -> int | None:
        moved = super().reallocate(address, size)
        if moved is None:
            self.free(address)
        return moved


class Rounds(Sized):
    """Rounds a size down to whole words."""

    def allocate(self, size: int) -> int | None:
        return super().allocate(max(size & ~7, 8))


class Arena:
    """Owns its memory: addresses that no backend knows."""

    step = 0

    def __init__(self, backend: Backend, size: int) -> None:
        self.size = max(size, 16) + 15 & ~15
        self.free_entries: list[int] = []
        self.end = 0x10000
        self.memory: dict[int, bytes] = {}

    def allocate(self) -> int | None:
        if self.free_entries:
            return self.free_entries.pop()
        self.end += self.size - self.step
        return self.end

    def free(self, address: int) -> None:
        self.free_entries.append(address)

    def read(self, address: int, size: int) -> bytes:
        return self.memory[address][:size]

    def write(self, address: int, data: bytes) -> None:
        self.memory[address] = data

    def delete(self) -> None:
        self.free_entries.clear()


class Overlapping(Arena):
    step = 16


@pytest.mark.parametrize(
    ("factory", "contract"),
    [
        (Sized, Contract.malloc(realloc=True)),
        (Sized, Contract.malloc(sizes=range(1, 100_000))),
        (Aligned, Contract.malloc(aligned=True)),
        (Arena, Contract.pool(memory="own")),
        (Arena, Contract(order="lifo", memory="own")),
    ],
)
def test_correct_ones_are_not_reported(factory: type, contract: Contract) -> None:
    check_allocator(factory, contract=contract, max_examples=150)


@pytest.mark.parametrize(
    ("factory", "contract", "message"),
    [
        (LosesLastByte, Contract.malloc(realloc=True), "did not keep the first"),
        (FreesOnFailure, Contract.malloc(realloc=True), "is live|no live block"),
        (Rounds, Contract.malloc(), "runs over the end of its block"),
        (RoomForHalf, Contract.malloc(aligned=True), "runs over the end|in no live block"),
        (Overlapping, Contract.pool(memory="own"), "overlaps|although it is live"),
        (Arena, Contract.pool(), "lies in no live block"),
    ],
)
def test_broken_ones_are_reported(factory: type, contract: Contract, message: str) -> None:
    with pytest.raises(AllocatorDifference, match=message) as caught:
        check_allocator(factory, contract=contract)
    assert len(caught.value.program) <= 6

"""Broken allocators of every design: what goes wrong besides order and counters."""

from __future__ import annotations

import os
import signal
from typing import Any, TypeVar

from lookaside_sim.testing import Backend, Contract
from tests.testing.allocators import WORD, Passthrough, Slab
from tests.testing.designs import (
    AlignedMalloc,
    Arena,
    Bitmap,
    FirstFit,
    HardenedPool,
    HeaderedPool,
    Magazine,
    Malloc,
    Queue,
    StaticPool,
    Zeroing,
)

MUTANTS: list[tuple[type, dict[str, Any]]] = []
"""Each with the arguments of `check_allocator` that state what it promises."""

T = TypeVar("T", bound=type)


def promising(**arguments: Any) -> Any:
    def register(broken: T) -> T:
        MUTANTS.append((broken, arguments or {"level": "memory"}))
        return broken

    return register


# --- lost capacity and growth -----------------------------------------------------------------


@promising()
class LosesEntryWhenFull(StaticPool):
    def free(self, address: int) -> None:
        if len(self.entries) < self.capacity - 1:
            super().free(address)


@promising(contract=Contract.pool(16, flush=None))
class OneFewer(StaticPool):
    capacity = 15


@promising(contract=Contract.pool(16))
class OneMore(StaticPool):
    capacity = 17


@promising()
class LosesEveryFifth(Slab):
    frees = 0

    def free(self, address: int) -> None:
        self.frees += 1
        if self.frees % 5:
            super().free(address)


@promising()
class DeadCache(Slab):
    """Keeps what is freed, and never looks there."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.cache: list[int] = []

    def free(self, address: int) -> None:
        self.cache.append(address)


@promising(contract=Contract(order="lifo"))
class CacheNeverHit(Slab):
    def free(self, address: int) -> None:
        self.entries.insert(0, address)


@promising()
class NewSlabEachTimeItIsEmpty(Slab):
    live = 0

    def allocate(self) -> int | None:
        if not self.live:
            self.entries = []
        entry = super().allocate()
        self.live += entry is not None
        return entry

    def free(self, address: int) -> None:
        self.live -= 1
        super().free(address)


@promising()
class TableGrows(Passthrough):
    """Takes a larger table for every hundredth free, and keeps the old ones."""

    frees = 0

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.tables: list[int] = []

    def free(self, address: int) -> None:
        super().free(address)
        self.frees += 1
        table = self.backend.allocate(64) if self.frees % 100 == 0 else None
        if table is not None:
            self.tables.append(table)

    def delete(self) -> None:
        for table in self.tables:
            self.backend.free(table)


@promising()
class ClearsNextBit(Bitmap):
    def free(self, address: int) -> None:
        self.used[self.block_of(address)] &= ~(2 << self.place(address))


@promising()
class OneBitMore(Bitmap):
    searched = 33


# --- memory that is not theirs ------------------------------------------------------------


@promising()
class WritesLinkAfterRelease(Magazine):
    def give(self, address: int) -> None:
        self.backend.free(address)
        self.backend.write(address, bytes(WORD))


@promising()
class ReadsLinkAfterRelease(HeaderedPool):
    def delete(self) -> None:
        while self.first_slab:
            slab = self.first_slab
            self.backend.free(slab)
            self.first_slab = int.from_bytes(self.backend.read(slab, WORD), "little")


@promising()
class ClearsOneByteTooMany(Zeroing):
    extra = 1


@promising()
class ClearsOneByteBefore(Zeroing):
    start = -1


@promising()
class FooterOutside(Passthrough):
    def free(self, address: int) -> None:
        self.backend.write(address + self.size - 4, bytes(8))
        super().free(address)


@promising()
class HeaderNotReserved(HeaderedPool):
    header = 8
    reserved = 0


@promising()
class OneEntryOverTheEnd(HeaderedPool):
    more = 1


@promising()
class MarksFreedNeighbor(Bitmap):
    def free(self, address: int) -> None:
        super().free(address)
        if self.place(address):
            self.backend.write(address - self.stride, b"\xff")


@promising()
class StoresOwnerInEntry(Passthrough):
    """Writes into the entry that was handed out before."""

    last = 0

    def allocate(self) -> int | None:
        entry = super().allocate()
        if self.last and self.last in self.live:
            self.backend.write(self.last, bytes(4))
        self.last = entry or 0
        self.live.add(self.last)
        return entry

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.live: set[int] = set()

    def free(self, address: int) -> None:
        self.live.discard(address)
        super().free(address)


@promising()
class FreesHeaderedAddress(HeaderedPool):
    def delete(self) -> None:
        for slab in self.slabs():
            self.backend.free(slab + self.header)


# --- alignment ----------------------------------------------------------------------------


@promising(contract=Contract(alignment=64))
class Aligned32(AlignedMalloc):
    def allocate(self, *request: int) -> int | None:
        return super().allocate(self.size, 32)


@promising()
class FourByteHeader(HeaderedPool):
    header = 4


@promising(level="memory", alignment=16)
class EightByteHeader(HeaderedPool):
    header = 8


@promising(contract=Contract.malloc(aligned=True))
class AlignsTheSize(AlignedMalloc):
    def allocate(self, size: int, alignment: int = 16) -> int | None:
        return super().allocate(-(-size // alignment) * alignment, 16)


@promising(contract=Contract.malloc(aligned=True))
class RoundsDown(AlignedMalloc):
    def up(self, block: int, alignment: int) -> int:
        return block // alignment * alignment


@promising(contract=Contract.malloc(aligned=True))
class AtMostAPage(AlignedMalloc):
    def allocate(self, size: int, alignment: int = 16) -> int | None:
        return super().allocate(size, min(alignment, 2048))


# --- sizes --------------------------------------------------------------------------------


@promising(contract=Contract.malloc())
class ClassTooSmall(Malloc):
    def size_class(self, size: int) -> int:
        return 1 << (size - 1).bit_length() if size > 64 else size & ~7 or 8


@promising(contract=Contract.malloc())
class FreedToWrongClass(Malloc):
    def free(self, address: int) -> None:
        size = self.sizes[address]
        self.sizes[address] = size + 8 if size == 64 else size
        super().free(address)


@promising(contract=Contract.malloc())
class LastFitEvenIfTooSmall(FirstFit):
    def fits(self, room: int, size: int) -> bool:
        return room >= size - 16


@promising(contract=Contract.malloc(grows=False))
class NeverMerges(FirstFit):
    def merge(self) -> None:
        """Forgets its memory instead, and takes new."""
        self.free_ranges.clear()


@promising(contract=Contract.malloc(realloc=True))
class ReallocKeepsOldSize(Malloc):
    def reallocate(self, address: int, size: int) -> int | None:
        if size <= 2 * self.sizes[address]:
            return address
        return super().reallocate(address, size)


@promising(contract=Contract.malloc(realloc=True))
class ReallocCopiesTooMuch(Malloc):
    def copied(self, old: int, new: int) -> int:
        return new


@promising(contract=Contract.malloc(realloc=True))
class ReallocCopiesWords(Malloc):
    def copied(self, old: int, new: int) -> int:
        return min(old, new) & ~7


@promising(contract=Contract.malloc(realloc=True))
class ReallocFreesFirst(Malloc):
    def reallocate(self, address: int, size: int) -> int | None:
        kept = self.backend.read(address, min(self.sizes[address], size))
        self.free(address)
        moved = self.allocate(size)
        if moved is not None:
            self.backend.write(moved, kept)
        return moved


# --- refusals -----------------------------------------------------------------------------


@promising()
class SecondRequestUnchecked(HeaderedPool):
    """Takes a table beside its first slab, and does not look whether it got it."""

    table: int | None = None

    def allocate(self) -> int | None:
        entry = super().allocate()
        if entry is not None and not self.table:
            self.table = self.backend.allocate(32)
            self.backend.write(self.table or 0, bytes(32))
        return entry

    def delete(self) -> None:
        super().delete()
        if self.table:
            self.backend.free(self.table)


@promising()
class LeaksSlabWithoutTable(Slab):
    """Forgets the slab if there is no memory for its table."""

    def allocate(self) -> int | None:
        if not self.entries:
            slab = self.backend.allocate(self.stride * self.count)
            table = self.backend.allocate(16)
            if slab is None or table is None:
                if table is not None:
                    self.backend.free(table)
                return None
            self.slabs += [slab, table]
            self.entries = [slab + self.stride * i for i in range(self.count)]
        return self.entries.pop()


@promising()
class LeaksInConstructor(Passthrough):
    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.blocks = [backend.allocate(16), backend.allocate(16)]
        if None in self.blocks:
            raise MemoryError("no memory")

    def delete(self) -> None:
        for block in self.blocks:
            assert block is not None
            self.backend.free(block)


@promising()
class GivesUpForEver(Slab):
    failed = False

    def allocate(self) -> int | None:
        entry = None if self.failed else super().allocate()
        self.failed |= entry is None
        return entry


# --- contents -----------------------------------------------------------------------------


@promising(contract=Contract(zeroed=True))
class ClearsNotAll(Zeroing):
    extra = -1


@promising(contract=Contract(zeroed=True))
class ClearsOnlyNewOnes(Zeroing):
    def allocate(self) -> int | None:
        return self.entries.pop() if self.entries else super().allocate()


@promising(contract=Contract(memory="own", grows=False))
class ArenaOverlaps(Arena):
    gap = -8


@promising(contract=Contract(memory="own", capacity=32))
class ArenaLosesLast(Arena):
    most = 31


# --- order, depth -------------------------------------------------------------------------


@promising(contract=Contract(order="fifo"))
class SwapsAtEight(Queue):
    def allocate(self) -> int | None:
        if len(self.entries) == 8:
            self.entries[0], self.entries[1] = self.entries[1], self.entries[0]
        return super().allocate()


@promising(contract=Contract(depth=16, order="lifo", flush="empty"))
class MagazineOneMore(Magazine):
    depth = 17


@promising(contract=Contract(depth=16, order="lifo", flush="empty"))
class FlushLeavesOne(Magazine):
    def flush(self) -> None:
        while len(self.entries) > 1:
            self.give(self.entries.pop())

    def delete(self) -> None:
        super().flush()


# --- misuse -------------------------------------------------------------------------------

HARDENED = Contract(double_free="refused", foreign_free="refused", interior_free="refused")


@promising(contract=HARDENED)
class SeesOnlyTheLast(HardenedPool):
    def check(self, address: int) -> bool:
        return not self.entries or self.entries[-1] != address


@promising(contract=HARDENED)
class TrustsTheSlab(HardenedPool):
    def check(self, address: int) -> bool:
        return address not in self.entries


@promising(contract=HARDENED)
class TrustsTheAlignment(HardenedPool):
    def check(self, address: int) -> bool:
        return address % 16 == 0 and address not in self.entries


# --- the process --------------------------------------------------------------------------


@promising(level="memory", isolate=True)
class Crashes(Slab):
    def free(self, address: int) -> None:
        super().free(address)
        if len(self.entries) == self.count:
            os.kill(os.getpid(), signal.SIGSEGV)


@promising(level="memory", isolate=True)
class Aborts(Slab):
    def allocate(self) -> int | None:
        if len(self.slabs) == 2:
            os.abort()
        return super().allocate()


@promising()
class Hangs(Slab):
    def free(self, address: int) -> None:
        super().free(address)
        while len(self.entries) == 13:
            pass


@promising()
class HangsWithoutMemory(Slab):
    def allocate(self) -> int | None:
        entry = super().allocate()
        while entry is None:
            pass
        return entry


# --- threads ------------------------------------------------------------------------------


@promising(level="memory", threads=2)
class CountLost(Slab):
    """Looks at its list, lets others go on, then takes what it saw."""

    def allocate(self) -> int | None:
        if self.entries:
            entry = self.entries[-1]
            self.backend.switch()
            if self.entries:
                self.entries.pop()
            return entry
        return super().allocate()


@promising(level="memory", threads=2)
class SlabRace(Slab):
    def free(self, address: int) -> None:
        entries = list(self.entries)
        self.backend.switch()
        self.entries = [*entries, address]

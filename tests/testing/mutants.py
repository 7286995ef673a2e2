"""Deliberately broken allocators, each with one mistake somebody makes."""

from __future__ import annotations

from typing import TypeVar

from lookaside_sim import Layout
from lookaside_sim.testing import Backend
from tests.testing.allocators import (
    WORD,
    FixedSlab,
    LinkedList,
    Passthrough,
    ReferenceList,
    Slab,
)

LOOKASIDE: list[type] = []
"""Broken lookaside lists."""
MEMORY: list[type] = []
"""Allocators that are not even safe."""

FIXED: list[type] = []
"""Fixed-size allocators that serve what they cannot."""

T = TypeVar("T", bound=type)


def lookaside(broken: T) -> T:
    LOOKASIDE.append(broken)
    return broken


def memory(broken: T) -> T:
    MEMORY.append(broken)
    return broken


def fixed(broken: T) -> T:
    FIXED.append(broken)
    return broken


# --- numbers off by one ------------------------------------------------------------------

for _name, _values in {
    "least_depth": (3, 5),
    "most_depth": (255, 257),
    "least_allocates": (74, 76),
    "least_ratio": (4, 6),
    "scale": (999, 1001, 1024),
    "divisor": (1999, 2001, 1000),
    "growth": (4, 6),
    "most_growth": (29, 31),
    "idle_step": (9, 11),
    "calm_step": (0, 2),
    "period": (2, 4),
    "first_scan": (1, 2),
    "counter_mask": (0xFF, 0xFFFF, 0x7FFF_FFFF),
}.items():
    for _value in _values:
        _broken = type(f"{_name}_{_value}", (ReferenceList,), {_name: _value})
        globals()[_broken.__name__] = lookaside(_broken)  # for the regressions to import


@lookaside
class DepthComparedWithOneMore(ReferenceList):
    def free(self, address: int) -> None:
        self.total_frees += 1
        if len(self.entries) > self.depth:
            self.free_misses += 1
            self.backend.free(address)
        else:
            self.entries.append(address)


@lookaside
class NoCeiling(ReferenceList):
    def tuned(self, allocates: int, misses: int) -> int:
        self.most_depth = 1_000_000 if self.depth >= 250 else 256
        return super().tuned(allocates, misses)


@lookaside
class CeilingOneLower(ReferenceList):
    def tuned(self, allocates: int, misses: int) -> int:
        return min(super().tuned(allocates, misses), 255)


@lookaside
class GrowthAddedAfterTheLimit(ReferenceList):
    def tuned(self, allocates: int, misses: int) -> int:
        ratio = misses * 1000 // allocates if allocates >= 75 else 0
        if ratio < 5:
            return super().tuned(allocates, misses)
        return min(self.depth + min(ratio * (256 - self.depth) // 2000, 30) + 5, 256)


# --- order -------------------------------------------------------------------------------


@lookaside
class SizeNotRaised(ReferenceList):
    """Entries smaller than a link, which a list has no room to keep."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.size = size


@lookaside
class Fifo(ReferenceList):
    def allocate(self) -> int | None:
        self.entries.reverse()
        entry = super().allocate()
        self.entries.reverse()
        return entry


@lookaside
class OldestAfterFlush(ReferenceList):
    flushed = False

    def flush(self) -> None:
        super().flush()
        self.flushed = True

    def allocate(self) -> int | None:
        if self.flushed and len(self.entries) > 2:
            self.entries.append(self.entries.pop(0))
        return super().allocate()


# --- counters ----------------------------------------------------------------------------


@lookaside
class AllocateForgottenOnFailure(ReferenceList):
    def more(self) -> int | None:
        entry = super().more()
        self.total_allocates -= entry is None
        return entry


@lookaside
class MissForgottenOnFailure(ReferenceList):
    def more(self) -> int | None:
        entry = super().more()
        self.allocate_misses -= entry is None
        return entry


@lookaside
class FailureCountedTwice(ReferenceList):
    def more(self) -> int | None:
        entry = super().more()
        self.allocate_misses += entry is None
        return entry


@lookaside
class FlushCountsFrees(ReferenceList):
    def flush(self) -> None:
        self.total_frees += len(self.entries)
        super().flush()


@lookaside
class FlushCountsMisses(ReferenceList):
    def flush(self) -> None:
        self.free_misses += len(self.entries)
        super().flush()


@lookaside
class FlushDrainsByAllocating(ReferenceList):
    def flush(self) -> None:
        while self.entries:
            entry = self.allocate()
            assert entry is not None
            self.backend.free(entry)


@lookaside
class FlushResetsCounters(ReferenceList):
    def flush(self) -> None:
        super().flush()
        self.total_allocates = self.allocate_misses = self.total_frees = self.free_misses = 0


@lookaside
class FlushResetsDepth(ReferenceList):
    def flush(self) -> None:
        super().flush()
        self.depth = 4


@lookaside
class FreeMissNotCounted(ReferenceList):
    def free(self, address: int) -> None:
        super().free(address)
        self.free_misses = 0


@lookaside
class SaturatingCounters(ReferenceList):
    def allocate(self) -> int | None:
        entry = super().allocate()
        self.total_allocates = min(self.total_allocates, 0xFFFF_FFFF)
        return entry


@lookaside
class UnboundedCounters(ReferenceList):
    def counters(self) -> dict[str, int]:
        return {**super().counters(), "total_frees": self.total_frees}


@lookaside
class WrongDifferenceOverWrap(ReferenceList):
    def scan(self) -> None:
        if self.total_allocates > 0xFFFF_FFFF >= self.last_total_allocates:
            self.last_total_allocates = self.total_allocates
        super().scan()


# --- tuning ------------------------------------------------------------------------------


@lookaside
class MissesNeverSampled(ReferenceList):
    def scan(self) -> None:
        super().scan()
        self.last_allocate_misses = 0


@lookaside
class IdleScanNotSampled(ReferenceList):
    def scan(self) -> None:
        if self.total_allocates - self.last_total_allocates < 75:
            self.depth = max(self.depth - 10, 4)
        else:
            super().scan()


@lookaside
class TickTrimsEntries(ReferenceList):
    def scan(self) -> None:
        super().scan()
        while len(self.entries) > self.depth:
            self.backend.free(self.entries.pop())


@lookaside
class RatioOfFrees(ReferenceList):
    def tuned(self, allocates: int, misses: int) -> int:
        return super().tuned(allocates, misses + self.free_misses)


@lookaside
class ScansOncePerCall(ReferenceList):
    def tick(self, seconds: int) -> None:
        super().tick(min(seconds, 3))


# --- entries and the backend -------------------------------------------------------------


@lookaside
class FreeWithoutDepthCheck(ReferenceList):
    def free(self, address: int) -> None:
        self.total_frees += 1
        self.entries.append(address)


@lookaside
class LeakOnDelete(ReferenceList):
    def delete(self) -> None:
        self.entries.clear()


@lookaside
class LeakOneOnFlush(ReferenceList):
    def flush(self) -> None:
        if self.entries:
            self.entries.pop(0)
        super().flush()


@lookaside
class DeleteFreesTwice(ReferenceList):
    def delete(self) -> None:
        for entry in self.entries:
            self.backend.free(entry)
        self.flush()


@lookaside
class DeleteTakesHeldEntries(ReferenceList):
    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.held: set[int] = set()

    def allocate(self) -> int | None:
        entry = super().allocate()
        if entry is not None:
            self.held.add(entry)
        return entry

    def free(self, address: int) -> None:
        self.held.discard(address)
        super().free(address)

    def delete(self) -> None:
        super().delete()
        for entry in sorted(self.held):
            self.backend.free(entry)


@lookaside
class RetriesAfterFailure(ReferenceList):
    def more(self) -> int | None:
        return super().more() or super().more()


@lookaside
class FlushesOnFailure(ReferenceList):
    def allocate(self) -> int | None:
        entry = super().allocate()
        if entry is None:
            self.depth = 0
        return entry


@lookaside
class FreesAnotherWhenFull(ReferenceList):
    def free(self, address: int) -> None:
        if self.entries and len(self.entries) >= self.depth:
            self.entries.append(address)
            address = self.entries.pop(0)
            self.total_frees += 1
            self.free_misses += 1
            self.backend.free(address)
        else:
            super().free(address)


@lookaside
class TwoEntriesPerMiss(ReferenceList):
    def more(self) -> int | None:
        extra = super().more()
        if extra is not None:
            self.entries.append(extra)
        return super().more()


@lookaside
class NoLeastSize(LinkedList):
    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.size = size


@lookaside
class SizeReportedWrong(LinkedList):
    def counters(self) -> dict[str, int]:
        return {**super().counters(), "size": self.size - 1}


@lookaside
class LinkWrittenAfterTheFree(LinkedList):
    def free(self, address: int) -> None:
        super().free(address)
        self.store(address, 0)


@lookaside
class ClearsEntryBehind(LinkedList):
    def free(self, address: int) -> None:
        super().free(address)
        if self.size > 2 * WORD and self.total_frees % 5 == 0:
            self.store(address + self.size - WORD // 2, 0)


# --- memory safety -----------------------------------------------------------------------


@memory
class HandsOutTwice(Slab):
    def free(self, address: int) -> None:
        super().free(address)
        if len(self.entries) % 7 == 0:
            self.entries.append(address)


@memory
class ReusesLiveEntry(Passthrough):
    last: int | None = None

    def allocate(self) -> int | None:
        self.last = super().allocate() or self.last
        return self.last


@memory
class Overlap(Slab):
    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.stride = max(size - 1, 1)


@memory
class OneEntryTooMany(Slab):
    def allocate(self) -> int | None:
        if not self.entries and self.slabs:
            end = self.slabs[-1] + self.stride * self.count
            if end not in self.given:
                self.given.add(end)
                return end
        return super().allocate()

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.given: set[int] = set()


@memory
class Misaligned(Slab):
    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.stride = size + 4


@memory
class HeaderMisaligns(Passthrough):
    def allocate(self) -> int | None:
        block = self.backend.allocate(self.size + 8)
        return None if block is None else block + 8

    def free(self, address: int) -> None:
        self.backend.free(address - 8)


@memory
class BlockTooSmall(Passthrough):
    def allocate(self) -> int | None:
        return self.backend.allocate(max(self.size - 1, 1))


@memory
class ForgetsEveryTenth(Passthrough):
    frees = 0

    def free(self, address: int) -> None:
        self.frees += 1
        if self.frees % 10:
            super().free(address)


@memory
class LateDoubleFree(Passthrough):
    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.freed: list[int] = []

    def free(self, address: int) -> None:
        super().free(address)
        self.freed.append(address)

    def delete(self) -> None:
        if len(self.freed) > 3:
            super().free(self.freed[0])


@memory
class KeepsSlabs(Slab):
    def delete(self) -> None:
        del self.slabs[1:]
        super().delete()


@memory
class GivesBackLiveSlab(Slab):
    def free(self, address: int) -> None:
        super().free(address)
        if address in self.slabs:
            self.slabs.remove(address)
            self.backend.free(address)


@memory
class RemembersStaleFrees(Passthrough):
    """Drops a free it takes for a repeated one: only addresses used again show it."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.freed: set[int] = set()

    def free(self, address: int) -> None:
        if address not in self.freed:
            self.freed.add(address)
            super().free(address)


@memory
class WritesIntoNeighbor(Slab):
    def free(self, address: int) -> None:
        super().free(address)
        slab = max(slab for slab in self.slabs if slab <= address)
        if address + 2 * self.stride <= slab + self.stride * self.count:
            self.backend.write(address + self.stride, bytes(1))


@memory
class ReadsFreedBlock(Passthrough):
    def free(self, address: int) -> None:
        super().free(address)
        self.backend.read(address, self.size)


@memory
class NothingOnFailure(Passthrough):
    def allocate(self) -> int | None:
        entry = super().allocate()
        return 0 if entry is None else entry


@memory
class RaisesOnFailure(Passthrough):
    def allocate(self) -> int | None:
        entry = super().allocate()
        if entry is None:
            raise OSError("no memory")
        return entry


# --- the face of a fixed-size allocator --------------------------------------------------


@fixed
class ServesLarger(FixedSlab):
    def allocate_layout(self, layout: Layout) -> int | None:
        return self.allocate()


@fixed
class IgnoresAlignment(FixedSlab):
    def allocate_layout(self, layout: Layout) -> int | None:
        return super().allocate_layout(Layout(layout.size))


@fixed
class ServesSmaller(FixedSlab):
    def allocate_layout(self, layout: Layout) -> int | None:
        return super().allocate_layout(Layout(max(layout.size, self.layout_size)))


@fixed
class Grows(FixedSlab):
    def grow(self, address: int, old: Layout, new: Layout) -> int | None:
        return address


@fixed
class ShrinksInPlace(FixedSlab):
    def shrink(self, address: int, old: Layout, new: Layout) -> int | None:
        return address


@fixed
class AllocatesBeforeItRefuses(FixedSlab):
    def grow(self, address: int, old: Layout, new: Layout) -> int | None:
        self.backend.allocate(new.size)
        return super().grow(address, old, new)

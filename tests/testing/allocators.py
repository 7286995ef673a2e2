"""Correct allocators, written from the specification and in different ways."""

from __future__ import annotations

from lookaside_sim import Layout
from lookaside_sim.testing import Backend

WORD = 8


class ReferenceList:
    """A lookaside list with its free entries in a Python list."""

    least_depth = 4
    most_depth = 256
    least_allocates = 75
    least_ratio = 5
    scale = 1000
    divisor = 2000
    growth = 5
    most_growth = 30
    idle_step = 10
    calm_step = 1
    period = 3
    first_scan = 0
    counter_mask = 0xFFFF_FFFF

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.size = max(size, WORD)
        self.entries: list[int] = []
        self.total_allocates = self.allocate_misses = 0
        self.total_frees = self.free_misses = 0
        self.last_total_allocates = self.last_allocate_misses = 0
        self.depth = self.least_depth
        self.seconds = 0

    def allocate(self) -> int | None:
        self.total_allocates += 1
        if self.entries:
            return self.entries.pop()
        self.allocate_misses += 1
        return self.more()

    def more(self) -> int | None:
        return self.backend.allocate(self.size)

    def free(self, address: int) -> None:
        self.total_frees += 1
        if len(self.entries) >= self.depth:
            self.free_misses += 1
            self.backend.free(address)
        else:
            self.entries.append(address)

    def flush(self) -> None:
        while self.entries:
            self.backend.free(self.entries.pop())

    def delete(self) -> None:
        self.flush()

    def tick(self, seconds: int) -> None:
        for _ in range(seconds):
            if self.seconds % self.period == self.first_scan:
                self.scan()
            self.seconds += 1

    def scan(self) -> None:
        allocates = self.total_allocates - self.last_total_allocates & self.counter_mask
        misses = self.allocate_misses - self.last_allocate_misses & self.counter_mask
        self.last_total_allocates = self.total_allocates
        self.last_allocate_misses = self.allocate_misses
        self.depth = self.tuned(allocates, misses)

    def tuned(self, allocates: int, misses: int) -> int:
        if allocates < self.least_allocates:
            return max(self.depth - self.idle_step, self.least_depth)
        ratio = misses * self.scale // allocates
        if ratio < self.least_ratio:
            return max(self.depth - self.calm_step, self.least_depth)
        step = ratio * (self.most_depth - self.depth) // self.divisor + self.growth
        return min(self.depth + min(step, self.most_growth), self.most_depth)

    def counters(self) -> dict[str, int]:
        return {
            "total_allocates": self.total_allocates & self.counter_mask,
            "allocate_misses": self.allocate_misses & self.counter_mask,
            "total_frees": self.total_frees & self.counter_mask,
            "free_misses": self.free_misses & self.counter_mask,
            "depth": self.depth,
            "current_depth": len(self.entries),
        }

    def set_counters(self, values: dict[str, int]) -> None:
        for name, value in values.items():
            setattr(self, name, value)


class LinkedList(ReferenceList):
    """The same with links in the entries, a header in the backend, and all that is optional."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        header = backend.allocate(WORD)
        if header is None:
            raise MemoryError("no memory for the header")
        self.header = header
        self.count = 0
        self.store(header, 0)

    def load(self, address: int) -> int:
        return int.from_bytes(self.backend.read(address, WORD), "little")

    def store(self, address: int, word: int) -> None:
        self.backend.write(address, word.to_bytes(WORD, "little"))

    def allocate(self) -> int | None:
        self.total_allocates += 1
        first = self.load(self.header)
        if first:
            self.count -= 1
            self.store(self.header, self.load(first))
            return first
        self.allocate_misses += 1
        return self.more()

    def free(self, address: int) -> None:
        self.total_frees += 1
        if self.count >= self.depth:
            self.free_misses += 1
            self.backend.free(address)
            return
        self.store(address, self.load(self.header))
        self.store(self.header, address)
        self.count += 1

    def flush(self) -> None:
        entry, self.count = self.load(self.header), 0
        self.store(self.header, 0)
        while entry:
            after = self.load(entry)
            self.backend.free(entry)
            entry = after

    def delete(self) -> None:
        self.flush()
        self.backend.free(self.header)

    def counters(self) -> dict[str, int]:
        return {
            **super().counters(),
            "current_depth": self.count,
            "last_total_allocates": self.last_total_allocates & self.counter_mask,
            "last_allocate_misses": self.last_allocate_misses & self.counter_mask,
            "maximum_depth": self.most_depth,
            "size": self.size,
        }


class Passthrough:
    """The smallest allocator there is: everything goes to the backend."""

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.size = size

    def allocate(self) -> int | None:
        return self.backend.allocate(self.size)

    def free(self, address: int) -> None:
        self.backend.free(address)

    def delete(self) -> None:
        pass


class Slab:
    """Carves large blocks into entries side by side; keeps every slab until the end."""

    count = 16

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.stride = size
        self.slabs: list[int] = []
        self.entries: list[int] = []

    def allocate(self) -> int | None:
        if not self.entries:
            slab = self.backend.allocate(self.stride * self.count)
            if slab is None:
                return None
            self.slabs.append(slab)
            self.entries = [slab + self.stride * i for i in reversed(range(self.count))]
        return self.entries.pop()

    def free(self, address: int) -> None:
        self.entries.append(address)

    def delete(self) -> None:
        while self.slabs:
            self.backend.free(self.slabs.pop())


class FixedSlab(Slab):
    """A slab with the face of a fixed-size allocator."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.layout_size = size

    def allocate_layout(self, layout: Layout) -> int | None:
        if layout.size != self.layout_size or layout.align > 16:
            raise ValueError(f"{layout} is not the layout of this allocator")
        return self.allocate()

    def grow(self, address: int, old: Layout, new: Layout) -> int | None:
        raise ValueError("a fixed-size allocator cannot grow")

    def shrink(self, address: int, old: Layout, new: Layout) -> int | None:
        raise ValueError("a fixed-size allocator cannot shrink")

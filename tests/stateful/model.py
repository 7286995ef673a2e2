"""An independent model of a machine: what must come out, without how.

Lists are Python lists, counters ints, the pool a dict of live blocks; the tuning rule is
stated again. Nothing here imports the package's behavior.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ModelList:
    """One lookaside list by section 4 and 6 of its specification."""

    size: int
    paged: bool
    depth: int = 4
    maximum_depth: int = 256
    entries: list[int] = field(default_factory=list)
    total_allocates: int = 0
    allocate_misses: int = 0
    total_frees: int = 0
    free_misses: int = 0
    scanned_allocates: int = 0
    scanned_misses: int = 0
    out: list[int] = field(default_factory=list)

    def allocate(self) -> int | None:
        """Count, and give the entry that must come, or None for whatever the pool gives."""
        self.total_allocates += 1
        if self.entries:
            return self.entries.pop()
        self.allocate_misses += 1
        return None

    def free(self, entry: int) -> bool:
        """Count, and tell whether the list keeps the entry."""
        self.total_frees += 1
        if len(self.entries) >= self.depth:
            self.free_misses += 1
            return False
        self.entries.append(entry)
        return True

    def scan(self) -> None:
        """Tune the depth by what happened since the last scan."""
        allocates = self.total_allocates - self.scanned_allocates
        misses = self.allocate_misses - self.scanned_misses
        self.scanned_allocates, self.scanned_misses = self.total_allocates, self.allocate_misses
        if allocates < 75:
            self.depth = max(self.depth - 10, 4)
        elif misses * 1000 // allocates < 5:
            self.depth = max(self.depth - 1, 4)
        else:
            room = self.maximum_depth - self.depth
            step = min(misses * 1000 // allocates * room // 2000 + 5, 30)
            self.depth = min(self.depth + step, self.maximum_depth)


@dataclass
class ModelBlock:
    """A live block of a pool."""

    size: int
    tag: bytes
    paged: bool
    contents: bytes


class ModelPool:
    """Live blocks, which never overlap, and what each tag did."""

    def __init__(self) -> None:
        self.live: dict[int, ModelBlock] = {}
        self.calls: dict[tuple[bytes, bool], list[int]] = {}

    def add(self, address: int, block: ModelBlock) -> None:
        """Take over a block that a pool returned."""
        assert address % 16 == 0
        assert block.size <= 4064 or address % 4096 == 0
        for other, held in self.live.items():
            assert address + max(block.size, 1) <= other or other + max(held.size, 1) <= address
        self.live[address] = block
        self.calls.setdefault((block.tag, block.paged), [0, 0])[0] += 1

    def remove(self, address: int) -> ModelBlock:
        """Forget a block that was freed."""
        block = self.live.pop(address)
        self.calls[block.tag, block.paged][1] += 1
        return block

"""For a driver author: is my own lookaside list right?

Covers: check_allocator, its report and its regression.
Scenario: somebody wrote a free list for a driver and got one thing wrong. The simulator runs
the same calls beside it, finds the difference and cuts it down to the steps that matter.
"""

from lookaside_sim.testing import AllocatorDifference, Backend, check_allocator


class MyList:
    """A lookaside list that forgets one rule: what happens when memory runs out."""

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.size = max(size, 8)
        self.entries: list[int] = []
        self.depth = 4
        self.allocates = self.allocate_misses = self.frees = self.free_misses = 0
        self.last = (0, 0)
        self.seconds = 0

    def allocate(self) -> int | None:
        if self.entries:
            self.allocates += 1
            return self.entries.pop()
        entry = self.backend.allocate(self.size)
        if entry is not None:  # wrong: a failed call counts as well
            self.allocates += 1
            self.allocate_misses += 1
        return entry

    def free(self, entry: int) -> None:
        self.frees += 1
        if len(self.entries) < self.depth:
            self.entries.append(entry)
        else:
            self.free_misses += 1
            self.backend.free(entry)

    def flush(self) -> None:
        while self.entries:
            self.backend.free(self.entries.pop())

    def delete(self) -> None:
        self.flush()

    def tick(self, seconds: int) -> None:
        for _ in range(seconds):
            if self.seconds % 3 == 0:
                self.scan()
            self.seconds += 1

    def scan(self) -> None:
        allocates = self.allocates - self.last[0]
        misses = self.allocate_misses - self.last[1]
        self.last = (self.allocates, self.allocate_misses)
        if allocates < 75:
            self.depth = max(self.depth - 10, 4)
        elif misses * 1000 // allocates < 5:
            self.depth = max(self.depth - 1, 4)
        else:
            ratio = misses * 1000 // allocates
            step = min(ratio * (256 - self.depth) // 2000 + 5, 30)
            self.depth = min(self.depth + step, 256)

    def counters(self) -> dict[str, int]:
        return {
            "total_allocates": self.allocates,
            "allocate_misses": self.allocate_misses,
            "total_frees": self.frees,
            "free_misses": self.free_misses,
            "depth": self.depth,
            "current_depth": len(self.entries),
        }


class Repaired(MyList):
    """The same with the rule it forgot."""

    def allocate(self) -> int | None:
        self.allocates += 1
        if self.entries:
            return self.entries.pop()
        self.allocate_misses += 1
        return self.backend.allocate(self.size)


if __name__ == "__main__":
    try:
        check_allocator(MyList)
    except AllocatorDifference as difference:
        print(difference)
    check_allocator(Repaired)
    print("Repaired: no difference in 200 programs.")

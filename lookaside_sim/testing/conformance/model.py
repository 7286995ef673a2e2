"""What a list of free entries should do, for contracts that are not quite a lookaside list."""

from __future__ import annotations

from typing import Protocol

from lookaside_sim.lookaside.tuning import SCAN_PERIOD
from lookaside_sim.nt.types import ULONG_MASK
from lookaside_sim.testing.conformance.refusals import Refusals
from lookaside_sim.testing.list_model import ListModel

__all__ = ["KeptEntries", "Model"]

_MOST_DEPTH = 256


class Model(Protocol):
    """The other side of a comparison: it is called as the allocator under test is."""

    def start(self, size: int) -> None:
        """Begin a program."""

    def finish(self, held: list[int]) -> None:
        """End it, with these entries still live."""

    def refuse(self, count: int, after: int, bursts: int) -> None:
        """Refuse requests for memory."""

    def refuse_no_more(self) -> None:
        """A step is over."""

    def allocate(self) -> int | None:
        """Take an entry."""

    def free(self, entry: int) -> bool:
        """Free an entry; returns whether it is kept."""

    def flush(self) -> None:
        """Flush."""

    def delete(self) -> None:
        """Delete."""

    def tick(self, seconds: int) -> None:
        """Let time pass."""

    def entries(self) -> list[int]:
        """The free entries, newest first."""

    def counter(self, name: str) -> int:
        """A counter."""

    def set_counters(self, value: int) -> dict[str, int]:
        """Set every counter to one value."""

    @property
    def depth(self) -> int:
        """How many free entries are kept."""

    @property
    def outstanding(self) -> int:
        """Blocks taken and not given back."""


class KeptEntries:
    """Free entries in one order, as many as a depth allows.

    Args:
        depth: entries; "policy" for what NT's tuning makes of it.
        oldest_first: whether the entry freed first is handed out first.
    """

    def __init__(self, depth: int | str, *, oldest_first: bool) -> None:
        self._fixed = depth if isinstance(depth, int) else None
        self._oldest_first = oldest_first
        self._refusals = Refusals()

    def start(self, size: int) -> None:
        """Begin with no entries, in a second in which lists are scanned."""
        self._size = size
        self._numbers = self._seconds = 0
        self._live = 0
        self._refusals.clear()
        self._list = ListModel(_MOST_DEPTH if self._fixed is None else self._fixed, paged=False)
        if self._fixed is not None:
            self._list.depth = self._fixed

    def finish(self, held: list[int]) -> None:
        """Nothing to do: entries are only numbers."""

    def refuse(self, count: int, after: int, bursts: int) -> None:
        """Refuse some of the next requests for memory, as `Refusals.plan` takes it."""
        self._refusals.plan(count, after, bursts)

    def refuse_no_more(self) -> None:
        """Nothing to do."""

    def allocate(self) -> int | None:
        """Take an entry, a new one where none is free."""
        model = self._list
        model.total_allocates = model.total_allocates + 1 & ULONG_MASK
        if model.free:
            self._live += 1
            return model.free.pop(0 if self._oldest_first else -1)
        model.allocate_misses = model.allocate_misses + 1 & ULONG_MASK
        if self._refusals.next():
            return None
        self._live += 1
        self._numbers += 1
        return self._numbers

    def free(self, entry: int) -> bool:
        """Free an entry; returns whether it is kept."""
        model = self._list
        model.total_frees = model.total_frees + 1 & ULONG_MASK
        self._live -= 1
        if len(model.free) >= model.depth:
            model.free_misses = model.free_misses + 1 & ULONG_MASK
            return False
        model.free.append(entry)
        return True

    def flush(self) -> None:
        """Let every free entry go."""
        self._list.free.clear()

    def delete(self) -> None:
        """Let every free entry go."""
        self.flush()

    def tick(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            if self._fixed is None and self._seconds % SCAN_PERIOD == 0:
                self._list.scan()
            self._seconds += 1

    def entries(self) -> list[int]:
        """The free entries, newest first."""
        return self._list.free[::-1]

    def counter(self, name: str) -> int:
        """A counter, by the name that an allocator under test reports it by."""
        if name == "current_depth":
            return len(self._list.free)
        value: int = self._size if name == "size" else getattr(self._list, name)
        return value

    def set_counters(self, value: int) -> dict[str, int]:
        """Set every counter to one value.

        Returns:
            What was set, by name.
        """
        self._list.set_counters(value)
        return {
            name: value
            for name in vars(self._list)
            if name.endswith(("allocates", "frees", "misses"))
        }

    @property
    def depth(self) -> int:
        """How many free entries are kept."""
        return self._list.depth

    @property
    def outstanding(self) -> int:
        """Blocks taken and not given back."""
        return self._live + len(self._list.free)

"""The simulator's side of a comparison: one real `LookasideList`, driven call by call."""

from __future__ import annotations

from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.tuning import SCAN_PERIOD
from lookaside_sim.nt.types import PoolTag, PoolType

__all__ = ["COUNTERS", "SETTABLE_COUNTERS", "Oracle"]

COUNTERS: Final = (
    "total_allocates",
    "allocate_misses",
    "total_frees",
    "free_misses",
    "depth",
    "current_depth",
)
"""What every allocator of level "lookaside" reports."""
OPTIONAL_COUNTERS: Final = (
    "last_total_allocates",
    "last_allocate_misses",
    "maximum_depth",
    "size",
)
"""What is compared as well where the allocator reports it."""
SETTABLE_COUNTERS: Final = (
    "total_allocates",
    "allocate_misses",
    "total_frees",
    "free_misses",
    "last_total_allocates",
    "last_allocate_misses",
)

_TAG: Final = PoolTag(b"tseT")
# Offsets in a LOOKASIDE_LIST_EX on x64: four counters in a row, the two of the last scan in
# a row, and the routine that misses call.
_TOTAL_ALLOCATES: Final = 0x14
_ALLOCATE_EX: Final = 0x30
_LAST_TOTAL_ALLOCATES: Final = 0x50


class Oracle:
    """What the simulator would do.

    One kernel serves many programs, one list after the other, since making a machine costs
    more than running a program.
    """

    def __init__(self) -> None:
        self._kernel = Kernel()
        self._routine = self._kernel.routines.allocate_address(self._allocate_or_refuse)
        self.refuse_next = 0
        """How many of the next requests for memory will be refused."""
        self._refusing = False
        self.list = LookasideList(self._kernel)
        self._outstanding_before = 0

    def start(self, size: int) -> None:
        """Begin with a fresh nonpaged list, in a second in which nonpaged lists are scanned.

        Args:
            size: bytes of an entry.
        """
        kernel = self._kernel
        kernel.tick(-kernel.seconds % SCAN_PERIOD)
        self.refuse_next = 0
        self._refusing = False
        self._outstanding_before = self._outstanding()
        self.list.initialize(size=size, tag=_TAG)

    def finish(self, held: list[int]) -> None:
        """End the program: give everything back.

        Args:
            held: the entries that are still live.
        """
        if self.list.is_active:
            self.list.delete()
        for entry in held:
            self._kernel.pool.free(entry)

    def refuse(self, count: int) -> None:
        """Refuse the next requests for memory.

        Args:
            count: how many, from now on.
        """
        self.refuse_next = count
        self._set_allocate_routine(self._routine)
        self._refusing = True

    def refuse_no_more(self) -> None:
        """Once no refusal is left: let misses go straight to the pool again, which is faster."""
        if self._refusing and not self.refuse_next:
            self._set_allocate_routine(self._kernel.routines.default_allocate)
            self._refusing = False

    def tick(self, seconds: int) -> None:
        """Let time pass."""
        self._kernel.tick(seconds)

    @property
    def outstanding(self) -> int:
        """Blocks that the list took from its pool in this program and did not give back."""
        return self._outstanding() - self._outstanding_before

    def _outstanding(self) -> int:
        usage = self._kernel.pool.usage(_TAG)
        return usage.nonpaged_allocs - usage.nonpaged_frees

    def counters(self) -> dict[str, int]:
        """The counters, as an allocator under test reports them."""
        of = self.list
        return {name: getattr(of, name) for name in COUNTERS}

    def set_counters(self, value: int) -> dict[str, int]:
        """Set every counter, and what the last scan saw, to one value.

        Args:
            value: a ULONG.

        Returns:
            What was set, by name.
        """
        word = value.to_bytes(4, "little")
        self._kernel.write(self.list.address + _TOTAL_ALLOCATES, word * 4)
        self._kernel.write(self.list.address + _LAST_TOTAL_ALLOCATES, word * 2)
        return dict.fromkeys(SETTABLE_COUNTERS, value)

    def _allocate_or_refuse(
        self, pool_type: PoolType, size: int, tag: PoolTag, _lookaside: LookasideList
    ) -> int | None:
        if self.refuse_next:
            self.refuse_next -= 1
            return None
        return self._kernel.pool.allocate(pool_type, size, tag)

    def _set_allocate_routine(self, address: int) -> None:
        self._kernel.write(self.list.address + _ALLOCATE_EX, address.to_bytes(8, "little"))

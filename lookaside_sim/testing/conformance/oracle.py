"""The simulator's side of a comparison: one real `LookasideList`, driven call by call."""

from __future__ import annotations

from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.tuning import SCAN_PERIOD
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.testing.conformance.contract import COUNTERS
from lookaside_sim.testing.counters import set_counters

__all__ = ["Oracle"]

_TAG: Final = PoolTag(b"tseT")


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
        return set_counters(self._kernel, self.list, value)

    def _allocate_or_refuse(
        self, pool_type: PoolType, size: int, tag: PoolTag, _lookaside: LookasideList
    ) -> int | None:
        if self.refuse_next:
            self.refuse_next -= 1
            return None
        return self._kernel.pool.allocate(pool_type, size, tag)

    def _set_allocate_routine(self, address: int) -> None:
        arch = self._kernel.arch
        field = self.list.address + arch.lookaside_offsets["AllocateEx"]
        self._kernel.write(field, address.to_bytes(arch.pointer_size, "little"))

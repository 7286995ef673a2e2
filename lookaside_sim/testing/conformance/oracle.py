"""The simulator's side of a comparison: one real `LookasideList`, driven call by call."""

from __future__ import annotations

from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.tuning import SCAN_PERIOD
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.testing.conformance.refusals import Refusals
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
        self._refusals = Refusals()
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
        self._refusals.clear()
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

    def refuse(self, count: int, after: int, bursts: int) -> None:
        """Refuse some of the next requests for memory, as `Refusals.plan` takes it."""
        self._refusals.plan(count, after, bursts)
        self._set_allocate_routine(self._routine)
        self._refusing = True

    def refuse_no_more(self) -> None:
        """Once no refusal is left: let misses go straight to the pool again, which is faster."""
        if self._refusing and not self._refusals:
            self._set_allocate_routine(self._kernel.routines.default_allocate)
            self._refusing = False

    # --- calls -----------------------------------------------------------------------------

    def allocate(self) -> int | None:
        """Take an entry."""
        return self.list.allocate()

    def free(self, entry: int) -> bool:
        """Free an entry; returns whether it is kept."""
        kept = self.list.current_depth < self.list.depth
        self.list.free(entry)
        return kept

    def flush(self) -> None:
        """Flush the list."""
        self.list.flush()

    def delete(self) -> None:
        """Delete the list."""
        self.list.delete()

    def tick(self, seconds: int) -> None:
        """Let time pass."""
        self._kernel.tick(seconds)

    # --- what can be seen ------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many free entries the list keeps."""
        return self.list.depth

    def entries(self) -> list[int]:
        """The free entries, newest first."""
        return list(self.list.entries())

    @property
    def outstanding(self) -> int:
        """Blocks that the list took from its pool in this program and did not give back."""
        return self._outstanding() - self._outstanding_before

    def _outstanding(self) -> int:
        usage = self._kernel.pool.usage(_TAG)
        return usage.nonpaged_allocs - usage.nonpaged_frees

    def counter(self, name: str) -> int:
        """A counter, by the name that an allocator under test reports it by."""
        value: int = getattr(self.list, name)
        return value

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
        if self._refusals.next():
            return None
        return self._kernel.pool.allocate(pool_type, size, tag)

    def _set_allocate_routine(self, address: int) -> None:
        arch = self._kernel.arch
        field = self.list.address + arch.lookaside_offsets["AllocateEx"]
        self._kernel.write(field, address.to_bytes(arch.pointer_size, "little"))

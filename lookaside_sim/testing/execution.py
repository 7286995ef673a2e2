"""Run a program of steps on the simulator itself, over one or several lists."""

from __future__ import annotations

from typing import Final

from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.types import Irql, NtStatus, PoolTag
from lookaside_sim.testing.counters import set_counters
from lookaside_sim.testing.faults import FaultInjector
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Create,
    Delete,
    Fail,
    Flush,
    Free,
    FreeAt,
    FreeForeign,
    FreeTwice,
    FreeWrongList,
    Program,
    SetCounters,
    SetIrql,
    Step,
    Tick,
    WriteAfterFree,
)

__all__ = ["Execution", "run_operations"]

_FOREIGN_TAG: Final = PoolTag(b"ngrF")


class Execution:
    """A program being run.

    A step without anything to work on does nothing: no list yet, no live entry, a deleted
    list, or a paged list at an IRQL at which it may not be used. So any part of a valid
    program is a valid program.

    Args:
        kernel: the machine; None makes one.

    Attributes:
        kernel: the machine.
        lists: the lists created, deleted ones included, in order; None for a refused one.
        live: the live entries of each list, in order of allocation.
        refused: initializations and allocations that were refused.
    """

    def __init__(self, kernel: Kernel | None = None) -> None:
        self.kernel = Kernel() if kernel is None else kernel
        self.lists: list[LookasideList | None] = []
        self.live: list[list[int]] = []
        self.refused = 0
        self._faults: FaultInjector | None = None

    def run(self, step: Step) -> None:
        """Run one step.

        Args:
            step: the step.

        Raises:
            BugCheck: a step of misuse stopped the machine.
        """
        match step:
            case Create():
                self._create(step)
                return
            case Tick(seconds=seconds):
                self.kernel.tick(seconds)
                return
            case Fail():
                self._fail(step)
                return
            case SetIrql(level=level):
                self._set_irql(level)
                return
        number: int = step.on  # type: ignore[attr-defined]
        lookaside = self.lists[number] if number < len(self.lists) else None
        if lookaside is None or not lookaside.is_active:
            return
        if lookaside.type.is_paged and self.kernel.irql > Irql.APC_LEVEL:
            return
        with self.kernel.system_thread():
            self._run_on(lookaside, self.live[number], step)

    def finish(self) -> None:
        """Clean up: free what is live and delete the lists."""
        self._set_irql(Irql.PASSIVE_LEVEL)
        for lookaside, live in zip(self.lists, self.live, strict=True):
            if lookaside is None:
                continue
            while live:
                # To a deleted list nothing may be freed any more: the entry is a pool block.
                if lookaside.is_active:
                    lookaside.free(live.pop())
                else:
                    self.kernel.pool.free(live.pop())
            if lookaside.is_active:
                lookaside.delete()

    @property
    def faults(self) -> FaultInjector:
        """Refuses requests to the pool."""
        if self._faults is None:
            self._faults = FaultInjector(self.kernel)
        return self._faults

    def _fail(self, step: Fail) -> None:
        self.faults.clear()
        if not step.after and step.bursts == 1:
            self.faults.fail_next(step.count)
            return
        place = 0
        for _ in range(step.bursts):
            place += step.after
            for _ in range(step.count):
                place += 1
                self.faults.fail(place)

    def _create(self, step: Create) -> None:
        made = LookasideList(self.kernel)
        status = made.initialize(
            pool_type=step.pool_type,
            size=step.size,
            tag=step.tag,
            flags=step.flags,
            depth=step.depth,
        )
        self.lists.append(made if status.is_success else None)
        self.live.append([])
        self.refused += not status.is_success

    def _set_irql(self, level: int) -> None:
        if level > self.kernel.irql:
            self.kernel.raise_irql(level)
        else:
            self.kernel.lower_irql(level)

    def _run_on(self, lookaside: LookasideList, live: list[int], step: Step) -> None:
        """Run a step that names a list which may be used."""
        match step:
            case Allocate(count=count):
                self._allocate(lookaside, live, count)
            case Free(count=count, oldest=True):
                for entry in live[:count]:
                    lookaside.free(entry)
                del live[:count]
            case Free(count=count):
                for _ in range(min(count, len(live))):
                    lookaside.free(live.pop())
            case FreeAt(index=index):
                if live:
                    lookaside.free(live.pop(index % len(live)))
            case AllocateFree(count=count, entries=entries):
                for _ in range(count):
                    self._round(lookaside, live, entries)
            case AllocateEachSecond(count=count, seconds=seconds):
                for _ in range(seconds):
                    self._allocate(lookaside, live, count)
                    self.kernel.tick()
            case Flush():
                lookaside.flush()
            case Delete():
                lookaside.delete()
            case SetCounters(value=value):
                set_counters(self.kernel, lookaside, value)
            case _:
                self._misuse(lookaside, live, step)

    def _round(self, lookaside: LookasideList, live: list[int], entries: int) -> None:
        """Allocate entries and free them, oldest first."""
        before = len(live)
        self._allocate(lookaside, live, entries)
        for entry in live[before:]:
            lookaside.free(entry)
        del live[before:]

    def _allocate(self, lookaside: LookasideList, live: list[int], count: int) -> None:
        for _ in range(count):
            try:
                entry = lookaside.allocate()
            except NtStatusError as error:
                if error.status is NtStatus.STATUS_ACCESS_VIOLATION:
                    raise
                entry = None
            if entry is None:
                self.refused += 1
            else:
                live.append(entry)

    def _misuse(self, lookaside: LookasideList, live: list[int], step: Step) -> None:
        """Run a step that breaks the contract, whatever happens."""
        if isinstance(step, FreeForeign):
            foreign = self.kernel.pool.allocate(lookaside.type & 1, 64, _FOREIGN_TAG)
            if foreign is not None:
                lookaside.free(foreign)
            return
        if not live:
            return
        entry = live.pop()
        match step:
            case FreeTwice():
                lookaside.free(entry)
                lookaside.free(entry)
            case FreeWrongList(to=to):
                other = self.lists[to] if to < len(self.lists) else None
                (lookaside if other is None or not other.is_active else other).free(entry)
            case WriteAfterFree(value=value):
                lookaside.free(entry)
                size = self.kernel.arch.pointer_size
                mask = (1 << 8 * size) - 1
                self.kernel.write(entry, (value & mask).to_bytes(size, "little"))
            case _:
                raise ValueError(f"{step!r} is no step for the simulator")


def run_operations(program: Program, kernel: Kernel | None = None) -> Execution:
    """Run a program on the simulator.

    Args:
        program: its steps, as `operations()` draws them.
        kernel: the machine; None makes one.

    Returns:
        The machine, the lists and the live entries as the program left them; its
        `Execution.finish` cleans up.

    Raises:
        BugCheck: a step of misuse stopped the machine.
    """
    execution = Execution(kernel)
    for step in program:
        execution.run(step)
    return execution

"""Drive somebody's allocator through a program, side by side with what it should be."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Final

from lookaside_sim.testing.conformance.allocator import Factory
from lookaside_sim.testing.conformance.contract import Contract
from lookaside_sim.testing.conformance.differences import AllocatorDifference, Broken, Setting
from lookaside_sim.testing.conformance.misuse import misuse
from lookaside_sim.testing.conformance.model import Model
from lookaside_sim.testing.conformance.sides import Sides, model_of
from lookaside_sim.testing.conformance.subject import Subject
from lookaside_sim.testing.conformance.together import run_together
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
    FreeInside,
    FreeTwice,
    Program,
    Reallocate,
    SetCounters,
    Step,
    Tick,
    Together,
)

__all__ = ["Comparison", "reported_program"]

_LONG: Final = 8
"""Steps of a program to which its end is not added any more."""


def reported_program(
    size: int,
    refused: Fail | None,
    steps: Program,
    end: Program = (),  # type: ignore[assignment]
) -> Program:
    """A program as it is shown, with its creation and, unless it gets long, its end."""
    before: Program = [] if refused is None else [refused]
    return [*before, Create(size), *steps, *(end if len(steps) < _LONG else [])]


class Comparison:
    """One program on one allocator.

    Args:
        factory: makes the allocator.
        size: bytes of an entry.
        contract: what it promises.
        model: what it is compared with; None makes one, if the contract says enough.
        reuse: whether the backend hands out addresses again at once.
        refused: which requests are refused while the allocator is made.
        progress: gets how many steps were begun, and whether a step may end the process.
        patience: seconds in which all threads sleep, after which they wait for each other.
    """

    def __init__(
        self,
        factory: Factory,
        size: int,
        contract: Contract,
        *,
        model: Model | None = None,
        reuse: bool = False,
        refused: Fail | None = None,
        progress: MutableSequence[int] | None = None,
        patience: float = 1.0,
    ) -> None:
        self._setting = Setting(factory, contract, reuse)
        self._subject = Subject(factory, size, contract, reuse=reuse)
        self._size = size
        self._contract = contract
        self._refused = refused
        self._model = model or model_of(contract)
        self._sides = Sides(self._subject, contract, self._model)
        self._progress = [0, 0] if progress is None else progress
        self._patience = patience
        self._deleted = False

    @property
    def calls(self) -> int:
        """How many calls of the allocator were begun."""
        return self._subject.calls

    # --- the whole program -----------------------------------------------------------------

    def execute(self, program: Program) -> None:
        """Create the allocator, run a program, free what is held and delete it.

        Args:
            program: its steps.

        Raises:
            AllocatorDifference: at the first broken promise; its program ends there.
            TypeError: the allocator lacks a method of the contract.
            ValueError: a step that no single allocator can run.
        """
        done = 0
        end: Program = []
        progress = self._progress
        progress[0] = progress[1] = 0
        try:
            if not self.start():
                return
            for step in program:
                done += 1
                progress[0] = done
                self.run_step(step)
            self._end(end)
        except Broken as broken:
            raise self._difference(broken, program[:done], end) from broken.__cause__
        finally:
            self.finish()

    def start(self) -> bool:
        """Create the allocator.

        Returns:
            Whether it could be made.

        Raises:
            Broken: that broke its contract.
        """
        if self._model is not None:
            self._model.start(self._size)
        if not self._subject.create(self._refused):
            return False
        self._sides.compare_counters("being created")
        return True

    def finish(self) -> None:
        """Give everything of the model's side back."""
        if self._model is not None:
            self._model.finish([held.model for held in self._sides.live])

    def difference(self, broken: Broken, steps: Program) -> AllocatorDifference:
        """What to report.

        Args:
            broken: what is wrong.
            steps: those that ran.
        """
        return self._difference(broken, steps, [])

    def _difference(self, broken: Broken, steps: Program, end: Program) -> AllocatorDifference:
        return AllocatorDifference(
            broken.what,
            # The end happens anyway; spelled out it is clearer, unless it gets long.
            reported_program(self._size, self._refused, steps, end),
            broken.expected,
            broken.actual,
            setting=self._setting,
            steps=steps,
        )

    def end(self) -> None:
        """Free what is live, delete, and look for what stayed behind.

        Raises:
            Broken: that broke its contract.
        """
        self._end([])

    def _end(self, steps: Program) -> None:
        """Free what is live, oldest first, delete, and look for what stayed behind.

        Args:
            steps: gets what is done, as the steps that do the same.
        """
        live = self._sides.live
        done = self._progress[0]
        if not self._deleted:
            if live:
                self._progress[0] = done + 1
                steps.append(Free(len(live), oldest=True))
                self.run_step(steps[-1])
            self._progress[0] = done + 2
            steps.append(Delete())
            self.run_step(steps[-1])
        if self._progress[1] or not self._contract.gives_back:
            return  # it stopped, as it promised: nothing more can be asked of it
        leaked = len(self._subject.backend.blocks)
        # What callers still hold after a deletion is theirs, not the allocator's.
        leaked -= len({id(held.block) for held in live if held.block.size < 1 << 63})
        if leaked:
            raise Broken(
                f"{leaked} of the backend's blocks are still allocated after delete()",
                {"blocks after delete": 0},
                {"blocks after delete": leaked},
            )

    # --- steps -----------------------------------------------------------------------------

    def run_step(self, step: Step) -> None:
        """Run one step and compare what can be seen afterwards.

        Args:
            step: the step.

        Raises:
            Broken: the two sides differ.
            ValueError: a step that no single allocator can run.
        """
        if self._deleted:
            return
        self._do(step)
        if self._progress[1]:
            self._deleted = True
            return
        if not self._deleted:
            self._sides.compare_counters(step)
        if self._model is not None:
            self._sides.compare_backend(deleted=self._deleted)
            self._model.refuse_no_more()

    def _do(self, step: Step) -> None:
        sides = self._sides
        live = sides.live
        match step:
            case Allocate(count=count, size=size, alignment=alignment):
                if not self._contract.sized:
                    size = alignment = None
                elif not self._contract.aligned:
                    alignment = None
                for _ in range(count):
                    sides.allocate(size, alignment)
                if self._contract.layouts:
                    self._subject.check_refusals(live[-1].entry if live else None)
            case Free(count=count, oldest=oldest):
                self._free_many(count, oldest=oldest)
            case FreeAt(index=index):
                if live:
                    sides.free(live.pop(index % len(live)))
            case AllocateFree(count=count, entries=entries):
                self._rounds(count, entries)
            case AllocateEachSecond(count=count, seconds=seconds):
                for _ in range(seconds):
                    for _ in range(count):
                        sides.allocate()
                    sides.tick(1)
            case Reallocate(index=index, size=size):
                if live and self._contract.realloc:
                    sides.reallocate(index % len(live), size)
            case Flush():
                sides.flush()
            case Tick(seconds=seconds):
                sides.tick(seconds)
            case Fail(count=count, after=after, bursts=bursts):
                self._subject.backend.refuse.plan(count, after, bursts)
                if self._model is not None:
                    self._model.refuse(count, after, bursts)
            case SetCounters(value=value):
                sides.set_counters(value)
            case FreeTwice() | FreeForeign() | FreeInside():
                misuse(sides, step, self._progress)
            case Together():
                run_together(sides, step, self._patience)
            case Delete():
                self._delete()
            case _:
                raise ValueError(f"{step!r} is no step for a single allocator")

    def _rounds(self, count: int, entries: int) -> None:
        """Allocate some entries and free them, oldest first, again and again."""
        sides, live = self._sides, self._sides.live
        for _ in range(count):
            if entries == 1:
                if sides.allocate():
                    sides.free(live.pop())
                continue
            served = sum([sides.allocate() for _ in range(entries)])
            for _ in range(served):
                sides.free(live.pop(-served))
                served -= 1

    def _free_many(self, count: int, *, oldest: bool) -> None:
        live = self._sides.live
        count = min(count, len(live))
        if oldest:
            chosen = live[:count]
            chosen.reverse()
            del live[:count]
        else:
            chosen = live[len(live) - count :]
            del live[len(live) - count :]
        try:
            while chosen:
                self._sides.free(chosen.pop())
        finally:
            live.extend(reversed(chosen))

    def _delete(self) -> None:
        if self._model is None:
            # Only lookaside lists promise anything about entries held over a delete.
            self._free_many(len(self._sides.live), oldest=False)
        self._deleted = True
        self._sides.delete()

"""Several threads on one allocator: their steps in turns, their results against the contract."""

from __future__ import annotations

from collections.abc import Callable

from lookaside_sim.testing.conformance.blocks import Block
from lookaside_sim.testing.conformance.differences import Broken
from lookaside_sim.testing.conformance.linearize import Call, find_order
from lookaside_sim.testing.conformance.overtime import Overtime
from lookaside_sim.testing.conformance.scheduler import Deadlock, run_in_turns
from lookaside_sim.testing.conformance.sides import Held, Sides
from lookaside_sim.testing.programs.steps import (
    Allocate,
    AllocateFree,
    Free,
    FreeAt,
    Step,
    Together,
)

__all__ = ["run_together"]


class _Threads:
    """What the threads of one step share."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self.calls: list[Call] = []
        self.blocks: dict[int, Block] = {}
        self.broken: Broken | None = None
        self.switch: Callable[[], None] | None = None
        self._clock = 0

    def install(self, switch: Callable[[], None] | None) -> None:
        self.switch = switch

    def now(self) -> int:
        self._clock += 1
        return self._clock

    def body(self, steps: tuple[Step, ...]) -> Callable[[], None]:
        own: list[Held] = []

        def run() -> None:
            try:
                for step in steps:
                    self._run_step(step, own)
            except Broken as broken:
                self.broken = self.broken or broken
            except Overtime as error:
                self.broken = self.broken or _endless(error)
            except Exception as error:  # a mistake of the program, told by the main thread
                self.broken = self.broken or Broken(f"{error}", {}, {})

        return run

    def _run_step(self, step: Step, own: list[Held]) -> None:
        match step:
            case Allocate(count=count):
                for _ in range(count):
                    self._allocate(own)
            case Free(count=count, oldest=oldest):
                for _ in range(count):
                    self._free(own, 0 if oldest else -1)
            case FreeAt(index=index):
                self._free(own, index % max(len(own), 1))
            case AllocateFree(count=count):
                for _ in range(count):
                    if self._allocate(own):
                        self._free(own, -1)
            case _:
                raise ValueError(f"{step!r} is no step for one of several threads")

    def _allocate(self, own: list[Held]) -> bool:
        backend, subject = self.sides.backend, self.sides.subject
        call = Call(None, False, False, self.now(), 0)
        refusals = backend.refusals
        self._enter()
        try:
            call.entry = subject.allocate()
        finally:
            self._leave(call)
        call.refused = backend.refusals > refusals
        if call.entry is None:
            if not call.refused and not backend.refusals:
                raise Broken(
                    "allocate() returned None although no memory was ever refused",
                    {"allocate()": "an entry"},
                    {"allocate()": None},
                )
            return False
        block = subject.hand_out(call.entry)
        self.blocks[call.entry] = block
        held = Held(call.entry, block, 0, subject.size)
        own.append(held)
        self.sides.live.append(held)
        return True

    def _free(self, own: list[Held], place: int) -> None:
        live = self.sides.live
        if not own and not live:
            return
        held = own.pop(place) if own else live[0]
        if held not in live:
            return  # another thread took it
        live.remove(held)
        call = Call(held.entry, True, False, self.now(), 0)
        self._enter()
        try:
            self.sides.subject.free(held.entry, held.block, held.size)
        finally:
            self._leave(call)

    def _enter(self) -> None:
        self.sides.backend.on_switch = self.switch
        self.sides.backend.switch()

    def _leave(self, call: Call) -> None:
        call.over = self.now()
        self.calls.append(call)


def _endless(error: Overtime) -> Broken:
    broken = Broken("a thread does not end", {"threads": "end"}, {"threads": "do not end"})
    broken.__cause__ = error
    return broken


def run_together(sides: Sides, step: Together, patience: float = 1.0) -> None:
    """Run the threads of a step.

    Args:
        sides: the allocator and its model.
        step: threads and schedule.
        patience: seconds in which all threads sleep, after which they wait for each other.

    Raises:
        Broken: memory was not safe, or the results fit no order of the calls.
    """
    if not step.threads:
        return
    threads = _Threads(sides)
    before = list(sides.live)
    free = sides.free_entries()
    try:
        run_in_turns(
            [threads.body(each) for each in step.threads],
            step.schedule,
            threads.install,
            patience,
        )
    except Deadlock as error:
        threads.broken = Broken(
            "the threads wait for each other, or for a lock that nobody gives back",
            {"threads": "end"},
            {"threads": "wait"},
        )
        threads.broken.__cause__ = error
    except Overtime as error:
        threads.broken = threads.broken or _endless(error)
    finally:
        sides.backend.on_switch = None
    if threads.broken is not None:
        sides.live[:] = [each for each in sides.live if each.model or sides.model is None]
        raise threads.broken
    if sides.model is None:
        sides.forget_order()
        return
    calls = find_order(threads.calls, free, sides.model.depth, sides.contract.order)
    sides.catch_up(before, calls or threads.calls, threads.blocks)
    if calls is None:
        results = [
            ("free of " if call.is_free else "allocate() -> ")
            + ("None" if call.entry is None else f"{call.entry:#x}")
            for call in threads.calls
        ]
        raise Broken(
            "the results of the threads fit no order of their calls",
            {"calls": "as if made one after the other"},
            {"calls": "; ".join(results)},
        )

"""What waits to run: work items, DPCs and system threads.

Nothing runs behind the program's back: what is queued runs when `Queues.run` is called, or while
somebody waits. A work item and a thread run at PASSIVE_LEVEL in a thread of their own, a DPC at
DISPATCH_LEVEL; DPCs come first.

Source:
    [doc] IoQueueWorkItem, KeInsertQueueDpc, PsCreateSystemThread; bug check 0xE1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql
from lookaside_sim.system.calls import RunQueued
from lookaside_sim.system.threads import Threads


@attrs.frozen
class Queued:
    """One that waits to run.

    Attributes:
        kind: ``"work item"``, ``"DPC"`` or ``"thread"``.
        address: of the IO_WORKITEM, KDPC or thread.
        code: what runs.
        arguments: what it is called with.
        where: the line of the program that queued it.
        owner: base of the image whose code it is, 0 for none.
        over: called once it has run.
    """

    kind: str
    address: int
    code: Callable[..., Any]
    arguments: tuple[Any, ...]
    where: str
    owner: int
    over: Callable[[], None] | None = None

    def __str__(self) -> str:
        return f"the {self.kind} at {self.address:#x}, queued at {self.where}"


class ThreadEnded(BaseException):
    """PsTerminateSystemThread: unwinds the routine of a thread."""


class Queues:
    """What waits to run on one machine.

    Args:
        machine: the machine.
        threads: its threads.
    """

    __slots__ = ("_machine", "_threads", "_waiting")

    def __init__(self, machine: Machine, threads: Threads) -> None:
        self._machine = machine
        self._threads = threads
        self._waiting: deque[Queued] = deque()

    def add(
        self,
        kind: str,
        address: int,
        code: Callable[..., Any],
        arguments: tuple[Any, ...],
        over: Callable[[], None] | None = None,
    ) -> None:
        """Queue something behind what waits already; a DPC behind the other DPCs."""
        program = self._machine.program
        owner = program.current
        base = 0 if owner is None else owner.image_base
        made = Queued(kind, address, code, arguments, str(program.calling_site()), base, over)
        if kind == "DPC":
            self._waiting.insert(sum(each.kind == "DPC" for each in self._waiting), made)
        else:
            self._waiting.append(made)

    def remove(self, address: int) -> bool:
        """Take what was queued under an address off; returns whether it was there."""
        for each in self._waiting:
            if each.address == address:
                self._waiting.remove(each)
                return True
        return False

    def holds(self, address: int) -> bool:
        """Whether something is queued under an address."""
        return any(each.address == address for each in self._waiting)

    @property
    def waiting(self) -> tuple[Queued, ...]:
        """What waits to run, next first."""
        return tuple(self._waiting)

    # --- running ---------------------------------------------------------------------------

    def run(self, most: int = 10_000) -> int:
        """Run what waits, and what that queues, until nothing is left.

        Args:
            most: how many run at most.

        Returns:
            How many have run.

        Raises:
            LookasideSimError: there is no end to it; or work items wait, and the IRQL is too high
                for anything but DPCs.
        """
        return self._machine.hooks.run(RunQueued(most), self.run_inside, most)

    def run_inside(self, most: int = 10_000) -> int:
        """Do what `run` does, as a part of a call that is told."""
        count = 0
        while self._waiting:
            if count == most:
                raise LookasideSimError(
                    f"{most} have run and more are queued; next is {self._waiting[0]}"
                )
            self.run_next()
            count += 1
        return count

    def run_next(self) -> None:
        """Run the one that is next; there has to be one.

        Raises:
            BugCheck: WORKER_THREAD_RETURNED_AT_BAD_IRQL; SYSTEM_THREAD_EXCEPTION_NOT_HANDLED and
                KMODE_EXCEPTION_NOT_HANDLED for a status that nobody catches.
            LookasideSimError: a work item, and code at DISPATCH_LEVEL or above runs.
        """
        machine = self._machine
        machine.check_running()
        is_dpc = self._waiting[0].kind == "DPC"
        if not is_dpc and machine.processors.irql >= Irql.DISPATCH_LEVEL:
            raise LookasideSimError(
                f"at IRQL {int(machine.processors.irql)} no other thread runs: lower the IRQL"
                f" below DISPATCH_LEVEL before {self._waiting[0]} can run"
            )
        each = self._waiting.popleft()
        if is_dpc:
            with machine.dpc():
                self._call(each)
            return
        thread = each.address if each.kind == "thread" else self._threads.make()
        with self._threads.run(thread), machine.system_thread():
            self._call(each)
            irql = int(machine.processors.irql)
            if irql:
                machine.stop(
                    BugCheckCode.WORKER_THREAD_RETURNED_AT_BAD_IRQL,
                    (each.address, irql, each.address, 0),
                    f"{each} returned at IRQL {irql}",
                )
        if each.over is not None:
            each.over()

    def _call(self, each: Queued) -> None:
        image = self._machine.program.owner_of(each.owner) if each.owner else None
        try:
            if image is None:
                each.code(*each.arguments)
            else:
                with image:
                    each.code(*each.arguments)
        except ThreadEnded:
            if each.kind != "thread":
                raise LookasideSimError(
                    f"PsTerminateSystemThread was called by {each}: only a thread that"
                    " PsCreateSystemThread made ends itself"
                ) from None

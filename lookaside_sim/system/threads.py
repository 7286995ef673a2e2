"""Which thread runs, what it holds, and whether it may be interrupted by APCs.

One thread of control runs the whole machine. Each processor has a thread that its code runs in;
a work item runs in a thread of its own while that one waits. What is held and by whom is kept
here, so that a wait that nobody can end, and a lock that is never let go, can be told with
names and places.

Source:
    [doc] KeGetCurrentThread, KeEnterCriticalRegion, Disabling APCs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from lookaside_sim.machine.machine import Machine

_THREADS_OFFSET: Final = 0x80_0000
"""How far behind the first EPROCESS the first thread lies. Choice."""
_SPACING: Final = 0x800


@attrs.define
class Held:
    """Something that a thread has taken and not let go.

    Attributes:
        kind: what it is, in words, such as ``"fast mutex"``.
        address: where it lies.
        thread: who has it.
        count: how often.
        where: the line of the program that took it first.
        exclusive: whether nobody else can have it at the same time.
    """

    kind: str
    address: int
    thread: int
    count: int
    where: str
    exclusive: bool

    def __str__(self) -> str:
        how = "" if self.exclusive else ", shared"
        return f"the {self.kind} at {self.address:#x}{how}, taken at {self.where}"


class Threads:
    """The threads of one machine.

    Args:
        machine: the machine.
    """

    __slots__ = ("_disabled", "_held", "_machine", "_made", "_workers")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._made = machine.processors.count
        self._workers: list[int] = []
        self._held: list[Held] = []
        self._disabled: dict[int, int] = {}

    # --- which one runs --------------------------------------------------------------------

    @property
    def current(self) -> int:
        """Address that stands for the thread that runs; nothing is mapped there."""
        if self._workers:
            return self._workers[-1]
        return self._address(self._machine.processors.current)

    def _address(self, number: int) -> int:
        return self._machine.arch.process_start + _THREADS_OFFSET + number * _SPACING

    def make(self) -> int:
        """Make a thread; returns its address."""
        made = self._address(self._made)
        self._made += 1
        return made

    @contextmanager
    def run(self, thread: int) -> Iterator[None]:
        """Have a thread run inside, at PASSIVE_LEVEL, while the one before waits."""
        processors = self._machine.processors
        irql = int(processors.irql)
        self._workers.append(thread)
        processors.change_irql(0)
        try:
            yield
        finally:
            self._workers.remove(thread)
            if self._machine.bugcheck is None:
                processors.change_irql(irql)

    # --- what is held ----------------------------------------------------------------------

    def take(self, kind: str, address: int, *, exclusive: bool = True) -> None:
        """Note that the current thread has taken something, once more or for the first time."""
        held = self.holding(address, self.current)
        if held is not None:
            held.count += 1
            return
        where = str(self._machine.program.calling_site())
        self._held.append(Held(kind, address, self.current, 1, where, exclusive))

    def let_go(self, address: int, thread: int) -> None:
        """Note that a thread has let something go, once."""
        held = self.holding(address, thread)
        if held is not None:
            held.count -= 1
            if not held.count:
                self._held.remove(held)

    def forget(self, address: int) -> None:
        """Note that nobody has a thing any more: it is made anew, or deleted."""
        self._held = [each for each in self._held if each.address != address]

    def holding(self, address: int, thread: int) -> Held | None:
        """What a thread has at an address."""
        for each in self._held:
            if each.address == address and each.thread == thread:
                return each
        return None

    def holders(self, address: int) -> list[Held]:
        """Who has what lies at an address."""
        return [each for each in self._held if each.address == address]

    def held(self) -> list[Held]:
        """All that was taken and not let go, oldest first."""
        return list(self._held)

    # --- APCs ------------------------------------------------------------------------------

    def disable_apcs(self, change: int) -> None:
        """Enter (1) or leave (-1) a critical region."""
        self._disabled[self.current] = self.apcs_disabled + change

    @property
    def apcs_disabled(self) -> int:
        """How many critical regions the current thread is in; below 0 if it left too many."""
        return self._disabled.get(self.current, 0)

    def regions(self) -> dict[int, int]:
        """The threads that have not left, or left too often, each with its count."""
        return {thread: count for thread, count in self._disabled.items() if count}

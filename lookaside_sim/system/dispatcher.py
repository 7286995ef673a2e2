"""Dispatcher objects and waits: events, semaphores, mutexes, timers, threads.

Their state lies in memory, in a DISPATCHER_HEADER. A wait for what is not signaled runs what is
queued, and lets time pass where it has a timeout; when nothing is left that could end it, it
is an error that says who would have to.

Source:
    [doc] KeWaitForSingleObject, KeWaitForMultipleObjects, KeSetEvent, KeReleaseMutex,
    KeReleaseSemaphore; bug check 0xB8. [header] wdm.h, ntdef.h for the header's layout and
    object types. Choice: a timeout passes in whole seconds; less than one passes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lookaside_sim.errors import LookasideSimError, NtStatusError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, NtStatus
from lookaside_sim.system.objects import KernelObjects
from lookaside_sim.system.queues import Queues
from lookaside_sim.system.threads import Threads

NOTIFICATION_EVENT: Final = 0
SYNCHRONIZATION_EVENT: Final = 1
_MUTANT: Final = 2
_SEMAPHORE: Final = 5
THREAD: Final = 6
_NOTIFICATION_TIMER: Final = 8
_SYNCHRONIZATION_TIMER: Final = 9
_NAMES: Final = {
    NOTIFICATION_EVENT: ("notification event", "KeSetEvent"),
    SYNCHRONIZATION_EVENT: ("synchronization event", "KeSetEvent"),
    _MUTANT: ("mutex", "KeReleaseMutex"),
    _SEMAPHORE: ("semaphore", "KeReleaseSemaphore"),
    THREAD: ("thread", "the end of its routine"),
    _NOTIFICATION_TIMER: ("timer", "KeSetTimer and the time until it is due"),
    _SYNCHRONIZATION_TIMER: (
        "synchronization timer",
        "KeSetTimer and the time until it is due",
    ),
}
_STATE: Final = 4
_LINKS: Final = 8
UNITS_PER_SECOND: Final = 10_000_000
"""Units of a timeout or due time, 100 ns each, in a second."""
_FOREVER: Final = 1 << 62


class Dispatcher:
    """The dispatcher objects of one machine.

    Args:
        machine: the machine.
        threads: its threads.
        queues: what waits to run.
        objects: its timers, which may end a wait.
        tick: lets seconds pass.
    """

    __slots__ = ("_machine", "_objects", "_queues", "_set_at", "_threads", "_tick")

    def __init__(
        self,
        machine: Machine,
        threads: Threads,
        queues: Queues,
        objects: KernelObjects,
        tick: Callable[[int], None],
    ) -> None:
        self._objects = objects
        self._machine = machine
        self._threads = threads
        self._queues = queues
        self._tick = tick
        self._set_at: dict[int, str] = {}

    # --- objects ---------------------------------------------------------------------------

    def initialize(self, address: int, kind: int, size: int, state: int) -> None:
        """Write the header of an object.

        Args:
            address: of the object.
            kind: its type.
            size: bytes of the object; those behind the header become zero.
            state: what it is signaled with.
        """
        pointer = self._machine.arch.pointer_size
        links = (address + _LINKS).to_bytes(pointer, "little") * 2
        head = bytes((kind, 0, size // 4, 0)) + state.to_bytes(4, "little", signed=True)
        self._machine.memory.write(address, (head + links).ljust(size, b"\0"))
        self._note(address, "initialized")

    def state(self, address: int) -> int:
        """SignalState, a LONG."""
        raw = self._machine.memory.read(address + _STATE, 4)
        return int.from_bytes(raw, "little", signed=True)

    def set_state(self, address: int, state: int, verb: str) -> int:
        """Set SignalState; returns what it was.

        Args:
            address: of the object.
            state: what it becomes.
            verb: what was done to it, for messages.
        """
        before = self.state(address)
        self._machine.memory.write(address + _STATE, state.to_bytes(4, "little", signed=True))
        self._note(address, verb)
        return before

    def release_semaphore(self, address: int, adjustment: int) -> int:
        """KeReleaseSemaphore; returns the count before.

        Raises:
            NtStatusError: STATUS_SEMAPHORE_LIMIT_EXCEEDED; the count stays.
        """
        limit_at = address + _LINKS + 2 * self._machine.arch.pointer_size
        raw = self._machine.memory.read(limit_at, 4)
        limit = int.from_bytes(raw, "little", signed=True)
        before = self.state(address)
        if adjustment < 0 or before + adjustment > limit:
            raise NtStatusError(
                NtStatus.STATUS_SEMAPHORE_LIMIT_EXCEEDED,
                f"the semaphore at {address:#x} has {before} of {limit}, and {adjustment} more"
                " were to be released",
            )
        return self.set_state(address, before + adjustment, "released")

    def release_mutex(self, address: int) -> int:
        """KeReleaseMutex; returns the state before, 0 where it is free now.

        Raises:
            NtStatusError: STATUS_MUTANT_NOT_OWNED.
        """
        thread = self._threads.current
        if self._owner(address) != thread:
            raise NtStatusError(
                NtStatus.STATUS_MUTANT_NOT_OWNED,
                f"the mutex at {address:#x} was released by a thread that does not own it",
            )
        before = self.set_state(address, self.state(address) + 1, "released")
        self._threads.let_go(address, thread)
        if before == 0:
            self._set_owner(address, 0)
            self._threads.disable_apcs(-1)
        return before

    def _owner_at(self, address: int) -> int:
        return address + _LINKS + 4 * self._machine.arch.pointer_size

    def _owner(self, address: int) -> int:
        return self._machine.memory.read_pointer(self._owner_at(address))

    def _set_owner(self, address: int, thread: int) -> None:
        self._machine.memory.write_pointer(self._owner_at(address), thread)

    # --- waits -----------------------------------------------------------------------------

    def wait(self, addresses: list[int], *, for_all: bool, timeout: int | None) -> int:
        """Wait until one object is signaled, or all of them are.

        Args:
            addresses: the objects.
            for_all: whether all have to be.
            timeout: in 100 ns: 0 for a look, below 0 from now on, above since the boot; None to
                wait for ever.

        Returns:
            The status: success, with the index of the object where one was enough, or
            STATUS_TIMEOUT.

        Raises:
            BugCheck: ATTEMPTED_SWITCH_FROM_DPC for a wait at DISPATCH_LEVEL or above.
            LookasideSimError: nobody can end the wait.
        """
        found = self._satisfied(addresses, for_all=for_all)
        if found is not None:
            return found
        if timeout == 0:
            return NtStatus.STATUS_TIMEOUT
        self._check_may_wait(addresses)
        seconds = self._seconds_of(timeout)
        while True:
            while self._queues.waiting:
                self._queues.run_next()
                found = self._satisfied(addresses, for_all=for_all)
                if found is not None:
                    return found
            if seconds <= 0:
                return NtStatus.STATUS_TIMEOUT
            if timeout is None and not self._objects.timers:
                self._nobody(addresses)  # no timer is due either, whose DPC might
            self._tick(1)
            seconds -= 1
            found = self._satisfied(addresses, for_all=for_all)
            if found is not None:
                return found

    def delay(self, interval: int) -> None:
        """KeDelayExecutionThread: let time pass; what is queued runs.

        Args:
            interval: in 100 ns, as a timeout.

        Raises:
            BugCheck: ATTEMPTED_SWITCH_FROM_DPC at DISPATCH_LEVEL or above.
        """
        self._check_may_wait([])
        seconds = self._seconds_of(interval)
        self._queues.run_inside()
        for _ in range(seconds):
            self._tick(1)
            self._queues.run_inside()

    def _seconds_of(self, timeout: int | None) -> int:
        if timeout is None:
            return _FOREVER
        if timeout < 0:
            return -timeout // UNITS_PER_SECOND
        return max(0, timeout // UNITS_PER_SECOND - self._machine.seconds)

    def _check_may_wait(self, addresses: list[int]) -> None:
        machine = self._machine
        irql = int(machine.processors.irql)
        if irql >= Irql.DISPATCH_LEVEL:
            what = " and ".join(map(self._describe, addresses)) or "time to pass"
            machine.stop(
                BugCheckCode.ATTEMPTED_SWITCH_FROM_DPC,
                (self._threads.current, 0, 0, 0),
                f"code at IRQL {irql} was to wait for {what}",
            )

    def _satisfied(self, addresses: list[int], *, for_all: bool) -> int | None:
        """Take what is signaled, where the wait is over."""
        signaled = [self._is_signaled(each) for each in addresses]
        if for_all:
            if not all(signaled):
                return None
            for each in addresses:
                self._take(each)
            return NtStatus.STATUS_SUCCESS
        if not any(signaled):
            return None
        index = signaled.index(True)
        self._take(addresses[index])
        return index if index else NtStatus.STATUS_SUCCESS

    def _kind(self, address: int) -> int:
        kind = self._machine.memory.read(address, 1)[0]
        if kind not in _NAMES:
            raise LookasideSimError(
                f"{address:#x} is waited for, and what lies there is no dispatcher object that"
                f" was initialized: its type is {kind}"
            )
        return kind

    def _is_signaled(self, address: int) -> bool:
        kind = self._kind(address)
        if self.state(address) > 0:
            return True
        return kind == _MUTANT and self._owner(address) == self._threads.current

    def _take(self, address: int) -> None:
        """What a satisfied wait does to an object."""
        kind = self._kind(address)
        if kind in (SYNCHRONIZATION_EVENT, _SYNCHRONIZATION_TIMER):
            self.set_state(address, 0, "reset by a wait")
        elif kind == _SEMAPHORE:
            self.set_state(address, self.state(address) - 1, "taken")
        elif kind == _MUTANT:
            before = self.set_state(address, self.state(address) - 1, "taken")
            self._threads.take("mutex", address)
            if before == 1:
                self._set_owner(address, self._threads.current)
                self._threads.disable_apcs(1)

    # --- messages --------------------------------------------------------------------------

    def _note(self, address: int, verb: str) -> None:
        self._set_at[address] = f"{verb} at {self._machine.program.calling_site()}"

    def _describe(self, address: int) -> str:
        kind = self._kind(address)
        name, _ = _NAMES[kind]
        last = self._set_at.get(address)
        text = f"the {name} at {address:#x}"
        return f"{text} (last {last})" if last else text

    def _nobody(self, addresses: list[int]) -> None:
        """Say who would have to end a wait that nobody can end."""
        parts = []
        for each in addresses:
            if self._is_signaled(each):
                continue
            holders = self._threads.holders(each)
            what = self._describe(each)
            if holders:
                what = (
                    f"the mutex at {each:#x}, held by another thread since {holders[0].where},"
                )
            parts.append(f"{what} would have to be ended by {_NAMES[self._kind(each)][1]}")
        raise LookasideSimError(
            f"a wait that nobody can end: {'; '.join(parts)}: before the wait, or in a work item,"
            " DPC or thread that is queued when it begins; none is left"
        )

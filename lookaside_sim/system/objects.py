"""Timers and resources: set, signaled, initialized; they must not lie in memory that is freed.

Source:
    [doc] KeInitializeTimer, KeSetTimer, ExInitializeResourceLite; [header] KTIMER; docs/sources.md, pool section 6
    (0xC4/0x15, 0x17, 0xD0 to 0xD2, 0xC7).
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.arguments import integer, shown, unsigned
from lookaside_sim.system.calls import (
    CancelTimer,
    DeleteResource,
    InitializeResource,
    InitializeTimer,
    SetTimer,
)
from lookaside_sim.system.dpcs import Dpcs
from lookaside_sim.system.threads import Threads

_TIMER_SIZE: Final = {8: 0x40, 4: 0x28}
_TIMER_TYPE: Final = 8  # Header.Type, of a notification timer
_STATE_OFFSET: Final = 4  # Header.SignalState
_DUE_TIME: Final = {8: 0x18, 4: 0x10}
_DPC: Final = {8: 0x30, 4: 0x20}
_UNITS_PER_SECOND: Final = 10_000_000
_WAIT_LIST_OFFSET: Final = 8  # Header.WaitListHead, an empty LIST_ENTRY while nobody waits
_RESOURCE_SIZE: Final = {8: 0x68, 4: 0x38}


class KernelObjects:
    """The active timers and initialized resources of one kernel, by address.

    Args:
        machine: the machine.
        threads: who holds the resources.
        dpcs: where the DPC of a timer goes that has expired.

    Attributes:
        timers: when each active timer expires, in seconds since boot.
        resources: the resources that are initialized and not deleted.
    """

    __slots__ = ("_dpcs", "_machine", "_threads", "resources", "timers")

    def __init__(self, machine: Machine, threads: Threads, dpcs: Dpcs) -> None:
        self._machine = machine
        self._threads = threads
        self._dpcs = dpcs
        self.timers: dict[int, int] = {}
        self.resources: dict[int, None] = {}
        machine.each_second.append(self._expire)

    def initialize_timer(self, timer: int) -> None:
        """KeInitializeTimer: write a KTIMER that is not active.

        Args:
            timer: its address.

        Raises:
            BugCheck: the memory cannot be touched.
        """
        timer = self._address("timer", timer)
        self._machine.hooks.run(InitializeTimer(timer), self._initialize_timer, timer)

    def _initialize_timer(self, timer: int) -> None:
        memory = self._machine.memory
        pointer_size = self._machine.arch.pointer_size
        size = _TIMER_SIZE[pointer_size]
        links = (timer + _WAIT_LIST_OFFSET).to_bytes(pointer_size, "little") * 2
        # Type, two flags, Size in ulongs; SignalState; the waiting threads; nothing is due.
        image = bytes((_TIMER_TYPE, 0, size // 4, 0)) + bytes(4) + links
        memory.write(timer, image.ljust(size, b"\0"))
        self.timers.pop(timer, None)

    def set_timer(self, timer: int, seconds: int, dpc: int = 0) -> bool:
        """KeSetTimer: start a timer, which is not signaled until it expires.

        Args:
            timer: address of the KTIMER.
            seconds: until it expires; 0 or less expires at once.
            dpc: address of the KDPC that is queued then, 0 for none.

        Returns:
            Whether it was active already.
        """
        timer, seconds = self._address("timer", timer), integer("seconds", seconds)
        if not -(1 << 63) <= seconds < 1 << 63:
            raise ValueError(f"seconds {shown(seconds)}: give a number of 64 bits with a sign")
        dpc = unsigned("dpc", dpc, self._machine.arch.address_bits)
        return self._machine.hooks.run(
            SetTimer(timer, seconds), self._set_timer, timer, seconds, dpc
        )

    def _set_timer(self, timer: int, seconds: int, dpc: int) -> bool:
        machine = self._machine
        machine.memory.read(timer, _TIMER_SIZE[machine.arch.pointer_size])
        due = machine.seconds + seconds
        self._write_timer(timer, state=0, due=due)
        machine.memory.write_pointer(timer + _DPC[machine.arch.pointer_size], dpc)
        was_active = self.timers.pop(timer, None) is not None
        if seconds > 0:
            self.timers[timer] = due
        else:
            self._expired(timer)
        return was_active

    def _write_timer(self, timer: int, *, state: int, due: int) -> None:
        """Write SignalState and DueTime, in 100 ns since the boot."""
        memory = self._machine.memory
        memory.write(timer + _STATE_OFFSET, state.to_bytes(4, "little"))
        units = max(0, due) * _UNITS_PER_SECOND & (1 << 64) - 1
        at = timer + _DUE_TIME[self._machine.arch.pointer_size]
        memory.write(at, units.to_bytes(8, "little"))

    def _expired(self, timer: int) -> None:
        """Signal a timer, and queue its DPC."""
        self._write_timer(timer, state=1, due=0)
        at = timer + _DPC[self._machine.arch.pointer_size]
        dpc = self._machine.memory.read_pointer(at)
        if dpc:
            self._dpcs.insert(dpc, 0, 0)

    def cancel_timer(self, timer: int) -> bool:
        """KeCancelTimer: stop a timer; returns whether it was active."""
        timer = self._address("timer", timer)
        return self._machine.hooks.run(CancelTimer(timer), self._cancel_timer, timer)

    def _cancel_timer(self, timer: int) -> bool:
        was_active = self.timers.pop(timer, None) is not None
        if was_active:
            self._write_timer(timer, state=0, due=0)
        return was_active

    def _address(self, name: str, address: int) -> int:
        """Take the address of an object, on a machine that runs."""
        self._machine.check_running()
        return unsigned(name, address, self._machine.arch.address_bits)

    def _expire(self) -> None:
        """Signal the timers whose time has come."""
        now = self._machine.seconds
        for timer in [each for each, due in self.timers.items() if due <= now]:
            del self.timers[timer]
            self._expired(timer)

    def initialize_resource(self, resource: int) -> None:
        """ExInitializeResourceLite."""
        resource = self._address("resource", resource)
        call = InitializeResource(resource)
        self._machine.hooks.run(call, self._initialize_resource, resource)

    def _initialize_resource(self, resource: int) -> None:
        machine = self._machine
        machine.memory.write(resource, bytes(_RESOURCE_SIZE[machine.arch.pointer_size]))
        self._threads.forget(resource)
        self.resources[resource] = None

    def delete_resource(self, resource: int) -> None:
        """ExDeleteResourceLite."""
        resource = self._address("resource", resource)
        self._machine.hooks.run(DeleteResource(resource), self._delete_resource, resource)

    def _delete_resource(self, resource: int) -> None:
        self._threads.forget(resource)
        self.resources.pop(resource, None)

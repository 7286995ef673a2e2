"""Devices: who made each, their names, and the links to them.

Source:
    [doc] IoCreateDevice, IoDeleteDevice, IoCreateSymbolicLink.
"""

from __future__ import annotations

import attrs

from lookaside_sim.machine.machine import Machine
from lookaside_sim.machine.spin_lock import SpinLock, SpinLocks


@attrs.frozen
class Device:
    """One device that was made and not deleted.

    Attributes:
        address: of its DEVICE_OBJECT.
        name: its name, or empty.
        driver: address of its driver object.
        where: the line that made it.
    """

    address: int
    name: str
    driver: int
    where: str

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"the device{name} at {self.address:#x}, made at {self.where}"


class Devices:
    """The devices of one machine.

    Args:
        machine: the machine.
        spin_locks: its spin locks.
    """

    __slots__ = ("_cancel_lock", "_devices", "links", "machine", "spin_locks")

    def __init__(self, machine: Machine, spin_locks: SpinLocks) -> None:
        self.machine = machine
        self.spin_locks = spin_locks
        self._devices: dict[int, Device] = {}
        self._cancel_lock: SpinLock | None = None
        self.links: dict[str, str] = {}

    @property
    def cancel_lock(self) -> int:
        """Address of the system's cancel spin lock, which is made when it is first asked for."""
        if self._cancel_lock is None:
            self._cancel_lock = SpinLock(self, "cancel spin lock")
        return self._cancel_lock.address

    def add(self, address: int, name: str, driver: int) -> None:
        """A device was made."""
        where = str(self.machine.program.calling_site())
        self._devices[address] = Device(address, name, driver, where)

    def remove(self, address: int) -> Device | None:
        """A device was deleted; returns it, or None for what is none."""
        return self._devices.pop(address, None)

    def named(self, name: str) -> Device | None:
        """The device of a name, or of a symbolic link, whatever their case."""
        wanted = self.links.get(name.lower(), name).lower()
        for each in self._devices.values():
            if each.name and each.name.lower() == wanted:
                return each
        return None

    def all(self) -> list[Device]:
        """The devices, oldest first."""
        return list(self._devices.values())

"""Processes, as far as the pool cares: whom a charged block is billed to.

Source:
    [doc] ExAllocatePoolWithQuotaTag; docs/sources.md, pool section 2 (quota).
"""

from __future__ import annotations

from typing import Final

import attrs

from lookaside_sim.errors import NtStatusError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.machine.order import Order
from lookaside_sim.nt.arguments import shown, text, unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import NtStatus, PoolTag
from lookaside_sim.pool.values import PoolAllocation
from lookaside_sim.system.calls import CreateProcess, EnterProcess

_SPACING: Final = 0x1000  # bytes between two EPROCESS
_BAD_PROCESS: Final = 0x0D  # BAD_POOL_CALLER, parameter 1
_UNLIMITED: Final = 1 << 62


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class Process:
    """A process.

    Attributes:
        name: of its image.
        address: of its EPROCESS, which is all of it that there is.
        nonpaged_quota: bytes of nonpaged pool it may be charged.
        paged_quota: likewise for paged pool.
        nonpaged_usage: bytes it is charged now.
        paged_usage: likewise for paged pool.
        references: charged blocks that keep the process alive.
    """

    name: str
    address: int
    nonpaged_quota: int
    paged_quota: int
    nonpaged_usage: int = 0
    paged_usage: int = 0
    references: int = 0

    @property
    def is_system(self) -> bool:
        """Whether it is the System process, which is never charged."""
        return self.name == "System"

    @property
    def is_idle(self) -> bool:
        """Whether it is the Idle process, whose threads run where nothing else does."""
        return self.name == "Idle"


class ProcessScope:
    """Runs what is inside in a process; what `Processes.running` returns.

    Args:
        processes: of the machine.
        process: which one.
    """

    __slots__ = ("_order", "_process", "_processes")

    def __init__(self, processes: Processes, process: Process) -> None:
        self._processes = processes
        self._process = process
        self._order: Order[Process] = Order("the block in a process")

    def __enter__(self) -> Process:
        processes = self._processes
        before = processes.current
        processes.enter(self._process)
        self._order.enter(processes.scopes, before)
        return self._process

    def __exit__(self, *exception: object) -> None:
        self._processes.enter(self._order.leave(self._processes.scopes))


class Processes:
    """The processes of one kernel.

    Args:
        machine: the machine.

    Attributes:
        system: the System process, in which code runs unless `running` says otherwise.
        current: the process code runs in.
        all: every process, the System process first.
        scopes: which one each block that was entered goes back to, innermost last.
    """

    __slots__ = ("_by_address", "_charges", "_machine", "all", "current", "scopes", "system")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.scopes: list[Process] = []
        self._by_address: dict[int, Process] = {}
        self.all: list[Process] = []
        self._charges: dict[int, tuple[Process, int, bool]] = {}
        self.system = self.current = self._create("System", _UNLIMITED, _UNLIMITED)

    def create(
        self, name: str, *, nonpaged_quota: int = _UNLIMITED, paged_quota: int = _UNLIMITED
    ) -> Process:
        """Make a process.

        Args:
            name: of its image.
            nonpaged_quota: bytes of nonpaged pool it may be charged.
            paged_quota: likewise for paged pool.
        """
        self._machine.check_running()
        name = text("name", name)
        nonpaged_quota = unsigned("nonpaged_quota", nonpaged_quota, 64)
        paged_quota = unsigned("paged_quota", paged_quota, 64)
        call = CreateProcess(name, nonpaged_quota, paged_quota)
        return self._machine.hooks.run(call, self._create, name, nonpaged_quota, paged_quota)

    def _create(self, name: str, nonpaged_quota: int, paged_quota: int) -> Process:
        address = self._machine.arch.process_start + len(self.all) * _SPACING
        process = Process(name, address, nonpaged_quota, paged_quota)
        self.all.append(process)
        self._by_address[address] = process
        return process

    @property
    def idle(self) -> Process:
        """The Idle process, made when it is first asked for."""
        for process in self.all:
            if process.is_idle:
                return process
        return self._create("Idle", _UNLIMITED, _UNLIMITED)

    def running(self, process: Process) -> ProcessScope:
        """Run what is inside in a process.

        Raises:
            TypeError: no process.
            ValueError: a process of another machine.
        """
        if not isinstance(process, Process):
            raise TypeError(f"process {shown(process)}: give a Process")
        if self._by_address.get(process.address) is not process:
            raise ValueError(f"process {process.name!r}: give one of this machine")
        return ProcessScope(self, process)

    def enter(self, process: Process) -> None:
        """Run in another process from now on; `running` knows the way back."""
        call = EnterProcess(process.name, process.address)
        self._machine.hooks.run(call, self._set_current, process)

    def _set_current(self, process: Process) -> None:
        self.current = process

    def at(self, address: int) -> Process | None:
        """The process whose EPROCESS lies at an address."""
        return self._by_address.get(address)

    def charge(self, process: Process, block: PoolAllocation) -> None:
        """Charge a process the bytes of a block.

        Raises:
            NtStatusError: STATUS_QUOTA_EXCEEDED; nothing is charged.
        """
        paged, size = block.pool_type.is_paged, block.block_size
        used = process.paged_usage if paged else process.nonpaged_usage
        quota = process.paged_quota if paged else process.nonpaged_quota
        if used + size > quota:
            kind = "paged" if paged else "nonpaged"
            raise NtStatusError(
                NtStatus.STATUS_QUOTA_EXCEEDED,
                f"{process.name} uses {used} of its {quota} bytes of {kind} pool and asks for"
                f" {size} more",
            )
        self._add(process, size, paged=paged)
        process.references += 1
        self._charges[block.address] = (process, size, paged)

    def uncharge(self, address: int, process: int | None = None, tag: int = 0) -> None:
        """Take the charge of a block back.

        Args:
            address: of the block; one that is not charged is left alone.
            process: what its header names, None to believe the charge itself.
            tag: its tag.

        Raises:
            BugCheck: BAD_POOL_CALLER (0xD) when the header names no process.
        """
        charge = self._charges.get(address)
        if process is not None and process not in self._by_address:
            self._machine.stop(
                BugCheckCode.BAD_POOL_CALLER,
                (_BAD_PROCESS, address, tag, process),
                f"the block {PoolTag(tag)!s} at {address:#x} is billed to {process:#x}, which"
                " is no process: its header was overwritten",
            )
        if charge is not None:
            del self._charges[address]
            billed, size, paged = charge
            self._add(billed, -size, paged=paged)
            billed.references -= 1

    def billed(self, address: int) -> Process | None:
        """The process a block is billed to."""
        charge = self._charges.get(address)
        return None if charge is None else charge[0]

    def _add(self, process: Process, size: int, *, paged: bool) -> None:
        if paged:
            process.paged_usage += size
        else:
            process.nonpaged_usage += size

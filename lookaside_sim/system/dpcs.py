"""DPCs: KDPCs in memory, queued once each until they run.

Source:
    [doc] KeInitializeDpc, KeInsertQueueDpc, KeRemoveQueueDpc, KDEFERRED_ROUTINE. [header] KDPC. Choice:
    they run when `Queues.run` says so, or while somebody waits.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.machine.machine import Machine
from lookaside_sim.system.queues import Queues

_DPC_TYPE: Final = 0x13
_POINTERS_BEFORE_ROUTINE: Final = 3
"""What lies in front of DeferredRoutine, in pointers: the header and DpcListEntry."""
_SIZE: Final = 8
"""Bytes of a KDPC, in pointers."""


class Dpcs:
    """The DPCs of one machine.

    Args:
        machine: the machine.
        queues: what waits to run.
        routines: whose addresses DeferredRoutine holds.
    """

    __slots__ = ("_machine", "_queues", "_routines")

    def __init__(self, machine: Machine, queues: Queues, routines: Routines) -> None:
        self._machine = machine
        self._queues = queues
        self._routines = routines

    def initialize(self, dpc: int, routine: int, context: int) -> None:
        """KeInitializeDpc: write a KDPC that is not queued."""
        pointer = self._machine.arch.pointer_size
        memory = self._machine.memory
        image = bytes((_DPC_TYPE, 1, 0, 0)).ljust(_POINTERS_BEFORE_ROUTINE * pointer, b"\0")
        image += routine.to_bytes(pointer, "little") + context.to_bytes(pointer, "little")
        memory.write(dpc, image.ljust(_SIZE * pointer, b"\0"))

    def insert(self, dpc: int, argument1: int, argument2: int) -> bool:
        """KeInsertQueueDpc: queue a DPC; returns whether it was not queued yet."""
        memory = self._machine.memory
        pointer = self._machine.arch.pointer_size
        routine_at = dpc + _POINTERS_BEFORE_ROUTINE * pointer
        routine = memory.read_pointer(routine_at)
        context = memory.read_pointer(routine_at + pointer)
        if self._queues.holds(dpc):
            return False
        memory.write_pointer(routine_at + 2 * pointer, argument1)
        memory.write_pointer(routine_at + 3 * pointer, argument2)
        arguments = (routine, dpc, context, argument1, argument2)
        self._queues.add("DPC", dpc, self._routines.call, arguments)
        return True

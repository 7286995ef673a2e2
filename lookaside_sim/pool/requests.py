"""The one way into the blocks of the pools: what every list and every pool routine calls.

A request goes straight to the blocks (`Model` or `Blocks`: see `switch`), unless somebody put a *layer* in its way: the verifier, a
ledger, special pool, quota, lists of parked blocks, a test that lets requests fail. Each layer
does its own work and hands the request on to the layer `below` it. In which order they lie is
said once, here; whoever switches one on need not know of the others.

A request that no layer lies over pays nothing for this: `Requests.top` then is the blocks.

Source:
    docs/sources.md, pool sections 2, 3 and 7 (the order of the checks).
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Protocol

from lookaside_sim.errors import NtStatusError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.pool.plans import RAISE_BIT, PoolPlan, request_of


class Order(IntEnum):
    """The layers, outermost first."""

    SANITIZER = 0
    FAULTS = 1
    VERIFIER = 2
    LEDGER = 3
    SPECIAL_POOL = 4
    QUOTA = 5
    PARKING = 6


def refused(plan: PoolPlan, why: str) -> int:
    """Answer a request that gets no memory.

    Args:
        plan: the request's.
        why: what a raised status says.

    Returns:
        0, for NULL.

    Raises:
        NtStatusError: STATUS_INSUFFICIENT_RESOURCES, when the type asks for it.
    """
    if request_of(plan).pool_type & RAISE_BIT:
        raise NtStatusError(NtStatus.STATUS_INSUFFICIENT_RESOURCES, why)
    return 0


class Server(Protocol):
    """What requests end at: the blocks themselves, or a layer over them."""

    def allocate(self, plan: PoolPlan) -> int:
        """Serve a request; 0 for NULL."""

    def free(self, address: int, tag: int = 0) -> None:
        """Free a block; tag 0 asks for no check."""


class Layer:
    """Something a request passes on its way to the blocks.

    Attributes:
        order: where it lies.
        below: what it hands requests on to.
    """

    __slots__ = ("below",)

    order: ClassVar[Order]
    below: Server

    def allocate(self, plan: PoolPlan) -> int:
        """Serve a request; 0 for NULL."""
        return self.below.allocate(plan)

    def free(self, address: int, tag: int = 0) -> None:
        """Free a block; tag 0 asks for no check."""
        self.below.free(address, tag)


class _Door(Layer):
    """Refuses what is no request at all, before a layer takes notes of it."""

    __slots__ = ("_machine",)

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def allocate(self, plan: PoolPlan) -> int:
        """Let a request in."""
        if self._machine.bugcheck is not None:
            self._machine.check_running()
        return self.below.allocate(plan)

    def free(self, address: int, tag: int = 0) -> None:
        """Let a free in."""
        if self._machine.bugcheck is not None:
            self._machine.check_running()
        if type(address) is not int:
            raise TypeError(f"address {address!r}: give an int")
        self.below.free(address, tag)


class Requests:
    """The door of one kernel's pools.

    Args:
        machine: the machine.
        blocks: where all requests end.

    Attributes:
        top: what a request meets first; the blocks themselves where no layer lies over them.
    """

    __slots__ = ("_blocks", "_door", "_layers", "top")

    top: Server

    def __init__(self, machine: Machine, blocks: Server) -> None:
        self._blocks = self.top = blocks
        self._door = _Door(machine)
        self._layers: list[Layer] = []

    def put(self, layer: Layer) -> None:
        """Lay a layer over the blocks, at its place in the order."""
        if layer in self._layers:
            raise ValueError(f"{layer!r} lies over the pool already")
        self._layers.append(layer)
        self._layers.sort(key=lambda each: each.order)
        self._connect()

    def take_off(self, layer: Layer) -> None:
        """Take a layer off again; nothing happens when it does not lie there."""
        if layer in self._layers:
            self._layers.remove(layer)
            self._connect()

    def end_at(self, blocks: Server) -> None:
        """Let all requests end at other blocks from now on."""
        self._blocks = blocks
        self._connect()

    def _connect(self) -> None:
        self.top = self._blocks
        for layer in [*reversed(self._layers), self._door] if self._layers else []:
            layer.below = self.top
            self.top = layer

"""What all lists of one machine share: how they are made, found, and told apart."""

from __future__ import annotations

from typing import Any, Protocol

from lookaside_sim.lookaside.place import InMemory
from lookaside_sim.lookaside.registry import Registry
from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.lookaside.tuning import MINIMUM_DEPTH
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.pool.kind import Pool


class Shared:
    """What the lists of one machine have in common.

    Args:
        machine: the machine.
        pool: where entries come from.
        kind: the class of list that the machine has.

    Attributes:
        machine: as given.
        pool: as given.
        kind: as given.
        registry: the two system-wide lists.
        routines: the addresses of routines.
        minimum_depth: ExMinimumLookasideDepth, in entries.
    """

    __slots__ = ("kind", "machine", "minimum_depth", "pool", "registry", "routines")

    def __init__(self, machine: Machine, pool: Pool, kind: type[Any]) -> None:
        self.machine = machine
        self.pool = pool
        self.kind = kind
        self.minimum_depth = MINIMUM_DEPTH
        self.registry = Registry(machine, self._over_memory)
        self.routines = Routines(machine, pool, self.at)
        machine.memory.links.told.append(self._look_again)

    @property
    def lists(self) -> Shared:
        """Itself: what is shared is enough to make a list with."""
        return self

    def _look_again(self) -> None:
        """Lists may keep links in slots from now on, or no longer."""
        for structure in self.machine.memory.structures():
            if isinstance(structure, self.kind):
                structure.look_again()

    def at(self, address: int) -> Any:
        """The list at an address: the active one, else an object there, else over the memory."""
        address = unsigned("address", address, self.machine.arch.address_bits)
        found: object = self.registry.at(address)
        if found is None:
            found = self.machine.memory.structure_at(address)
            if not isinstance(found, self.kind) or found.address != address:
                return self._over_memory(address)
        return found

    def _over_memory(self, address: int) -> Any:
        """Take whatever lies at an address for a list."""
        return self.kind(self, "", InMemory(self.machine, address))


class ListHost(Protocol):
    """What lists can be made on; `Kernel` is one."""

    @property
    def lists(self) -> Shared:
        """What its lists share."""

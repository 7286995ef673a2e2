"""Objects of the object manager: handles to them, references to them, and who took each.

An object lives for as long as there is a handle or a reference. What is left over is a leak, and is
told with the line that took it.

Source:
    [doc] Life Cycle of an Object; ObReferenceObject, ObDereferenceObject, ZwClose; bug check 0x18. Choice:
    objects lie in nonpaged pool, which no driver is charged for; the object of every name that is
    opened exists.
"""

from __future__ import annotations

from typing import Final

import attrs

from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.pool.kind import Pool

_FIRST_HANDLE: Final = 4
_HANDLE_STEP: Final = 4
_KERNEL_HANDLE: Final = 0x8000_0000


@attrs.define(eq=False)
class Object:
    """One object.

    Attributes:
        address: of its body.
        kind: of which type, such as ``"File"``.
        name: its name, or empty.
        references: how many there are; one of them is for all handles.
        taken: where references were taken that were not given back, oldest first.
        owned: whether its body is a pool block that goes with it.
    """

    address: int
    kind: str
    name: str
    references: int
    taken: list[str]
    owned: bool

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"the {self.kind} object{name} at {self.address:#x}"


@attrs.frozen
class Handle:
    """One open handle.

    Attributes:
        value: the number.
        object: what it opens.
        where: the line that opened it.
    """

    value: int
    object: Object
    where: str


class References:
    """The objects and handles of one machine.

    Args:
        machine: the machine.
        pool: where bodies lie.
    """

    __slots__ = ("_handles", "_machine", "_next_handle", "_objects", "_pool")

    def __init__(self, machine: Machine, pool: Pool) -> None:
        self._machine = machine
        self._pool = pool
        self._objects: dict[int, Object] = {}
        self._handles: dict[int, Handle] = {}
        self._next_handle = _FIRST_HANDLE

    # --- objects ---------------------------------------------------------------------------

    def make(self, kind: str, name: str, size: int) -> Object | None:
        """Make an object with one reference, or None where there is no memory.

        Args:
            kind: of which type.
            name: its name, or empty.
            size: bytes of its body, which is zero.
        """
        tag = PoolTag(kind[:4].ljust(4))
        pool_type = int(PoolType.NonPagedPoolNx | PoolType.POOL_ZERO_ALLOCATION)
        address = self._pool.allocate_block(pool_type, size, tag)
        return self.take_in(address, kind, name, owned=True) if address else None

    def take_in(self, address: int, kind: str, name: str, *, owned: bool) -> Object:
        """Have what lies at an address be an object, with one reference."""
        made = self._objects[address] = Object(address, kind, name, 1, [], owned)
        return made

    def at(self, address: int) -> Object | None:
        """The object at an address."""
        return self._objects.get(address)

    def reference(self, address: int) -> int:
        """Take a reference; returns how many there are.

        Raises:
            BugCheck: REFERENCE_BY_POINTER: no object lives there.
        """
        found = self._living(address, "referenced")
        found.references += 1
        found.taken.append(self._site())
        return found.references

    def dereference(self, address: int) -> int:
        """Give a reference back; the last one ends the object. Returns how many there are.

        Raises:
            BugCheck: REFERENCE_BY_POINTER: no object lives there (any more).
        """
        found = self._living(address, "dereferenced")
        found.references -= 1
        if found.taken:
            found.taken.pop()
        if not found.references:
            del self._objects[address]
            if found.owned:
                self._pool.free_block(address)
        return found.references

    def _living(self, address: int, verb: str) -> Object:
        found = self._objects.get(address)
        if found is None:
            self._machine.stop(
                BugCheckCode.REFERENCE_BY_POINTER,
                (0, address, 0, 0),
                f"{address:#x} was {verb}, and no object lives there",
            )
        return found

    # --- handles ---------------------------------------------------------------------------

    def open(self, object: Object, *, for_kernel: bool) -> int:
        """Open a handle to an object, which takes over one reference; returns it."""
        value = self._next_handle
        self._next_handle += _HANDLE_STEP
        if for_kernel:
            value |= -_KERNEL_HANDLE & (1 << self._machine.arch.address_bits) - 1
        self._handles[value] = Handle(value, object, self._site())
        return value

    def opened(self, handle: int) -> Handle | None:
        """What a handle opens."""
        return self._handles.get(handle)

    def close(self, handle: int) -> bool:
        """Close a handle; returns whether it was open."""
        found = self._handles.pop(handle, None)
        if found is None:
            return False
        object = found.object
        taken, object.taken = object.taken, []
        self.dereference(object.address)
        object.taken = taken
        return True

    # --- what is left ----------------------------------------------------------------------

    def handles(self) -> list[Handle]:
        """The handles that are open, oldest first."""
        return list(self._handles.values())

    def taken(self) -> list[tuple[Object, str]]:
        """The references that were taken and not given back, each with its line."""
        return [(each, where) for each in self._objects.values() for where in each.taken]

    @property
    def blocks(self) -> int:
        """How many pool blocks hold objects."""
        return sum(each.owned for each in self._objects.values())

    def _site(self) -> str:
        return str(self._machine.program.calling_site())

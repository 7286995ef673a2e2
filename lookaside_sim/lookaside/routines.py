"""Addresses of routines, so that a list's AllocateEx and FreeEx fields can point at them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias, cast
from weakref import ref

from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.touch import EXECUTE
from lookaside_sim.nt.arguments import shown, unsigned
from lookaside_sim.nt.types import ULONG_MASK, PoolTag, PoolType
from lookaside_sim.pool.kind import Pool

AllocateRoutine: TypeAlias = Callable[[PoolType, int, PoolTag, Any], int | None]
"""A LookasideListAllocateEx routine: (pool type, bytes, tag, list) to an address or None."""
FreeRoutine: TypeAlias = Callable[[int, Any], None]
"""A LookasideListFreeEx routine: (entry, list)."""

_ALLOCATE: Final = "allocate"
_FREE: Final = "free"
_ONLY_ALLOCATE: Final = {_ALLOCATE}
_ONLY_FREE: Final = {_FREE}
_SPACING: Final = 0x40  # bytes between the made-up code addresses


class Lease:
    """Held by each list that was given a routine, so that the routine stays as long as they do."""

    __slots__ = ("__weakref__",)


class Routines:
    """The routines of one kernel, each at an address of its own.

    A routine that was given to lists and to nobody else goes when the last object of such a list
    does: its address is then one where nothing lies, as that of unloaded code.

    Args:
        machine: the machine.
        pool: what the default routines allocate from.
        list_at: takes what lies at an address for a list.

    Attributes:
        default_allocate: address of ExAllocatePoolWithTag, the default of an older list, and on
            x64 of every list.
        default_free: address of ExFreePool, likewise.
        default_allocates: addresses of every default. On x86 a callee takes its arguments off
            the stack, so the Ex lists, whose routines get four and two, need defaults of their own.
        default_frees: likewise.
        elsewhere: asked for the routine at an address where none was placed, such as one in the
            code of an image; None while there is no such code.
    """

    __slots__ = (
        "_address_of",
        "_at",
        "_ex_allocate",
        "_ex_free",
        "_leases",
        "_list_at",
        "_machine",
        "_next",
        "_pool",
        "_roles",
        "_unleased",
        "default_allocate",
        "default_allocates",
        "default_free",
        "default_frees",
        "elsewhere",
    )

    def __init__(self, machine: Machine, pool: Pool, list_at: Callable[[int], Any]) -> None:
        self._machine = machine
        self._list_at = list_at
        self._pool = pool
        self._next = machine.arch.code_start
        self._at: dict[int, Callable[..., Any]] = {}
        self._roles: dict[int, set[str]] = {}
        self.elsewhere: Callable[[int], Callable[..., Any] | None] | None = None
        self._address_of: dict[Hashable, int] = {}
        self._leases: dict[int, ref[Lease]] = {}
        self._unleased: set[int] = set()
        self.default_allocate = self._place(self._call_pool_allocate)
        self.default_free = self._place(self._call_pool_free)
        self._ex_allocate, self._ex_free = self.default_allocate, self.default_free
        if machine.arch.pointer_size == 4:
            start = machine.arch.code_start
            self._ex_allocate, self._ex_free = start - 2 * _SPACING, start - _SPACING
            self._at[self._ex_allocate] = self._call_pool_allocate
            self._at[self._ex_free] = self._call_pool_free
        self.default_allocates = _set_of(self.default_allocate, self._ex_allocate)
        self.default_frees = _set_of(self.default_free, self._ex_free)

    def allocate_address(self, routine: AllocateRoutine | None, *, older: bool = False) -> int:
        """The address to store in AllocateEx for a routine, None for the default.

        Args:
            routine: the routine.
            older: whether the list is one of the older families.
        """
        if routine is None:
            return self.default_allocate if older else self._ex_allocate
        return self._find_or_place(routine, _ALLOCATE)

    def free_address(self, routine: FreeRoutine | None, *, older: bool = False) -> int:
        """The address to store in FreeEx for a routine, likewise."""
        if routine is None:
            return self.default_free if older else self._ex_free
        return self._find_or_place(routine, _FREE)

    def lease(self, *addresses: int) -> tuple[Lease, ...]:
        """Take what keeps the routines at some addresses; those that stay anyway need nothing."""
        leases = []
        for address in addresses:
            watch = self._leases.get(address)
            lease = None if watch is None else watch()
            if address in self._unleased:
                self._unleased.discard(address)
                lease = Lease()
                self._leases[address] = ref(lease, partial(self._forget, address))
            if lease is not None:
                leases.append(lease)
        return tuple(leases)

    def _forget(self, address: int, lease: ref[Lease]) -> None:
        """The last list that was given a routine is gone."""
        if self._leases.pop(address, None) is lease:
            del self._address_of[_key(self._at.pop(address))]
            del self._roles[address]

    def _keep(self, address: int) -> int:
        """Have the routine at an address stay, whatever becomes of lists."""
        self._leases.pop(address, None)
        self._unleased.discard(address)
        return address

    def allocate_routine(self, address: int) -> AllocateRoutine:
        """The routine that a call through AllocateEx reaches; faults where there is none."""
        found = self._call_target(address)
        if self._roles.get(address) == _ONLY_FREE:
            return partial(self._free_for_allocate, cast("FreeRoutine", found))
        return cast("AllocateRoutine", found)

    def free_routine(self, address: int) -> FreeRoutine:
        """The routine that a call through FreeEx reaches; faults where there is none."""
        found = self._call_target(address)
        if self._roles.get(address) == _ONLY_ALLOCATE:
            return partial(self._allocate_for_free, cast("AllocateRoutine", found))
        return cast("FreeRoutine", found)

    def place_at(self, address: int, routine: Callable[..., Any]) -> None:
        """Say that a routine lies at an address, such as one in an image.

        Args:
            address: a pointer that fields AllocateEx and FreeEx may hold.
            routine: what a call of it runs; another one there is replaced.

        Raises:
            TypeError, ValueError: no routine, or no address.
        """
        if not callable(routine):
            raise TypeError(f"routine {shown(routine)}: give a callable")
        address = unsigned("address", address, self._machine.arch.address_bits)
        self._keep(address)
        self._at[address] = routine
        self._address_of[_key(routine)] = address

    def role_of(self, address: int) -> str | None:
        """What the routine at an address is for a list.

        Returns:
            ``"allocate"`` or ``"free"``; ``"allocate"`` too where it was given as both. None
            where no list was given it.
        """
        roles = self._roles.get(address)
        if not roles:
            return None
        return _ALLOCATE if _ALLOCATE in roles else _FREE

    def at(self, address: int) -> Callable[..., Any] | None:
        """The routine that lies at an address, if one does."""
        return self._at.get(address)

    def known_address(self, routine: Callable[..., Any]) -> int:
        """The address of a routine; 0 where it was given none yet."""
        return self._address_of.get(_key(routine), 0)

    def address_of(self, routine: Callable[..., Any]) -> int:
        """The address of a routine, which gets one if it has none yet."""
        key = _key(routine)
        found = self._address_of.get(key)
        if found is None:
            found = self._address_of[key] = self._place(routine)
        return self._keep(found)

    def call(self, address: int, *arguments: object) -> Any:
        """Call whatever routine lies at an address; faults where there is none."""
        return self._machine.hooks.run_inside(address, self._call_target(address), *arguments)

    def _call_target(self, address: int) -> Callable[..., Any]:
        routine = self._at.get(address)
        if routine is None and self.elsewhere is not None:
            routine = self.elsewhere(address)
        if routine is None:
            self._machine.page_fault(address, EXECUTE)
        return routine

    def _find_or_place(self, routine: Callable[..., Any], role: str) -> int:
        key = _key(routine)
        address = self._address_of.get(key)
        if address is None:
            address = self._address_of[key] = self._place(routine)
            self._unleased.add(address)
        self._roles.setdefault(address, set()).add(role)
        return address

    def _place(self, routine: Callable[..., Any]) -> int:
        address = self._next
        self._next += _SPACING
        self._at[address] = routine
        return address

    # A field was overwritten with the address of a routine of the other kind, which takes the
    # arguments for its own: the list for a size, the size for the address of a list. What no
    # register holds is 0, and so is what a free routine returns.

    def _free_for_allocate(
        self, free: FreeRoutine, pool_type: int, size: int, tag: int, lookaside: Any
    ) -> int:
        free(int(pool_type), self._list_at(size))
        return 0

    def _allocate_for_free(self, allocate: AllocateRoutine, entry: int, lookaside: Any) -> None:
        allocate(
            PoolType(entry & ULONG_MASK),
            lookaside.address,
            PoolTag(0),
            self._list_at(0),
        )

    # Reached only through a field that was overwritten with the other default's address: the
    # routine then takes the arguments for its own, and what is missing for 0.

    def _call_pool_allocate(self, *arguments: object) -> int:
        pool_type, size, tag = (*map(self._as_word, arguments), 0, 0, 0)[:3]
        pool = self._pool
        if not pool.serves(pool_type):
            pool_type = 0
        return pool.allocate_block(pool_type, size, tag & ULONG_MASK)

    def _call_pool_free(self, *arguments: object) -> None:
        self._pool.free_block(self._as_word(arguments[0]))

    @staticmethod
    def _as_word(argument: object) -> int:
        return argument if isinstance(argument, int) else int(getattr(argument, "address", 0))


@lru_cache
def _set_of(*addresses: int) -> frozenset[int]:
    """The same set for every machine of one kind."""
    return frozenset(addresses)


def _key(routine: Callable[..., Any]) -> Hashable:
    """Equal callables, such as the same method of the same object, are one routine."""
    with suppress(TypeError):
        hash(routine)
        return routine
    return id(routine)  # for what cannot be hashed; the table keeps it alive

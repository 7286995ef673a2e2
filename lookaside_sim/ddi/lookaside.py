"""The documented routines of the three list families; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, lists sections 3 to 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias, TypeVar, cast

from lookaside_sim.ddi.arguments import Pointer, address_of, tag_of
from lookaside_sim.ddi.runtime import nx_where_opted_in
from lookaside_sim.ddi.types import FieldType, Toucher
from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.routines import AllocateRoutine, FreeRoutine
from lookaside_sim.nt.arguments import integer, shown, unsigned
from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT,
    PROTECTED_POOL,
    NtStatus,
    PoolTag,
    PoolType,
    TagLike,
)

__all__ = [
    "EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE",
    "EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL",
    "EX_MAXIMUM_LOOKASIDE_DEPTH_BASE",
    "EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT",
    "LOOKASIDE_LIST_EX",
    "NPAGED_LOOKASIDE_LIST",
    "PAGED_LOOKASIDE_LIST",
    "PROTECTED_POOL",
    "ExAllocateFromLookasideListEx",
    "ExAllocateFromNPagedLookasideList",
    "ExAllocateFromPagedLookasideList",
    "ExDeleteLookasideListEx",
    "ExDeleteNPagedLookasideList",
    "ExDeletePagedLookasideList",
    "ExFlushLookasideListEx",
    "ExFreeToLookasideListEx",
    "ExFreeToNPagedLookasideList",
    "ExFreeToPagedLookasideList",
    "ExInitializeLookasideListEx",
    "ExInitializeNPagedLookasideList",
    "ExInitializePagedLookasideList",
]

ListPointer: TypeAlias = LookasideList | Pointer
"""A list, or a pointer to one."""
ExAllocateFunction = Callable[[PoolType, int, PoolTag, LookasideList], int]
ExFreeFunction = Callable[[int, LookasideList], None]
AllocateFunction = Callable[[PoolType, int, PoolTag], int]
FreeFunction = Callable[[int], None]
_Routine = TypeVar("_Routine", bound=Callable[..., Any])


# --- LOOKASIDE_LIST_EX -------------------------------------------------------------------


class ListType(FieldType):
    """The type of a lookaside list: a field of a structure, or called to declare a list.

    Args:
        name: as C spells it.
        older: whether it is one of the older families.
    """

    __slots__ = ("_older",)

    def __init__(self, name: str, *, older: bool) -> None:
        super().__init__(name)
        self._older = older

    def size_on(self, arch: Architecture) -> int:
        """Bytes on a machine."""
        return arch.older_lookaside_size if self._older else arch.lookaside_size

    def alignment_on(self, arch: Architecture) -> int:
        """That of its SLIST_HEADER. Choice: a field of an older family needs no cache line."""
        return arch.lookaside_alignment

    def load(self, kernel: Toucher, address: int) -> LookasideList:
        """The list at an address."""
        return kernel.list_at(address)

    def store(self, kernel: Toucher, address: int, value: object) -> NoReturn:
        """Refuse to copy a list.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{self.name} at {address:#x}: a list cannot be copied, initialize it")

    def __call__(self, name: str = "", address: Pointer | None = None) -> LookasideList:
        """Declare a list on the current kernel; see `LookasideList`.

        Args:
            name: symbol at its address.
            address: where it lies; None for the next place in a driver's data, which for an older
                family is a cache line.

        Raises:
            NtStatusError: STATUS_DATATYPE_MISALIGNMENT for a misaligned address, on x64. Choice: the
                declaration raises what NT raises once the list's head is initialized.
        """
        if address is not None:
            address = address_of("address", address)
        return _declared(name, address, older=self._older)


def _declared(name: str, address: int | None, *, older: bool) -> LookasideList:
    kernel = current_kernel()
    if isinstance(address, int) and address & kernel.arch.next_entry_lost_bits:
        raise NtStatusError(
            NtStatus.STATUS_DATATYPE_MISALIGNMENT,
            f"a lookaside list at {address:#x}: its SLIST_HEADER is aligned to 16 bytes",
        )
    return LookasideList(kernel, name, address, older=older)


LOOKASIDE_LIST_EX: Final = ListType("LOOKASIDE_LIST_EX", older=False)


def ExInitializeLookasideListEx(
    Lookaside: ListPointer,
    Allocate: ExAllocateFunction | int | None,
    Free: ExFreeFunction | int | None,
    PoolType: PoolType | int,
    Flags: int,
    Size: int,
    Tag: TagLike,
    Depth: int,
) -> NtStatus:
    """Initialize a lookaside list; see `LookasideList.initialize`.

    Args:
        Lookaside: the list.
        Allocate: PALLOCATE_FUNCTION_EX, or NULL.
        Free: PFREE_FUNCTION_EX, or NULL.
        PoolType: pool of the entries.
        Flags: 0, or one of the two EX_LOOKASIDE_LIST_EX_FLAGS values.
        Size: bytes of an entry.
        Tag: pool tag.
        Depth: 0 (reserved).

    Returns:
        The status.
    """
    lookaside = _list(Lookaside)
    return lookaside.initialize(
        pool_type=nx_where_opted_in(lookaside.machine.program, PoolType),
        size=Size,
        tag=tag_of("Tag", Tag),
        flags=Flags,
        depth=Depth,
        allocate=_routine("Allocate", Allocate, lookaside),
        free=_routine("Free", Free, lookaside),
    )


def ExAllocateFromLookasideListEx(Lookaside: ListPointer) -> int:
    """Allocate an entry; see `LookasideList.allocate`.

    Returns:
        Its address, or 0 for NULL.
    """
    return _list(Lookaside).allocate() or 0


def ExFreeToLookasideListEx(Lookaside: ListPointer, Entry: int) -> None:
    """Free an entry; see `LookasideList.free`."""
    _list(Lookaside).free(Entry)


def ExFlushLookasideListEx(Lookaside: ListPointer) -> None:
    """Free all entries of the list; see `LookasideList.flush`."""
    _list(Lookaside).flush()


def ExDeleteLookasideListEx(Lookaside: ListPointer) -> None:
    """Delete the list; see `LookasideList.delete`."""
    _list(Lookaside).delete()


# --- NPAGED_LOOKASIDE_LIST and PAGED_LOOKASIDE_LIST --------------------------------------


# Of the same fields: 0x80 bytes on x64, 0xC0 on x86 (docs/sources.md, lists section 1). The routines
# of these families take a LOOKASIDE_LIST_EX too.
NPAGED_LOOKASIDE_LIST: Final = ListType("NPAGED_LOOKASIDE_LIST", older=True)
PAGED_LOOKASIDE_LIST: Final = ListType("PAGED_LOOKASIDE_LIST", older=True)


def ExInitializeNPagedLookasideList(
    Lookaside: ListPointer,
    Allocate: AllocateFunction | int | None,
    Free: FreeFunction | int | None,
    Flags: int,
    Size: int,
    Tag: TagLike,
    Depth: int,
) -> None:
    """Initialize a nonpaged lookaside list of the older family.

    Against the Ex family: no status, no check, no minimum size, the custom routines do not
    get the list.

    Args:
        Lookaside: the list.
        Allocate: PALLOCATE_FUNCTION (PoolType, NumberOfBytes, Tag), or NULL.
        Free: PFREE_FUNCTION (Buffer), or NULL.
        Flags: OR-ed into Type: 0, POOL_RAISE_IF_ALLOCATION_FAILURE, POOL_NX_ALLOCATION.
        Size: bytes of an entry.
        Tag: pool tag.
        Depth: ignored (reserved).

    Source:
        [doc] ExInitializeNPagedLookasideList; docs/sources.md, lists section 5.
    """
    _initialize_older(Lookaside, Allocate, Free, PoolType.NonPagedPool, Flags, Size, Tag, Depth)


def ExInitializePagedLookasideList(
    Lookaside: ListPointer,
    Allocate: AllocateFunction | int | None,
    Free: FreeFunction | int | None,
    Flags: int,
    Size: int,
    Tag: TagLike,
    Depth: int,
) -> None:
    """Initialize a paged lookaside list; see `ExInitializeNPagedLookasideList`."""
    _initialize_older(Lookaside, Allocate, Free, PoolType.PagedPool, Flags, Size, Tag, Depth)


def _initialize_older(
    lookaside: ListPointer,
    allocate: AllocateFunction | int | None,
    free: FreeFunction | int | None,
    pool_type: PoolType,
    flags: int,
    size: int,
    tag: TagLike,
    depth: int,
) -> None:
    integer("Depth", depth)
    allocate_ex: AllocateRoutine | None = None
    free_ex: FreeRoutine | None = None
    given = _list(lookaside)
    allocate_older = _routine("Allocate", allocate, given)
    free_older = _routine("Free", free, given)
    if allocate_older is not None:

        def allocate_ex(
            pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
        ) -> int:
            return allocate_older(pool_type, size, tag)

    if free_older is not None:

        def free_ex(buffer: int, lookaside: LookasideList) -> None:
            free_older(buffer)

    given.initialize_older(
        pool_type=nx_where_opted_in(
            given.machine.program, int(pool_type) | unsigned("Flags", flags, 32)
        ),
        size=size,
        tag=tag_of("Tag", tag),
        allocate=allocate_ex,
        free=free_ex,
    )


# On newer kernels the older families' other routines do what the Ex family's do.
ExAllocateFromNPagedLookasideList = ExAllocateFromLookasideListEx
ExAllocateFromPagedLookasideList = ExAllocateFromLookasideListEx
ExFreeToNPagedLookasideList = ExFreeToLookasideListEx
ExFreeToPagedLookasideList = ExFreeToLookasideListEx
ExDeleteNPagedLookasideList = ExDeleteLookasideListEx
ExDeletePagedLookasideList = ExDeleteLookasideListEx


def _list(given: ListPointer) -> LookasideList:
    """The list that is given, or that lies at an address; it need not be one."""
    if isinstance(given, LookasideList):
        return given
    return current_kernel().list_at(address_of("Lookaside", given))


def _routine(
    name: str, given: _Routine | int | None, lookaside: LookasideList
) -> _Routine | None:
    """A routine, given itself or by its address, or None for NULL."""
    if given is None or (isinstance(given, int) and given == 0):
        return None
    if isinstance(given, int) and not isinstance(given, bool):
        found = lookaside.routines.at(given)
        if found is None:
            raise TypeError(
                f"{name} {given:#x}: give a callable, the address of a routine, or 0 for NULL"
            )
        return cast("_Routine", found)
    if isinstance(given, bool) or not callable(given):
        raise TypeError(f"{name} {shown(given)}: give a callable, or 0 for NULL")
    return given

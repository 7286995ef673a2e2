"""The documented routines of the three list families; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, lists sections 3 to 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lookaside_sim.ddi.runtime import nx_where_opted_in
from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.routines import AllocateRoutine, FreeRoutine
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

ExAllocateFunction = Callable[[PoolType, int, PoolTag, LookasideList], int]
ExFreeFunction = Callable[[int, LookasideList], None]
AllocateFunction = Callable[[PoolType, int, PoolTag], int]
FreeFunction = Callable[[int], None]
_Routine = TypeVar("_Routine", bound=Callable[..., Any])


# --- LOOKASIDE_LIST_EX -------------------------------------------------------------------


def LOOKASIDE_LIST_EX(name: str = "", address: int | None = None) -> LookasideList:
    """Declare a LOOKASIDE_LIST_EX on the current kernel; see `LookasideList`.

    Args:
        name: symbol at its address.
        address: where it lies; None for the next place in a driver's data.

    Raises:
        NtStatusError: STATUS_DATATYPE_MISALIGNMENT for a misaligned address, on x64. Choice: the
            declaration raises what NT raises once the list's head is initialized.
    """
    return _declared(name, address)


def _declared(name: str, address: int | None, *, older: bool = False) -> LookasideList:
    kernel = current_kernel()
    if isinstance(address, int) and address & kernel.arch.next_entry_lost_bits:
        raise NtStatusError(
            NtStatus.STATUS_DATATYPE_MISALIGNMENT,
            f"a lookaside list at {address:#x}: its SLIST_HEADER is aligned to 16 bytes",
        )
    return LookasideList(kernel, name, address, older=older)


def ExInitializeLookasideListEx(
    Lookaside: LookasideList,
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
    return Lookaside.initialize(
        pool_type=nx_where_opted_in(Lookaside.machine.program, PoolType),
        size=Size,
        tag=Tag,
        flags=Flags,
        depth=Depth,
        allocate=_routine("Allocate", Allocate),
        free=_routine("Free", Free),
    )


def ExAllocateFromLookasideListEx(Lookaside: LookasideList) -> int:
    """Allocate an entry; see `LookasideList.allocate`.

    Returns:
        Its address, or 0 for NULL.
    """
    return Lookaside.allocate() or 0


def ExFreeToLookasideListEx(Lookaside: LookasideList, Entry: int) -> None:
    """Free an entry; see `LookasideList.free`."""
    Lookaside.free(Entry)


def ExFlushLookasideListEx(Lookaside: LookasideList) -> None:
    """Free all entries of the list; see `LookasideList.flush`."""
    Lookaside.flush()


def ExDeleteLookasideListEx(Lookaside: LookasideList) -> None:
    """Delete the list; see `LookasideList.delete`."""
    Lookaside.delete()


# --- NPAGED_LOOKASIDE_LIST and PAGED_LOOKASIDE_LIST --------------------------------------


def NPAGED_LOOKASIDE_LIST(name: str = "", address: int | None = None) -> LookasideList:
    """Declare an NPAGED_LOOKASIDE_LIST on the current kernel: 0x80 bytes on x64, 0xC0 on x86.

    The routines of this family take a LOOKASIDE_LIST_EX too, as the fields are the same.

    Args:
        name: symbol at its address.
        address: where it lies; None for the next cache line in a driver's data.

    Source:
        docs/sources.md, lists section 1.
    """
    return _declared(name, address, older=True)


PAGED_LOOKASIDE_LIST = NPAGED_LOOKASIDE_LIST


def ExInitializeNPagedLookasideList(
    Lookaside: LookasideList,
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
    _initialize_older(Lookaside, Allocate, Free, PoolType.NonPagedPool, Flags, Size, Tag)


def ExInitializePagedLookasideList(
    Lookaside: LookasideList,
    Allocate: AllocateFunction | int | None,
    Free: FreeFunction | int | None,
    Flags: int,
    Size: int,
    Tag: TagLike,
    Depth: int,
) -> None:
    """Initialize a paged lookaside list; see `ExInitializeNPagedLookasideList`."""
    _initialize_older(Lookaside, Allocate, Free, PoolType.PagedPool, Flags, Size, Tag)


def _initialize_older(
    lookaside: LookasideList,
    allocate: AllocateFunction | int | None,
    free: FreeFunction | int | None,
    pool_type: PoolType,
    flags: int,
    size: int,
    tag: TagLike,
) -> None:
    allocate_ex: AllocateRoutine | None = None
    free_ex: FreeRoutine | None = None
    allocate_older = _routine("Allocate", allocate)
    free_older = _routine("Free", free)
    if allocate_older is not None:

        def allocate_ex(
            pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
        ) -> int:
            return allocate_older(pool_type, size, tag)

    if free_older is not None:

        def free_ex(buffer: int, lookaside: LookasideList) -> None:
            free_older(buffer)

    lookaside.initialize_older(
        pool_type=nx_where_opted_in(lookaside.machine.program, int(pool_type) | flags),
        size=size,
        tag=tag,
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


def _routine(name: str, given: _Routine | int | None) -> _Routine | None:
    """A routine, or None for NULL."""
    if given is None or (isinstance(given, int) and given == 0):
        return None
    if isinstance(given, int) or not callable(given):
        raise TypeError(f"{name} {given!r}: give a callable, or 0 for NULL")
    return given

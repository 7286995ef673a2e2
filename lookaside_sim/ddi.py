"""The documented routines, positional, for transcribing C.

NULL is 0 here, in arguments and results. Pool routines act on the kernel made current by
``with kernel:``; list routines on the kernel of the list. A custom routine is a callable with
the documented parameters, that returns 0 for NULL.

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, lists sections 3 to 5, pool
    section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.lookaside import AllocateRoutine, FreeRoutine, LookasideList
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT,
    NONE_TAG,
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
    "POOL_FLAG_CACHE_ALIGNED",
    "POOL_FLAG_NON_PAGED",
    "POOL_FLAG_NON_PAGED_EXECUTE",
    "POOL_FLAG_PAGED",
    "POOL_FLAG_RAISE_ON_FAILURE",
    "POOL_FLAG_SESSION",
    "POOL_FLAG_SPECIAL_POOL",
    "POOL_FLAG_UNINITIALIZED",
    "POOL_FLAG_USE_QUOTA",
    "PROTECTED_POOL",
    "ExAllocateFromLookasideListEx",
    "ExAllocateFromNPagedLookasideList",
    "ExAllocateFromPagedLookasideList",
    "ExAllocatePool",
    "ExAllocatePool2",
    "ExAllocatePoolWithTag",
    "ExAllocatePoolZero",
    "ExDeleteLookasideListEx",
    "ExDeleteNPagedLookasideList",
    "ExDeletePagedLookasideList",
    "ExFlushLookasideListEx",
    "ExFreePool",
    "ExFreePoolWithTag",
    "ExFreeToLookasideListEx",
    "ExFreeToNPagedLookasideList",
    "ExFreeToPagedLookasideList",
    "ExInitializeLookasideListEx",
    "ExInitializeNPagedLookasideList",
    "ExInitializePagedLookasideList",
]

POOL_FLAG_USE_QUOTA: Final = 0x1
POOL_FLAG_UNINITIALIZED: Final = 0x2
POOL_FLAG_SESSION: Final = 0x4
POOL_FLAG_CACHE_ALIGNED: Final = 0x8
POOL_FLAG_RAISE_ON_FAILURE: Final = 0x20
POOL_FLAG_NON_PAGED: Final = 0x40
POOL_FLAG_NON_PAGED_EXECUTE: Final = 0x80
POOL_FLAG_PAGED: Final = 0x100
POOL_FLAG_SPECIAL_POOL: Final = 0x1_0000_0000

_POOL_OF_FLAG: Final = {
    POOL_FLAG_NON_PAGED: PoolType.NonPagedPoolNx,
    POOL_FLAG_NON_PAGED_EXECUTE: PoolType.NonPagedPoolExecute,
    POOL_FLAG_PAGED: PoolType.PagedPool,
}
_REQUIRED_FLAGS: Final = 0xFFFF_FFFF
_KNOWN_REQUIRED_FLAGS: Final = 0x1EF

ExAllocateFunction = Callable[[PoolType, int, PoolTag, LookasideList], int]
ExFreeFunction = Callable[[int, LookasideList], None]
AllocateFunction = Callable[[PoolType, int, PoolTag], int]
FreeFunction = Callable[[int], None]
_Routine = TypeVar("_Routine", bound=Callable[..., Any])


# --- LOOKASIDE_LIST_EX -------------------------------------------------------------------


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
        pool_type=PoolType,
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
        pool_type=int(pool_type) | flags,
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


# --- the pool ----------------------------------------------------------------------------


def ExAllocatePool(PoolType: PoolType | int, NumberOfBytes: int) -> int:
    """Allocate from a pool with the tag ``None``; see `PoolManager.allocate`.

    Returns:
        The block's address, or 0 for NULL.
    """
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, NONE_TAG)


def ExAllocatePoolWithTag(PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate from a pool; see `PoolManager.allocate`.

    Returns:
        The block's address, or 0 for NULL.
    """
    return current_kernel().pool.allocate(PoolType, NumberOfBytes, Tag) or 0


def ExAllocatePoolZero(PoolType: PoolType | int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate zeroed memory: POOL_ZERO_ALLOCATION OR-ed into the type.

    Returns:
        The block's address, or 0 for NULL.
    """
    return ExAllocatePoolWithTag(int(PoolType) | _ZERO, NumberOfBytes, Tag)


def ExAllocatePool2(Flags: int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate from the pool that the flags name, zeroed unless they say otherwise.

    Args:
        Flags: POOL_FLAG values: exactly one of NON_PAGED, NON_PAGED_EXECUTE and PAGED. An
            unknown bit in the low 32 makes the call fail, in the high 32 it is ignored.
        NumberOfBytes: not 0.
        Tag: not 0.

    Returns:
        The block's address, or 0 for NULL: no memory, or invalid arguments.

    Raises:
        NtStatusError: with POOL_FLAG_RAISE_ON_FAILURE, instead of NULL. Choice, where the
            documentation gives no value: STATUS_INVALID_PARAMETER for invalid arguments.

    Source:
        [doc] ExAllocatePool2, POOL_FLAGS; docs/sources.md, pool section 2.
    """
    tag = PoolTag(Tag)
    flags = unsigned("Flags", Flags, 64)
    pools = [pool for flag, pool in _POOL_OF_FLAG.items() if flags & flag]
    invalid = flags & _REQUIRED_FLAGS & ~_KNOWN_REQUIRED_FLAGS
    if invalid or len(pools) != 1 or not NumberOfBytes or not tag:
        current_kernel().check_running()
        if flags & POOL_FLAG_RAISE_ON_FAILURE:
            raise NtStatusError(
                NtStatus.STATUS_INVALID_PARAMETER,
                f"ExAllocatePool2(Flags {flags:#x}, {NumberOfBytes} bytes, tag {tag:#x})",
            )
        return 0
    pool_type = int(pools[0])
    if not flags & POOL_FLAG_UNINITIALIZED:
        pool_type |= _ZERO
    if flags & POOL_FLAG_RAISE_ON_FAILURE:
        pool_type |= int(PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE)
    if flags & POOL_FLAG_CACHE_ALIGNED:
        pool_type |= int(PoolType.NonPagedPoolCacheAligned)
    if flags & POOL_FLAG_SESSION:
        pool_type |= int(PoolType.NonPagedPoolSession)
    return ExAllocatePoolWithTag(pool_type, NumberOfBytes, tag)


def ExFreePool(P: int) -> None:
    """Free a block without checking its tag; see `PoolManager.free`."""
    current_kernel().pool.free(P)


def ExFreePoolWithTag(P: int, Tag: TagLike) -> None:
    """Free a block with a tag (0: no check); see `PoolManager.free`."""
    current_kernel().pool.free(P, Tag)


_ZERO: Final = int(PoolType.POOL_ZERO_ALLOCATION)


def _routine(name: str, given: _Routine | int | None) -> _Routine | None:
    """A routine, or None for NULL."""
    if given is None or (isinstance(given, int) and given == 0):
        return None
    if isinstance(given, int) or not callable(given):
        raise TypeError(f"{name} {given!r}: give a callable, or 0 for NULL")
    return given

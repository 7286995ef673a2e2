"""The exported routines of the three families of lookaside lists.

Lists of a driver lie in its data or its pool, and their bytes are what inlined code works on; the
objects only stand for them.

Source:
    [doc] the page of each routine (wdm.h). Choice: the obsolete lock of the older families' x86
    structure is left alone, as mingw-w64's header has it in another place than Microsoft's.
"""

from __future__ import annotations

from lookaside_sim.ddi.runtime import nx_where_opted_in
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export
from lookaside_sim.errors import NtStatusError
from lookaside_sim.nt.types import NtStatus, PoolTag, PoolType


def _check_alignment(env: Environment, address: int) -> None:
    if address & env.kernel.arch.next_entry_lost_bits:
        raise NtStatusError(
            NtStatus.STATUS_DATATYPE_MISALIGNMENT,
            f"a lookaside list at {address:#x}: its SLIST_HEADER is aligned to 16 bytes",
        )


@export("ExInitializeLookasideListEx")
def _initialize(
    env: Environment,
    lookaside: int,
    allocate: int,
    free: int,
    pool_type: int,
    flags: int,
    size: int,
    tag: int,
    depth: int,
) -> int:
    _check_alignment(env, lookaside)
    made = env.new_list(lookaside)
    return made.initialize(
        pool_type=nx_where_opted_in(made.machine.program, pool_type),
        size=size,
        tag=PoolTag(tag),
        flags=flags,
        depth=depth,
        allocate=env.routine(allocate, older=False, allocates=True),
        free=env.routine(free, older=False, allocates=False),
    )


def _initialize_older(
    env: Environment,
    pool_type: int,
    lookaside: int,
    allocate: int,
    free: int,
    flags: int,
    size: int,
    tag: int,
) -> None:
    _check_alignment(env, lookaside)
    made = env.new_list(lookaside)
    made.initialize_older(
        pool_type=nx_where_opted_in(made.machine.program, pool_type | flags),
        size=size,
        tag=PoolTag(tag),
        allocate=env.routine(allocate, older=True, allocates=True),
        free=env.routine(free, older=True, allocates=False),
    )


@export("ExInitializeNPagedLookasideList")
def _initialize_npaged(
    env: Environment,
    lookaside: int,
    allocate: int,
    free: int,
    flags: int,
    size: int,
    tag: int,
    depth: int,
) -> None:
    nonpaged = int(PoolType.NonPagedPool)
    _initialize_older(env, nonpaged, lookaside, allocate, free, flags, size, tag)


@export("ExInitializePagedLookasideList")
def _initialize_paged(
    env: Environment,
    lookaside: int,
    allocate: int,
    free: int,
    flags: int,
    size: int,
    tag: int,
    depth: int,
) -> None:
    paged = int(PoolType.PagedPool)
    _initialize_older(env, paged, lookaside, allocate, free, flags, size, tag)


@export("ExDeleteLookasideListEx", "ExDeleteNPagedLookasideList", "ExDeletePagedLookasideList")
def _delete(env: Environment, lookaside: int) -> None:
    env.list_at(lookaside).delete()


@export("ExFlushLookasideListEx")
def _flush(env: Environment, lookaside: int) -> None:
    env.list_at(lookaside).flush()


@export("ExAllocateFromLookasideListEx", "ExAllocateFromPagedLookasideList")
def _allocate(env: Environment, lookaside: int) -> int:
    return env.list_at(lookaside).allocate() or 0


@export("ExFreeToLookasideListEx", "ExFreeToPagedLookasideList")
def _free(env: Environment, lookaside: int, entry: int) -> None:
    env.list_at(lookaside).free(entry)

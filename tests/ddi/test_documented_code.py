"""The code on the documentation's pages of lookaside lists, written down and run, step by step."""

# ruff: noqa: F403, F405, N802, N803, N806 - spelled as C spells it

from __future__ import annotations

from typing import Any

import pytest

from lookaside_sim import Kernel, NtStatusError
from lookaside_sim.ddi import *
from tests.helpers import both_machines

ENTRY_SIZE = 256
MY_POOL_TAG = literal("tsLL")
MY_PRIVATE_DATA = structure(
    "MY_PRIVATE_DATA",
    ("NumberOfAllocations", ULONG),
    ("NumberOfFrees", ULONG),
    ("LookasideField", LOOKASIDE_LIST_EX),
)


def counted(Lookaside: Any, name: str) -> int:
    """Where the private data around a list counts."""
    MyContext = CONTAINING_RECORD(Lookaside, MY_PRIVATE_DATA, "LookasideField")
    return int(MyContext) + FIELD_OFFSET(MY_PRIVATE_DATA, name)


def MyLookasideListAllocateEx(
    PoolType: int, NumberOfBytes: int, Tag: int, Lookaside: Any
) -> int:
    NewEntry = ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag)
    if NewEntry:
        InterlockedIncrement(counted(Lookaside, "NumberOfAllocations"))
    return NewEntry


def MyLookasideListFreeEx(Buffer: int, Lookaside: Any) -> None:
    InterlockedIncrement(counted(Lookaside, "NumberOfFrees"))
    ExFreePool(Buffer)


@both_machines
@pytest.mark.parametrize("flags", [0, EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL])
def test_the_example_of_ex_initialize_lookaside_list_ex(arch: str, flags: int) -> None:
    with Kernel(arch) as kernel:
        MyContext = MY_PRIVATE_DATA(
            ExAllocatePoolWithTag(NonPagedPool, sizeof(MY_PRIVATE_DATA), MY_POOL_TAG)
        )
        MyContext.NumberOfAllocations = 0
        MyContext.NumberOfFrees = 0
        List = MyContext.LookasideField
        status = ExInitializeLookasideListEx(
            List,
            MyLookasideListAllocateEx,
            MyLookasideListFreeEx,
            NonPagedPool,
            flags,
            ENTRY_SIZE,
            MY_POOL_TAG,
            0,
        )
        assert status == STATUS_SUCCESS
        (lookaside,) = kernel.lookaside_lists
        assert lookaside.address == int(MyContext) + (16 if arch == "x64" else 8)
        # "The lookaside list is initialized but contains no entries."
        assert (MyContext.NumberOfAllocations, lookaside.current_depth) == (0, 0)
        # "If the list is empty, calls LookasideListAllocateEx."
        Entries = [ExAllocateFromLookasideListEx(List) for _ in range(6)]
        assert MyContext.NumberOfAllocations == 6
        assert str(kernel.pool.query(Entries[0]).tag) == "LLst"  # type: ignore[union-attr]
        # "If the number of entries reaches a limit, passes these entries to LookasideListFreeEx."
        for Entry in Entries:
            ExFreeToLookasideListEx(List, Entry)
        assert (MyContext.NumberOfFrees, lookaside.current_depth) == (2, 4)
        assert ExAllocateFromLookasideListEx(List) == Entries[3]
        assert MyContext.NumberOfAllocations == 6
        ExFreeToLookasideListEx(List, Entries[3])
        # "This routine frees the storage for any remaining entries."
        ExDeleteLookasideListEx(List)
        assert MyContext.NumberOfFrees == 6
        ExFreePoolWithTag(int(MyContext), MY_POOL_TAG)
        assert kernel.pool.usage(MY_POOL_TAG).outstanding == 0
        kernel.check()


@both_machines
def test_the_pool_type_that_an_allocate_routine_gets(arch: str) -> None:
    """It may be passed on as it is: to the routine that raises, or to the one with quota."""
    routines = {
        0: ExAllocatePoolWithTag,
        EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL: ExAllocatePoolWithTag,
        EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE: ExAllocatePoolWithQuotaTag,
    }
    for flags, routine in routines.items():
        with Kernel(arch, paged_pool_bytes=0) as kernel:
            seen = []

            def allocate(PoolType: int, NumberOfBytes: int, Tag: int, Lookaside: Any) -> int:
                seen.append((PoolType, NumberOfBytes, Tag))  # noqa: B023
                return routine(PoolType, NumberOfBytes, Tag)  # noqa: B023

            List = kernel.lookaside_list()
            status = ExInitializeLookasideListEx(
                List, allocate, None, PagedPool, flags, ENTRY_SIZE, MY_POOL_TAG, 0
            )
            assert status == STATUS_SUCCESS
            if flags == EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL:
                with pytest.raises(NtStatusError) as caught:
                    ExAllocateFromLookasideListEx(List)
                assert caught.value.status == STATUS_INSUFFICIENT_RESOURCES
            else:
                assert ExAllocateFromLookasideListEx(List) == 0
            bit = {
                0: 0,
                1: POOL_RAISE_IF_ALLOCATION_FAILURE,
                2: POOL_QUOTA_FAIL_INSTEAD_OF_RAISE,
            }
            assert seen == [(PagedPool | bit[flags], ENTRY_SIZE, MY_POOL_TAG)]


@both_machines
@pytest.mark.parametrize("pool_type", [NonPagedPool, PagedPool])
def test_the_routines_of_an_older_list(arch: str, pool_type: int) -> None:
    """XxxAllocate(PoolType, NumberOfBytes, Tag), with the values that were given; XxxFree(Buffer)."""
    paged = pool_type == PagedPool
    initialize = ExInitializePagedLookasideList if paged else ExInitializeNPagedLookasideList
    take = ExAllocateFromPagedLookasideList if paged else ExAllocateFromNPagedLookasideList
    give = ExFreeToPagedLookasideList if paged else ExFreeToNPagedLookasideList
    delete = ExDeletePagedLookasideList if paged else ExDeleteNPagedLookasideList
    kind = PAGED_LOOKASIDE_LIST if paged else NPAGED_LOOKASIDE_LIST
    with Kernel(arch) as kernel:
        calls: list[tuple[int, ...]] = []

        def XxxAllocate(PoolType: int, NumberOfBytes: int, Tag: int) -> int:
            calls.append((PoolType, NumberOfBytes, Tag))
            return ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag)

        def XxxFree(Buffer: int) -> None:
            calls.append((Buffer,))
            ExFreePool(Buffer)

        driver = kernel.load_driver("xxx.sys")
        with driver:
            List = variable(kind)
            initialize(List, XxxAllocate, XxxFree, 0, ENTRY_SIZE, MY_POOL_TAG, 0)
            Entry = take(List)
            give(List, Entry)
            assert take(List) == Entry
            give(List, Entry)
            delete(List)
        assert calls == [(pool_type, ENTRY_SIZE, MY_POOL_TAG), (Entry,)]
        driver.unload()

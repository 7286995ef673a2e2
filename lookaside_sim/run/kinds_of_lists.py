"""The kinds of calls on lookaside lists and SLISTs; see `lookaside_sim.run.kinds`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lookaside_sim.lookaside import calls as lists
from lookaside_sim.lookaside import slist
from lookaside_sim.nt.types import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    NtStatus,
    PoolTag,
    PoolType,
)
from lookaside_sim.run.kind import Kind, Notebook, Stage
from lookaside_sim.run.rows import Key
from lookaside_sim.sanitizer.list import SanitizedList

_REFUSALS: Final[Mapping[int, Mapping[str, Any]]] = {
    int(NtStatus.STATUS_INVALID_PARAMETER_4): {"pool_type": 3},
    int(NtStatus.STATUS_INVALID_PARAMETER_5): {"flags": 4},
    int(NtStatus.STATUS_INVALID_PARAMETER_8): {"depth": 1},
}
"""Arguments that are refused with a status: the call says no more than the status."""
_RAISE: Final = int(PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE)
_FAIL: Final = int(PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE)


def _list_key(book: Notebook, call: lists.ListCall) -> Key:
    return (book.list_number(call.lookaside),)


def _initialize_key(book: Notebook, call: lists.InitializeList) -> Key:
    number = book.list_number(call.lookaside)
    settings = call.settings
    if isinstance(settings, NtStatus):
        return number, call.size, int(call.is_older), int(settings), (), 0, 0
    values = (
        int(settings.pool_type),
        settings.size,
        int(settings.tag),
        settings.maximum_depth,
    )
    allocate, free = book.routine_numbers(call.lookaside)
    return number, call.size, int(call.is_older), 0, values, allocate, free


def _initialize(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    number, size, is_older, status, values, allocate, free = key
    lookaside = stage.list(number)
    if status:
        return lookaside.initialize(size=size, tag=0, **_REFUSALS[status])
    pool_type, _, tag, depth = values
    routines = {
        "allocate": stage.allocate_routine(allocate),
        "free": stage.free_routine(free),
    }
    if is_older:
        lookaside.initialize_older(pool_type=pool_type, size=size, tag=tag, **routines)
        return None
    flags = 0
    if pool_type & _RAISE:
        flags = EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL
    elif pool_type & _FAIL:
        flags = EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE
    return lookaside.initialize(
        pool_type=pool_type & ~(_RAISE | _FAIL),
        size=size,
        tag=tag,
        flags=flags,
        depth=depth,
        **routines,
    )


def _initialize_arguments(key: Key, words: tuple[int, ...]) -> dict[str, Any]:
    _, size, is_older, status, values, allocate, free = key
    shown: dict[str, Any] = {"Size": size}
    if not status:
        pool_type, _, tag, depth = values
        shown = {"PoolType": PoolType(pool_type), "Size": size, "Tag": PoolTag(tag)}
        if not is_older:
            shown["Depth"] = depth
        if allocate:
            shown["Allocate"] = allocate
        if free:
            shown["Free"] = free
    return shown


def _delete(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    lookaside = stage.list(key[0])
    if isinstance(lookaside, SanitizedList) and not key[1]:
        return lookaside.delete_anyway()
    return lookaside.delete()


def _delete_key(book: Notebook, call: lists.DeleteList) -> Key:
    # Where a block is left by an error, a sanitized list goes without a report.
    return book.list_number(call.lookaside), int(call.error is not None)


LISTS: Final = (
    Kind(
        lists.InitializeList,
        "ExInitializeLookasideListEx",
        _initialize,
        _initialize_key,
        has_result=True,
        arguments=_initialize_arguments,
        on_list=True,
        takes=(int, int, int, int, tuple, int, int),
    ),
    Kind(
        lists.AllocateEntry,
        "ExAllocateFromLookasideListEx",
        lambda stage, key, words: stage.list(key[0]).allocate(),
        _list_key,
        has_result=True,
        on_list=True,
        makes_blocks=True,
        takes=(int,),
    ),
    Kind(
        lists.FreeEntry,
        "ExFreeToLookasideListEx",
        lambda stage, key, words: stage.list(key[0]).free(words[0] or None),
        _list_key,
        lambda book, call: (call.entry,),
        arguments=lambda key, words: {"Entry": words[0]},
        on_list=True,
        takes=(int,),
        operand_count=1,
    ),
    Kind(
        lists.FlushList,
        "ExFlushLookasideListEx",
        lambda stage, key, words: stage.list(key[0]).flush(),
        _list_key,
        on_list=True,
        takes=(int,),
    ),
    Kind(
        lists.DeleteList,
        "ExDeleteLookasideListEx",
        _delete,
        _delete_key,
        on_list=True,
        takes=(int, int),
    ),
    Kind(
        lists.ResetCounters,
        "!lookaside 1",
        lambda stage, key, words: stage.list(key[0]).reset_counters(),
        _list_key,
        on_list=True,
        takes=(int,),
    ),
    Kind(
        lists.SetDepth,
        "!lookaside 2",
        lambda stage, key, words: stage.list(key[0]).set_depth(key[1]),
        lambda book, call: (book.list_number(call.lookaside), call.depth),
        arguments=lambda key, words: {"Depth": key[1]},
        on_list=True,
        takes=(int, int),
    ),
    Kind(
        lists.SetMinimumDepth,
        "ExMinimumLookasideDepth",
        lambda stage, key, words: setattr(stage.kernel, "minimum_lookaside_depth", key[0]),
        lambda book, call: (call.depth,),
        arguments=lambda key, words: {"Depth": key[0]},
        takes=(int,),
    ),
    Kind(
        slist.InitializeSList,
        "InitializeSListHead",
        lambda stage, key, words: stage.kernel.slists.initialize(key[0]),
        lambda book, call: (call.head,),
        arguments=lambda key, words: {"ListHead": key[0]},
        takes=(int,),
    ),
    Kind(
        slist.PushEntry,
        "InterlockedPushEntrySList",
        lambda stage, key, words: stage.kernel.slists.push(key[0], words[0]),
        lambda book, call: (call.head,),
        lambda book, call: (call.entry,),
        has_result=True,
        arguments=lambda key, words: {"ListHead": key[0], "ListEntry": words[0]},
        takes=(int,),
        operand_count=1,
    ),
    Kind(
        slist.PopEntry,
        "InterlockedPopEntrySList",
        lambda stage, key, words: stage.kernel.slists.pop(key[0]),
        lambda book, call: (call.head,),
        has_result=True,
        arguments=lambda key, words: {"ListHead": key[0]},
        takes=(int,),
    ),
    Kind(
        slist.FlushSList,
        "InterlockedFlushSList",
        lambda stage, key, words: stage.kernel.slists.flush(key[0]),
        lambda book, call: (call.head,),
        has_result=True,
        arguments=lambda key, words: {"ListHead": key[0]},
        takes=(int,),
    ),
)

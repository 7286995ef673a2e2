"""The kinds of calls of the pool; see `lookaside_sim.run.kinds`."""

from __future__ import annotations

from typing import Any, Final

from lookaside_sim.errors import BugCheck
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.pool import calls as pool
from lookaside_sim.run.kind import Kind, Notebook, Stage
from lookaside_sim.run.rows import Key

_EXTENDED_PARAMETERS: Final = 0x99
"""BAD_POOL_CALLER, parameter 1, of a free with extended parameters."""


def _block_key(book: Notebook, call: pool.AllocateBlock) -> Key:
    priority = -1 if call.priority is None else call.priority
    return (
        int(call.pool_type),
        call.size,
        int(call.tag),
        int(call.charged),
        priority,
        int(call.special),
    )


def _allocate_block(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    pool_type, size, tag, charged, priority, special = key
    kernel = stage.kernel
    if charged:
        return kernel.quota.allocate(pool_type, size, tag)
    if special:
        return kernel.pool.allocate_special(pool_type, size, tag)
    if priority >= 0:
        return kernel.pool.allocate_with_priority(pool_type, size, tag, priority)
    return kernel.pool.allocate(pool_type, size, tag)


def _block_arguments(key: Key, words: tuple[int, ...]) -> dict[str, Any]:
    shown = {
        "PoolType": PoolType(key[0]),
        "NumberOfBytes": key[1],
        "Tag": PoolTag(key[2]),
    }
    return shown if key[4] < 0 else {**shown, "Priority": key[4]}


def _free_key(book: Notebook, call: pool.FreeBlock) -> Key:
    error = call.error
    extended = isinstance(error, BugCheck) and error.parameters[0] == _EXTENDED_PARAMETERS
    return int(call.tag or 0), int(extended)


def _free_block(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    if key[1]:
        return stage.refused_parameters(words[0])
    return stage.kernel.pool.free(words[0], key[0] or None)


def _free_arguments(key: Key, words: tuple[int, ...]) -> dict[str, Any]:
    return {"P": words[0], **({"Tag": PoolTag(key[0])} if key[0] else {})}


POOL: Final = (
    Kind(
        pool.AllocateBlock,
        "ExAllocatePoolWithTag",
        _allocate_block,
        _block_key,
        has_result=True,
        arguments=_block_arguments,
        makes_blocks=True,
        takes=(int, int, int, int, int, int),
    ),
    Kind(
        pool.FreeBlock,
        "ExFreePoolWithTag",
        _free_block,
        _free_key,
        lambda book, call: (call.address,),
        arguments=_free_arguments,
        takes=(int, int),
        operand_count=1,
    ),
)

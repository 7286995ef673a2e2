"""The exported interlocked routines that `ddi` lacks: those with a lock, and x86's fast ones.

The locks are not taken: nothing else runs meanwhile.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim import ddi
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export


@export("ExInterlockedAddLargeStatistic")
def _add_statistic(env: Environment, addend: int, increment: int) -> None:
    env.put(addend, env.number(addend, 8) + increment, 8)


@export("ExInterlockedAddLargeInteger")
def _add_large(env: Environment, addend: int, increment: int, lock: int) -> int:
    before = env.number(addend, 8)
    env.put(addend, before + increment, 8)
    return before


@export("ExInterlockedAddUlong")
def _add(env: Environment, addend: int, increment: int, lock: int) -> int:
    before = env.number(addend, 4)
    env.put(addend, before + increment, 4)
    return before


@export("ExfInterlockedCompareExchange64")
def _exchange(env: Environment, target: int, exchange: int, comparand: int) -> int:
    before = env.number(target, 8)
    if before == env.number(comparand, 8):
        env.put(target, env.number(exchange, 8), 8)
    return before


@export("ExfInterlockedInsertHeadList")
def _insert_head(env: Environment, head: int, entry: int, lock: int) -> int:
    return ddi.ExInterlockedInsertHeadList(head, entry, lock)


@export("ExfInterlockedInsertTailList")
def _insert_tail(env: Environment, head: int, entry: int, lock: int) -> int:
    return ddi.ExInterlockedInsertTailList(head, entry, lock)


@export("ExfInterlockedRemoveHeadList")
def _remove_head(env: Environment, head: int, lock: int) -> int:
    return ddi.ExInterlockedRemoveHeadList(head, lock)


@export("ExfInterlockedPushEntryList")
def _push(env: Environment, head: int, entry: int, lock: int) -> int:
    return ddi.ExInterlockedPushEntryList(head, entry, lock)


@export("ExfInterlockedPopEntryList")
def _pop(env: Environment, head: int, lock: int) -> int:
    return ddi.ExInterlockedPopEntryList(head, lock)

"""The exported SLIST routines under the names that compiled code imports.

Most calls never come here: `lookaside_sim.drive.native`. While somebody listens, they do.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export


@export("InitializeSListHead")
def _initialize(env: Environment, head: int) -> None:
    env.kernel.slists.initialize(head)


@export("FirstEntrySList")
def _first(env: Environment, head: int) -> int:
    return env.kernel.slists.first(head)


@export("ExpInterlockedPopEntrySList", "InterlockedPopEntrySList")
def _pop(env: Environment, head: int) -> int:
    entry = env.watch.pop(head)
    return env.kernel.slists.pop(head) if entry is None else entry


@export("ExInterlockedPopEntrySList")
def _pop_with_lock(env: Environment, head: int, lock: int) -> int:
    return _pop(env, head)


@export("ExpInterlockedPushEntrySList", "InterlockedPushEntrySList")
def _push(env: Environment, head: int, entry: int) -> int:
    first = env.watch.push(head, entry)
    return env.kernel.slists.push(head, entry) if first is None else first


@export("ExInterlockedPushEntrySList")
def _push_with_lock(env: Environment, head: int, entry: int, lock: int) -> int:
    return _push(env, head, entry)


@export("ExpInterlockedFlushSList", "ExInterlockedFlushSList")
def _flush(env: Environment, head: int) -> int:
    return env.kernel.slists.flush(head)


@export("ExQueryDepthSList")
def _depth(env: Environment, head: int) -> int:
    return env.kernel.slists.depth(head)

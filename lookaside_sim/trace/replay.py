"""Run a trace on a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from lookaside_sim.errors import NtStatusError, TraceError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import NONE_TAG, Irql, NtStatus, PoolTag, PoolType
from lookaside_sim.trace.format import Event

MICROSECONDS: Final = 1_000_000
LOOKASIDE_TAG: Final = PoolTag(b"Look")
"""Tag of the lists that a replay makes for sizes of a heap trace."""
_PROGRESS_MASK: Final = (1 << 14) - 1
_FIELD_OF_STATUS: Final = {
    NtStatus.STATUS_INVALID_PARAMETER_4: "pool",
    NtStatus.STATUS_INVALID_PARAMETER_5: "flags",
    NtStatus.STATUS_INVALID_PARAMETER_8: "depth",
}


@attrs.define(eq=False)
class Replay:
    """What a replay did, and the machine it did it on.

    Attributes:
        kernel: the machine, as the trace left it.
        lists: the lists by name, those for sizes of a heap trace first.
        live: address of each allocation not freed yet, by id; None where it failed.
        events: events run.
        ticks: whole seconds that passed, each one run of the balance set manager.
        failed: allocations that got no memory.
        pool_calls: allocations and frees that went to the pool straight, without a list.
    """

    kernel: Kernel
    lists: dict[str, LookasideList] = attrs.field(factory=dict)
    live: dict[int, int | None] = attrs.field(factory=dict)
    events: int = 0
    ticks: int = 0
    failed: int = 0
    pool_calls: int = 0

    @property
    def list_calls(self) -> int:
        """Allocate and free calls on lists."""
        return sum(each.total_allocates + each.total_frees for each in self.lists.values())

    @property
    def saved_pool_calls(self) -> int:
        """Calls on lists that needed no call of the pool: the hits."""
        misses = sum(each.allocate_misses + each.free_misses for each in self.lists.values())
        return self.list_calls - misses

    @property
    def held_entries(self) -> int:
        """Free entries on the lists now."""
        return sum(each.current_depth for each in self.lists.values())

    @property
    def held_bytes(self) -> int:
        """Bytes of the free entries on the lists now, as their sizes say."""
        return sum(each.current_depth * each.size for each in self.lists.values())


def replay(
    trace: Iterable[Event],
    kernel: Kernel | None = None,
    *,
    lookaside: Iterable[int] = (),
    progress: Callable[[Replay], None] | None = None,
) -> Replay:
    """Run every event of a trace.

    The trace is read once, an event at a time. Each whole second it passes is one tick. An
    allocation that fails is counted, and its free is skipped.

    Args:
        trace: from `load`, or any events.
        kernel: the machine to run it on; None for a new one with the defaults.
        lookaside: sizes in bytes; allocations of exactly such a size that name no list, from
            NonPagedPool, are served by a list of that size.
        progress: called now and then with the replay so far.

    Returns:
        What was done.

    Raises:
        TraceError: an event that cannot follow the events before it, or an init that
            ExInitializeLookasideListEx refuses.
        BugCheck: the machine stopped.
        ValueError: a size in ``lookaside`` that no list can have.
    """
    name = str(getattr(trace, "name", "events"))
    done = Replay(Kernel() if kernel is None else kernel)
    kernel = done.kernel
    kernel.check_running()
    by_size: dict[int, LookasideList] = {}
    for size in dict.fromkeys(lookaside):
        unsigned("lookaside size", size, 32)
        each = LookasideList(kernel, f"heap-{size}")
        each.initialize(pool_type=PoolType.NonPagedPool, size=size, tag=LOOKASIDE_TAG)
        by_size[size] = done.lists[each.name] = each
    made_here = frozenset(done.lists)
    # Where to free what: the list an entry came from, None for the pool.
    owners: dict[int, LookasideList | None] = {}
    live = done.live
    pool = kernel.pool
    second = 0
    for event in trace:
        op, time, identity = event[:3]
        if time >= (second + 1) * MICROSECONDS:
            passed = time // MICROSECONDS - second
            kernel.tick(passed)
            second += passed
            done.ticks += passed
        if op == "alloc":
            if identity is None or identity in owners:
                raise TraceError(
                    name, event.line, "id", f"{identity} is still live: free it before"
                )
            owner: LookasideList | None
            if event.list is not None:
                owner = _find(done, event, name)
            elif event.pool or event.size is None:
                owner = None  # a list serves one pool, and NonPagedPool is 0
            else:
                owner = by_size.get(event.size)
            try:
                if owner is not None:
                    address = owner.allocate()
                else:
                    done.pool_calls += 1
                    address = _allocate(kernel, event, name)
            except NtStatusError:
                address = None
            if address is None:
                done.failed += 1
            owners[identity] = owner
            live[identity] = address
        elif op == "free":
            if identity is None or identity not in owners:
                raise TraceError(
                    name, event.line, "id", f"{identity} is not live: allocate it before"
                )
            owner = owners.pop(identity)
            address = live.pop(identity)
            if address is not None:
                if owner is not None:
                    owner.free(address)
                else:
                    done.pool_calls += 1
                    pool.free(address)
        elif op == "init":
            if event.list in made_here:
                problem = f"{event.list!r} is what this replay calls the list of a size"
                raise TraceError(name, event.line, "list", problem)
            _initialize(done, event, name)
        elif op == "flush":
            _find(done, event, name).flush()
        elif op == "delete":
            _find(done, event, name).delete()
        else:
            _change_irql(kernel, event, name)
        done.events += 1
        if progress is not None and not done.events & _PROGRESS_MASK:
            progress(done)
    return done


def _allocate(kernel: Kernel, event: Event, name: str) -> int | None:
    if event.size is None:
        raise TraceError(name, event.line, "size", "missing: 'alloc' without a list needs it")
    _check_widths(kernel, event, name)
    pool_type = PoolType.NonPagedPool if event.pool is None else event.pool
    if not kernel.pool.serves(int(pool_type)):
        raise TraceError(
            name, event.line, "pool", f"pool type {int(pool_type):#x}: no pool serves it"
        )
    tag = NONE_TAG if event.tag is None else event.tag
    return kernel.pool.allocate(pool_type, event.size, tag)


def _check_widths(kernel: Kernel, event: Event, name: str) -> None:
    """Refuse a number that its C type cannot hold."""
    for field, bits in (("size", kernel.arch.address_bits), ("flags", 32), ("pool", 32)):
        value = getattr(event, field)
        if value is not None and int(value) >> bits:
            raise TraceError(
                name, event.line, field, f"{int(value)}: give 0 to {(1 << bits) - 1}"
            )


def _find(done: Replay, event: Event, name: str) -> LookasideList:
    found = done.lists.get(event.list or "")
    if found is None:
        raise TraceError(name, event.line, "list", f"{event.list!r} was never initialized")
    return found


def _initialize(done: Replay, event: Event, name: str) -> None:
    """Initialize a list, a second time too: what NT does then is the program's business."""
    if not event.list or event.size is None:
        field = "size" if event.list else "list"
        raise TraceError(name, event.line, field, "missing: 'init' needs it")
    _check_widths(done.kernel, event, name)
    found = done.lists.get(event.list)
    made = LookasideList(done.kernel, event.list) if found is None else found
    status = made.initialize(
        pool_type=PoolType.NonPagedPool if event.pool is None else event.pool,
        size=event.size,
        tag=NONE_TAG if event.tag is None else event.tag,
        flags=event.flags or 0,
        depth=event.depth or 0,
    )
    if not status.is_success:
        field = _FIELD_OF_STATUS[status]
        raise TraceError(
            name, event.line, field, f"{getattr(event, field)!r} is refused: {status.name}"
        )
    done.lists[event.list] = made


def _change_irql(kernel: Kernel, event: Event, name: str) -> None:
    level = event.level
    if level is None or not Irql.PASSIVE_LEVEL <= level <= Irql.HIGH_LEVEL:
        raise TraceError(name, event.line, "level", f"{level}: give 0 to 15")
    if level > kernel.irql:
        kernel.raise_irql(level)
    else:
        kernel.lower_irql(level)

"""Run a trace on a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final

import attrs

from lookaside_sim.errors import NtStatusError, TraceError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.arguments import shown, unsigned
from lookaside_sim.nt.types import NONE_TAG, Irql, NtStatus, PoolTag, PoolType
from lookaside_sim.pool.plans import MOST_PLANS, PoolPlan
from lookaside_sim.trace.columns import Columns
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.format import Trace
from lookaside_sim.trace.lines import Chunk

MICROSECONDS: Final = 1_000_000
LOOKASIDE_TAG: Final = PoolTag(b"Look")
"""Tag of the lists that a replay makes for sizes of a heap trace."""
_PROGRESS_MASK: Final = (1 << 14) - 1
_TIME_BITS: Final = 64
"""Of a time in microseconds, half a million years."""
_NONPAGED: Final = PoolType.NonPagedPool
_NOTHING: Final = 0
"""Where no allocation is: no block lies there, and None says that one failed."""
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
    run = _Run(trace, Replay(Kernel() if kernel is None else kernel), lookaside)
    chunks: Iterable[Chunk] = trace.chunks() if isinstance(trace, Trace) else _singly(trace)
    for chunk in chunks:
        for part in (chunk,) if progress is None else _parts(chunk, run.done.events):
            if isinstance(part, Columns):
                run.columns(part)
            else:
                for event in part:
                    run.event(event)
            if progress is not None and not run.done.events & _PROGRESS_MASK:
                progress(run.done)
    return run.done


def _singly(trace: Iterable[Event]) -> Iterator[list[Event]]:
    """Events from elsewhere, one at a time: no event is asked for before the last was run."""
    for event in trace:
        yield [event]


def _parts(chunk: Chunk, events: int) -> Iterator[Chunk]:
    """Cut a chunk where progress is due, after so many events before it."""
    length = len(chunk.times) if isinstance(chunk, Columns) else len(chunk)
    due = (_PROGRESS_MASK + 1) - (events & _PROGRESS_MASK)
    start = 0
    while start < length:
        part = slice(start, min(due, length))
        yield chunk.part(part) if isinstance(chunk, Columns) else chunk[part]
        start, due = due, due + _PROGRESS_MASK + 1


class _Run:
    """A replay that runs.

    Args:
        trace: what is run; its name is shown by errors.
        done: what was done so far.
        lookaside: sizes that get lists.
    """

    __slots__ = ("_by_size", "_made_here", "_name", "_owners", "_plans", "_second", "done")

    def __init__(self, trace: object, done: Replay, lookaside: Iterable[int]) -> None:
        self._name = str(getattr(trace, "name", "events"))
        self.done = done
        kernel = done.kernel
        kernel.check_running()
        self._by_size: dict[int | None, LookasideList] = {}
        for size in dict.fromkeys(lookaside):
            unsigned("lookaside size", size, 32)
            each = LookasideList(kernel, f"heap-{size}")
            each.initialize(pool_type=PoolType.NonPagedPool, size=size, tag=LOOKASIDE_TAG)
            self._by_size[size] = done.lists[each.name] = each
        self._made_here = frozenset(done.lists)
        # The list that a live allocation came from, where it came from one.
        self._owners: dict[int, LookasideList] = {}
        self._plans: dict[int, PoolPlan] = {}
        self._second = 0

    def columns(self, chunk: Columns) -> None:
        """Run events of a heap trace."""
        done = self.done
        live, owners, lists = done.live, self._owners, self._by_size
        pool = done.kernel.pool
        allocate = pool.allocate
        free: Callable[[int], None] = pool.free
        plans = None
        if not done.kernel.machine.hooks.listening:
            # Requests repeat, and nobody is told of them: go to the pool's door with plans.
            serve, free = pool.requests.top.allocate, pool.requests.top.free
            plans = self._plans
        bits = done.kernel.arch.address_bits
        next_second = (self._second + 1) * MICROSECONDS
        pool_calls = 0
        line = chunk.line - 1
        try:
            for line, time, identity, size in zip(
                count(chunk.line), chunk.times, chunk.ids, chunk.sizes, strict=False
            ):
                if time >= next_second:
                    self._pass_time(time, line)
                    next_second = (self._second + 1) * MICROSECONDS
                if size is None:
                    address = live.pop(identity, _NOTHING)
                    if address:
                        if owners:
                            owner = owners.pop(identity, None)
                            if owner is not None:
                                owner.free(address)
                                continue
                        pool_calls += 1
                        free(address)
                    elif address is None:
                        owners.pop(identity, None)
                    else:
                        raise _not_live(identity, self._name, line)
                    continue
                if identity in live:
                    raise _still_live(identity, self._name, line)
                owner = lists.get(size)
                if owner is not None:
                    address = owner.allocate()
                    owners[identity] = owner
                else:
                    pool_calls += 1
                    if plans is not None:
                        plan = plans.get(size)
                        if plan is None:
                            plan = self._plan(size, bits, line)
                        address = serve(plan) or None
                    elif size >> bits:
                        raise _too_wide("size", size, bits, self._name, line)
                    else:
                        address = allocate(_NONPAGED, size, NONE_TAG)
                if address is None:
                    done.failed += 1
                live[identity] = address
            line += 1
        finally:
            done.pool_calls += pool_calls
            done.events += line - chunk.line

    def _plan(self, size: int, bits: int, line: int) -> PoolPlan:
        """Work out what allocations of a size need, once."""
        if size >> bits:
            raise _too_wide("size", size, bits, self._name, line)
        plan = self.done.kernel.pool.plan(int(_NONPAGED), size, NONE_TAG)
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        self._plans[size] = plan
        return plan

    def event(self, event: Event) -> None:
        """Run any event."""
        done, name = self.done, self._name
        kernel, live, owners = done.kernel, done.live, self._owners
        op, time, identity = event[:3]
        if time >= (self._second + 1) * MICROSECONDS:
            self._pass_time(time, event.line)
        if op == "alloc":
            if identity is None or identity in live:
                raise _still_live(identity, name, event.line)
            owner: LookasideList | None
            if event.list is not None:
                owner = _find(done, event, name)
            elif event.pool or event.size is None:
                owner = None  # a list serves one pool, and NonPagedPool is 0
            else:
                owner = self._by_size.get(event.size)
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
            if owner is not None:
                owners[identity] = owner
            live[identity] = address
        elif op == "free":
            if identity is None or identity not in live:
                raise _not_live(identity, name, event.line)
            owner = owners.pop(identity, None)
            address = live.pop(identity)
            if address is not None:
                if owner is not None:
                    owner.free(address)
                else:
                    done.pool_calls += 1
                    kernel.pool.free(address)
        elif op == "init":
            if event.list in self._made_here:
                problem = f"{shown(event.list)} is what this replay calls the list of a size"
                raise TraceError(name, event.line, "list", problem)
            _initialize(done, event, name)
        elif op == "flush":
            _find(done, event, name).flush()
        elif op == "delete":
            _find(done, event, name).delete()
        else:
            _change_irql(kernel, event, name)
        done.events += 1

    def _pass_time(self, time: int, line: int) -> None:
        if time >> _TIME_BITS:
            raise _too_wide("t", time, _TIME_BITS, self._name, line)
        passed = time // MICROSECONDS - self._second
        self.done.kernel.tick(passed)
        self._second += passed
        self.done.ticks += passed


def _still_live(identity: int | None, name: str, line: int) -> TraceError:
    return TraceError(name, line, "id", f"{identity} is still live: free it before")


def _not_live(identity: int | None, name: str, line: int) -> TraceError:
    return TraceError(name, line, "id", f"{identity} is not live: allocate it before")


def _too_wide(field: str, value: int, bits: int, name: str, line: int) -> TraceError:
    return TraceError(name, line, field, f"{value}: give 0 to {(1 << bits) - 1}")


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
            raise _too_wide(field, int(value), bits, name, event.line)


def _find(done: Replay, event: Event, name: str) -> LookasideList:
    found = done.lists.get(event.list or "")
    if found is None:
        raise TraceError(name, event.line, "list", f"{shown(event.list)} was never initialized")
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
            name, event.line, field, f"{shown(getattr(event, field))} is refused: {status.name}"
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

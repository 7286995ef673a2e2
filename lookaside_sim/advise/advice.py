"""Ranks what a trace allocates by what a lookaside list of its own would save.

Source:
    docs/advice.md: why one pass is enough for all lists, and for all depths.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

import attrs

from lookaside_sim.advise.counted import (
    CountedList,
    Second,
    all_seconds,
    call_lists,
    make_lists,
)
from lookaside_sim.advise.depths import AllDepths, Depths
from lookaside_sim.advise.policy import NT, Policy
from lookaside_sim.advise.streams import (
    Apart,
    Key,
    Streams,
    Taken,
    by_site,
    by_size,
    by_tag,
    chunks_of,
)
from lookaside_sim.errors import TraceEndError
from lookaside_sim.nt.layouts import Architecture, architecture
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.format import Trace
from lookaside_sim.trace.lines import Chunk
from lookaside_sim.trace.packed import Block

BY: Final[dict[str, Apart]] = {"size": by_size, "tag": by_tag, "site": by_site}
"""What lists are told apart by, besides the pool type."""
SHARE: Final = 0.95
"""The best fixed depth is the least that saves this part of what the deepest list saves."""


@attrs.frozen
class Row:
    """What one list would do for the calls that it could serve.

    Attributes:
        pool_type: of its entries.
        size: of its entries, in bytes.
        tag: of its entries; None where allocations with different tags share the list.
        site: where they are allocated; None where all sites share the list, or none is known.
        total_allocates: allocate calls.
        allocate_misses: those that find it empty.
        total_frees: free calls.
        free_misses: those that find it full.
        depth: its depth at the end.
        current_depth: free entries on it at the end.
        most_held: the most free entries on it.
        average_held: free entries on it, on average over the ends of seconds.
        depths: the same calls under every fixed depth; None where not asked for.
        sizes: the sizes that it serves, in order; more than one in a group.
        seconds: the tuning second by second; None where not asked for.
    """

    pool_type: PoolType
    size: int
    tag: PoolTag | None
    site: str | None
    total_allocates: int
    allocate_misses: int
    total_frees: int
    free_misses: int
    depth: int
    current_depth: int
    most_held: int
    average_held: float
    depths: AllDepths | None = attrs.field(default=None, repr=False)
    sizes: tuple[int, ...] = ()
    seconds: tuple[Second, ...] | None = attrs.field(default=None, repr=False)

    @property
    def pool_calls_saved(self) -> int:
        """Calls that need no call of the pool: the hits of both kinds."""
        return self.calls - self.allocate_misses - self.free_misses

    @property
    def calls(self) -> int:
        """Allocate and free calls."""
        return self.total_allocates + self.total_frees

    @property
    def hit_rate(self) -> float:
        """The part of all calls that hit, 0 to 1."""
        return self.pool_calls_saved / self.calls if self.calls else 0.0

    @property
    def bytes_held(self) -> int:
        """Bytes of its free entries when they are most."""
        return self.most_held * self.size

    @property
    def average_bytes_held(self) -> float:
        """Bytes of its free entries, on average over the seconds."""
        return self.average_held * self.size

    @property
    def best_depth(self) -> int | None:
        """The least fixed depth that saves nearly all that can be saved; see `SHARE`."""
        return None if self.depths is None else self.depths.least_depth(SHARE)


@attrs.frozen
class Advice:
    """What lists would do for a trace.

    Attributes:
        name: of the trace.
        source: what its header says.
        by: what lists are told apart by: ``size``, ``tag`` or ``site``.
        calls: allocate and free calls of the trace that some list could serve.
        seconds: whole seconds that passed.
        rows: a list each, the one that saves most calls first.
        groups: lists that serve neighboring sizes at no cost in memory, likewise; empty where
            not asked for.
        ended: the error that ended the trace too early, where it was used until there.
    """

    name: str
    source: str
    by: str
    calls: int
    seconds: int
    rows: tuple[Row, ...]
    groups: tuple[Row, ...] = ()
    ended: TraceEndError | None = None


def advise(
    trace: str | Path | Trace | Iterable[Event],
    *,
    by: str = "tag",
    sizes: Collection[int] | None = None,
    policy: Policy = NT,
    depths: bool = True,
    groups: bool = False,
    by_second: bool = False,
    arch: str = "x64",
    partial: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Advice:
    """Say what lookaside lists would do for every allocation of a trace, in one pass.

    Each list is taken to be there from the start. Allocations from lists that the trace names
    count as any others; what becomes of those lists is not looked at.

    Args:
        trace: a file, or events in order of time.
        by: what lists are told apart by besides the pool type: ``size``; ``tag`` for size and
            tag; ``site`` for size, tag and call site.
        sizes: sizes in bytes to look at; None for all.
        policy: what decides the depth of each list.
        depths: whether to count every fixed depth too.
        groups: whether to look for sizes that one list serves.
        by_second: whether to keep what happened in each second.
        arch: ``x64`` or ``x86``, whose pool rounds sizes for ``groups``.
        partial: whether a file that ends in the middle is used until there.
        progress: called now and then with calls and seconds so far.

    Returns:
        The lists, and what they do.

    Raises:
        OSError, TraceError: the trace cannot be read, or an event cannot follow those
            before it.
        ValueError: a ``by`` or ``arch`` that is none.
    """
    if by not in BY:
        raise ValueError(f"by {by!r}: give one of {', '.join(BY)}")
    if isinstance(trace, str | Path):
        trace = Trace(trace, partial=partial)
    name = str(getattr(trace, "name", "events"))
    apart = only(BY[by], sizes)
    alone = _Counts(name, apart, policy, depths=depths, by_second=by_second)
    layout = architecture(arch)
    together = _Groups(name, apart, policy, layout, depths=depths) if groups else None
    views: list[_Counts] = [alone] if together is None else [alone, together]
    for chunk in chunks_of(trace):
        for view in views:
            view.add(chunk)
        if progress is not None:
            progress(alone.calls, alone.second)
    for view in views:
        view.finish()
    return Advice(
        name=name,
        source=str(getattr(getattr(trace, "header", None), "source", "")),
        by=by,
        calls=alone.calls,
        seconds=alone.second,
        rows=alone.rows(),
        groups=() if together is None else together.rows(),
        ended=getattr(trace, "ended", None),
    )


def only(apart: Apart, sizes: Collection[int] | None) -> Apart:
    """Choose lists for some sizes only; for all where ``sizes`` is None."""
    if sizes is None:
        return apart
    wanted = frozenset(sizes)

    def some(pool: int, size: int, tag: PoolTag, site: str | None) -> Key | None:
        return apart(pool, size, tag, site) if size in wanted else None

    return some


def row_of(
    key: Key,
    lists: list[CountedList],
    seconds: int,
    sizes: tuple[int, ...],
    depths: AllDepths | None = None,
) -> Row:
    """Say what lists did.

    Args:
        key: what their calls have in common.
        lists: those of one policy, one for each processor.
        seconds: that passed.
        sizes: that they serve, in order.
        depths: the same calls under every fixed depth.

    Returns:
        All of them as one row.
    """
    held = sum(each.held for each in lists)
    average: float = held
    if seconds:
        average = sum(each.held_seconds for each in lists) / seconds
    return Row(
        pool_type=PoolType(key.pool),
        size=sizes[-1],
        tag=key.tag,
        site=key.site,
        total_allocates=sum(each.total_allocates for each in lists),
        allocate_misses=sum(each.allocate_misses for each in lists),
        total_frees=sum(each.total_frees for each in lists),
        free_misses=sum(each.free_misses for each in lists),
        depth=max(each.depth for each in lists),
        current_depth=held,
        most_held=sum(each.most_held for each in lists),
        average_held=average,
        depths=depths,
        sizes=sizes,
        seconds=all_seconds(lists),
    )


class _Counts:
    """Counts the calls of every list of one way to tell them apart."""

    def __init__(
        self,
        name: str,
        apart: Apart,
        policy: Policy,
        *,
        depths: bool,
        by_second: bool = False,
    ) -> None:
        self._streams = Streams(name, apart)
        self._by_second = by_second
        self._policy = policy
        self._has_depths = depths
        self._lists: dict[Key, tuple[list[CountedList], Depths | None]] = {}
        self.calls = 0

    @property
    def second(self) -> int:
        """Whole seconds that passed."""
        return self._streams.second

    def add(self, chunk: Chunk | Block) -> None:
        """Count events."""
        for taken in self._streams.add(chunk):
            self._count(taken)

    def _count(self, taken: Taken) -> None:
        second, found = taken
        policy, known = self._policy, self._lists
        for key, stream in found.items():
            both = known.get(key)
            if both is None:
                lists = make_lists(policy, paged=key.paged, by_second=self._by_second)
                both = known[key] = lists, Depths() if self._has_depths else None
            lists, depths = both
            if depths is not None:
                depths.feed(stream)
            call_lists(lists, second, stream, policy)
        self.calls += sum(map(len, found.values()))

    def finish(self) -> None:
        """Count what is left, and let each list see the end."""
        self._count(self._streams.taken())
        for lists, _ in self._lists.values():
            for each in lists:
                each.pass_time(self.second)
                each.end_second()

    def rows(self) -> tuple[Row, ...]:
        """What each list does."""
        rows = [self._row(key, *both) for key, both in self._lists.items()]
        rows.sort(key=lambda row: (-row.pool_calls_saved, -row.calls, row.size, row.tag or 0))
        return tuple(rows)

    def _row(self, key: Key, lists: list[CountedList], depths: Depths | None) -> Row:
        counted = None if depths is None else depths.result()
        return row_of(key, lists, self.second, self._sizes(key), counted)

    def _sizes(self, key: Key) -> tuple[int, ...]:
        return (key.size,)


class _Groups(_Counts):
    """Counts the calls of lists that serve all sizes whose blocks are the same in the pool."""

    def __init__(
        self, name: str, apart: Apart, policy: Policy, arch: Architecture, *, depths: bool
    ) -> None:
        self._served: dict[Key, set[int]] = {}
        layout = arch.pool_header
        served = self._served

        def together(pool: int, size: int, tag: PoolTag, site: str | None) -> Key | None:
            key = apart(pool, size, tag, site)
            if key is None:
                return None
            if size <= layout.largest_request:
                units = -(-(max(size, 1) + layout.size) // layout.unit)
                key = key._replace(size=units * layout.unit - layout.size)
            served.setdefault(key, set()).add(size)
            return key

        super().__init__(name, together, policy, depths=depths)

    def _sizes(self, key: Key) -> tuple[int, ...]:
        return tuple(sorted(self._served[key]))

    def rows(self) -> tuple[Row, ...]:
        """Lists that serve more than one size."""
        return tuple(row for row in super().rows() if len(row.sizes) > 1)

"""A list as counters: what its calls would have done, without memory."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple

from lookaside_sim.advise.policy import NT, Policy
from lookaside_sim.advise.words import ALLOCATE, Calls, pack, run, run_few
from lookaside_sim.nt.types import ULONG_MASK

_FEW: Final = 20
"""Fewer calls are not worth packing."""


class Second(NamedTuple):
    """What happened on a list in one second with calls."""

    second: int
    """Whole seconds that had passed."""
    depth: int
    """The list's depth in it."""
    held: int
    """Free entries on it at its end."""
    calls: int
    """Allocate and free calls in it."""
    saved: int
    """Those of them that needed no call of the pool."""


class CountedList:
    """One list under a policy. Calls come second by second; scans are caught up when calls come.

    Args:
        policy: what decides its depth.
        paged: whether it is a paged list.
        by_second: whether to keep what happened in each second.

    Attributes:
        held: entries on it.
        depth: its depth.
        total_allocates: allocate calls.
        allocate_misses: those that found it empty.
        total_frees: free calls.
        free_misses: those that found it full.
        most_held: the most entries it held.
        held_seconds: entries it held at the end of each second, summed.
        seconds: each second with calls that is over; None where not asked for.
    """

    __slots__ = (
        "_done",
        "_last_allocates",
        "_last_misses",
        "_next_scan",
        "_policy",
        "_second",
        "allocate_misses",
        "depth",
        "free_misses",
        "held",
        "held_seconds",
        "most_held",
        "seconds",
        "total_allocates",
        "total_frees",
    )

    def __init__(
        self, policy: Policy = NT, *, paged: bool = False, by_second: bool = False
    ) -> None:
        self._policy = policy
        self._second = 0
        self._next_scan = policy.next_scan(0, paged=paged)
        self._last_allocates = self._last_misses = 0
        self.held = 0
        self.depth = policy.first_depth
        self.total_allocates = self.allocate_misses = 0
        self.total_frees = self.free_misses = 0
        self.most_held = 0
        self.held_seconds = 0
        self.seconds: list[Second] | None = [] if by_second else None
        self._done = 0, 0

    def call(self, second: int, calls: Calls) -> None:
        """Make calls in a second, not before that of the last calls."""
        if second != self._second:
            self.pass_time(second)
        self.held, allocate_misses, free_misses, self.most_held = run(
            calls, self.held, self.depth, self.most_held
        )
        self.total_allocates += calls.allocates
        self.total_frees += calls.frees
        self.allocate_misses += allocate_misses
        self.free_misses += free_misses

    def call_few(self, second: int, stream: bytes) -> None:
        """Make calls of one byte each; as `call`."""
        if second != self._second:
            self.pass_time(second)
        self.held, allocate_misses, free_misses, self.most_held = run_few(
            stream, self.held, self.depth, self.most_held
        )
        allocates = stream.count(ALLOCATE)
        self.total_allocates += allocates
        self.total_frees += len(stream) - allocates
        self.allocate_misses += allocate_misses
        self.free_misses += free_misses

    def end_second(self) -> None:
        """Write down the present second, if there were calls in it."""
        calls = self.total_allocates + self.total_frees
        saved = calls - self.allocate_misses - self.free_misses
        calls_before, saved_before = self._done
        if self.seconds is not None and calls != calls_before:
            new = calls - calls_before, saved - saved_before
            self.seconds.append(Second(self._second, self.depth, self.held, *new))
            self._done = calls, saved

    def pass_time(self, second: int) -> None:
        """Let time pass until so many seconds are over, with every scan that falls due."""
        if self.seconds is not None:
            self.end_second()
        self.held_seconds += self.held * (second - self._second)
        self._second = second
        if second >= self._next_scan:
            self._scan(second)

    def _scan(self, second: int) -> None:
        """Make every scan that is due."""
        policy = self._policy
        scans = (second - self._next_scan) // policy.period + 1
        self._next_scan += scans * policy.period
        for _ in range(scans):
            allocates = self.total_allocates - self._last_allocates
            misses = self.allocate_misses - self._last_misses
            depth = policy.next_depth(self.depth, allocates & ULONG_MASK, misses & ULONG_MASK)
            if depth == self.depth and not allocates:
                break  # nothing changes until it is called again
            self.depth = depth
            self._last_allocates = self.total_allocates
            self._last_misses = self.allocate_misses


def make_lists(policy: Policy, *, paged: bool, by_second: bool = False) -> list[CountedList]:
    """The lists that one policy makes for calls of one kind: one for each processor."""
    return [
        CountedList(policy, paged=paged, by_second=by_second) for _ in range(policy.processors)
    ]


def all_seconds(lists: list[CountedList]) -> tuple[Second, ...] | None:
    """What happened on lists of one kind, second by second.

    Args:
        lists: one for each processor.

    Returns:
        Each second in which any was called: the greatest depth of them, the sum of all else. None if
        they did not keep it.
    """
    kept = [each.seconds for each in lists if each.seconds is not None]
    if len(kept) < len(lists):
        return None
    if len(kept) == 1:
        return tuple(kept[0])
    found = []
    now = [Second(0, 0, 0, 0, 0) for _ in lists]
    for second in sorted({each.second for seconds in kept for each in seconds}):
        called = []
        for at, seconds in enumerate(kept):
            place = bisect_left(seconds, second, key=lambda each: each.second)
            if place < len(seconds) and seconds[place].second == second:
                now[at] = seconds[place]
                called.append(seconds[place])
        found.append(
            Second(
                second,
                max(each.depth for each in now),
                sum(each.held for each in now),
                sum(each.calls for each in called),
                sum(each.saved for each in called),
            )
        )
    return tuple(found)


def call_lists(lists: list[CountedList], second: int, stream: bytes, policy: Policy) -> None:
    """Make calls in a second, each processor in its turn.

    Args:
        lists: of one kind of calls.
        second: of the calls.
        stream: 1 allocates and 0 frees, a byte a call.
        policy: that the lists were made for.
    """
    if len(lists) == 1:
        if len(stream) < _FEW:
            lists[0].call_few(second, stream)
        else:
            lists[0].call(second, pack(stream))
        return
    # Turns go on where those of all calls before ended.
    turn = policy.turn
    done = sum(each.total_allocates + each.total_frees for each in lists)
    parts: list[list[bytes]] = [[] for _ in lists]
    start = 0
    at = done // turn % len(lists)
    end = turn - done % turn
    while start < len(stream):
        parts[at].append(stream[start:end])
        start, end = end, end + turn
        at = (at + 1) % len(lists)
    for each, calls in zip(lists, parts, strict=True):
        if calls:
            each.call(second, pack(b"".join(calls)))

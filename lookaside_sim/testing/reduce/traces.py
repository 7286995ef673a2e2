"""Reduce a failing trace, and keep it as a pytest regression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from lookaside_sim.errors import BugCheck, TraceError
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.testing.reduce.minimize import minimize_number, minimize_sequence
from lookaside_sim.testing.reduce.misuse import replay_with_misuse
from lookaside_sim.trace import Event, replay
from lookaside_sim.trace.replay import MICROSECONDS

__all__ = ["Check", "pin_trace", "shrink_trace"]

Check: TypeAlias = Callable[[list[Event]], object]
"""What a trace is checked with: it raises for a trace that fails."""


def shrink_trace(events: Iterable[Event], check: Check) -> list[Event]:
    """Take out of a failing trace whatever its failure does not need.

    Args:
        events: the trace.
        check: raises for a trace that fails. A `TraceError` means that the trace makes no
            sense, which is no failure.

    Returns:
        The events left, their times as early as possible. A trace that can be replayed stays
        one, whatever the check makes of it.

    Raises:
        ValueError: the check raises nothing for the whole trace.
    """
    current = [event._replace(line=0) for event in events]
    kind = _failure(current, check)
    if kind is None:
        raise ValueError("the check raises nothing for this trace: there is nothing to shrink")

    replays = check not in (replay, replay_with_misuse) and _replays(current)

    def fails(candidate: list[Event]) -> bool:
        return _failure(candidate, check) is kind and (not replays or _replays(candidate))

    # An allocation goes together with its free first: without, its id would stay live.
    units = minimize_sequence(_units(current), lambda kept: fails(_flat(current, kept)))
    current = _flat(current, units)
    while True:
        smaller = minimize_sequence(current, fails)
        smaller = _sooner(smaller, fails)
        if smaller == current:
            return current
        current = smaller


def pin_trace(events: Sequence[Event], name: str, check: str | None = None) -> str:
    """Write a pytest test that keeps a trace.

    Args:
        events: the trace.
        name: for the test function, after ``test_``.
        check: ``module:function`` to call with the events; None pins what a replay does now:
            the stop it ends in, or the counters of every list.

    Returns:
        The source of a test module.

    Raises:
        TraceError: the trace makes no sense.
    """
    body = "".join(f"    {_source(event)},\n" for event in events)
    uses = {"Event"}
    imports = []
    if check is not None:
        module, _, function = check.partition(":")
        imports.append(f"from {module} import {function}")
        test = f"    {function}(EVENTS)\n"
    else:
        run = replay if _replays(list(events)) else replay_with_misuse
        try:
            done = run(events)
        except BugCheck as stop:
            imports += ["import pytest", "", "from lookaside_sim import BugCheck, BugCheckCode"]
            test = (
                "    with pytest.raises(BugCheck) as stop:\n"
                f"        {run.__name__}(EVENTS)\n"
                f"    assert stop.value.code == BugCheckCode.{stop.code.name}\n"
            )
        else:
            test = f"    done = {run.__name__}(EVENTS)\n"
            test += f"    assert (done.failed, len(done.live)) == ({done.failed}, {len(done.live)})\n"
            for each, lookaside in done.lists.items():
                counters = (
                    lookaside.total_allocates,
                    lookaside.allocate_misses,
                    lookaside.total_frees,
                    lookaside.free_misses,
                    lookaside.depth,
                    lookaside.current_depth,
                )
                test += (
                    f"    kept = done.lists[{each!r}]\n"
                    "    assert (kept.total_allocates, kept.allocate_misses) =="
                    f" {counters[:2]}\n"
                    f"    assert (kept.total_frees, kept.free_misses) == {counters[2:4]}\n"
                    f"    assert (kept.depth, kept.current_depth) == {counters[4:]}\n"
                )
    types = [
        name for name in ("PoolTag", "PoolType") if f"{name}(" in body or f"{name}." in body
    ]
    if types:
        imports.append(f"from lookaside_sim import {', '.join(types)}")
    if f" {replay_with_misuse.__name__}(" in test:
        imports.append(f"from {replay_with_misuse.__module__} import replay_with_misuse")
    elif " replay(" in test:
        uses.add("replay")
    imports.append(f"from lookaside_sim.trace import {', '.join(sorted(uses))}")
    lines = "\n".join(imports)
    return f"{lines}\n\nEVENTS = [\n{body}]\n\n\ndef test_{name}() -> None:\n{test}"


def _failure(events: list[Event], check: Check) -> type[Exception] | None:
    try:
        check(list(events))
    except TraceError:
        return None
    except Exception as error:
        return type(error)
    return None


def _replays(events: list[Event]) -> bool:
    """Whether a trace makes sense, whatever becomes of the machine."""
    try:
        replay(events)
    except TraceError:
        return False
    except Exception:
        return True
    return True


def _units(events: list[Event]) -> list[tuple[int, ...]]:
    """Positions of events that go together."""
    units: list[list[int]] = []
    live: dict[int, list[int]] = {}
    for index, event in enumerate(events):
        if event.op == "free" and event.id in live:
            live.pop(event.id).append(index)
            continue
        units.append([index])
        if event.op == "alloc" and event.id is not None:
            live[event.id] = units[-1]
    return [tuple(unit) for unit in units]


def _flat(events: list[Event], units: Iterable[tuple[int, ...]]) -> list[Event]:
    return [events[index] for index in sorted(index for unit in units for index in unit)]


def _sooner(events: list[Event], fails: Callable[[list[Event]], bool]) -> list[Event]:
    """Let no more time pass than the failure needs: nothing, or some whole seconds."""
    for index in range(len(events)):
        wait = events[index].time - (events[index - 1].time if index else 0)
        whole = wait // MICROSECONDS

        def fails_with(seconds: int, index: int = index, events: list[Event] = events) -> bool:
            return fails(_waiting(events, index, seconds))

        if wait and fails_with(whole):
            events = _waiting(events, index, minimize_number(whole, fails_with))
    return events


def _waiting(events: list[Event], index: int, seconds: int) -> list[Event]:
    """The same events with so much time between one and the one before."""
    before = events[index - 1].time if index else 0
    earlier = events[index].time - before - seconds * MICROSECONDS
    moved = [each._replace(time=each.time - earlier) for each in events[index:]]
    return [*events[:index], *moved]


def _source(event: Event) -> str:
    """An event as the call that makes it."""
    fields = [repr(event.op), *([str(event.time)] if event.time else [])]
    for name, value in zip(event._fields[2:-1], event[2:-1], strict=True):
        if value is None:
            continue
        if isinstance(value, PoolType):
            shown = (
                f"PoolType.{value.name}" if value in list(PoolType) else f"PoolType({value:d})"
            )
        elif isinstance(value, PoolTag):
            shown = f"PoolTag({int(value).to_bytes(4, 'little')!r})"
        else:
            shown = repr(value)
        fields.append(f"{name}={shown}")
    return f"Event({', '.join(fields)})"


def default_output(path: Path, suffix: str) -> Path:
    """Where a reduced or pinned trace goes when nobody says: beside the file.

    Args:
        path: the trace file.
        suffix: what the new name ends in.
    """
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return path.with_name(f"{name}{suffix}")

"""A trace worth reducing, and how a generated test is run."""

from __future__ import annotations

from lookaside_sim import PoolTag, PoolType
from lookaside_sim.trace import Event

SECOND = 1_000_000
"""Microseconds, the unit of a trace's times."""


def noisy_trace() -> list[Event]:
    events = [Event("init", 0, size=32, list="a"), Event("init", 5, size=64, list="b")]
    time = 5
    for number in range(1, 60):
        time += SECOND // 2
        name = "a" if number % 3 else "b"
        events.append(Event("alloc", time, number, list=name))
        events.append(
            Event("alloc", time, 1000 + number, 48, PoolTag(b"Nois"), PoolType.PagedPool)
        )
        if number % 4 == 0:
            events.append(Event("flush", time, list="b"))
    for number in range(1, 60):
        events.append(Event("free", time, 1000 + number))
        if number % 2:
            events.append(Event("free", time, number))
    return events


def run_source(source: str) -> None:
    names: dict[str, object] = {}
    exec(compile(source, "pinned", "exec"), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    assert callable(test)
    test()

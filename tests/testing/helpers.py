"""What several tests of the toolkit need: a difference, a trace worth reducing, a way to run one."""

from __future__ import annotations

import pytest

from lookaside_sim import PoolTag, PoolType
from lookaside_sim.testing import AllocatorDifference, check_allocator
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


def difference(factory: type, level: str = "lookaside") -> AllocatorDifference:
    with pytest.raises(AllocatorDifference) as caught:
        check_allocator(factory, level=level)
    return caught.value

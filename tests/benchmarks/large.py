"""Advice and sweeps on as many events as one likes: throughput, memory, growth.

Run ``python -m tests.benchmarks.large [MILLIONS [WORKERS...]]``. A recording of redis, its last blocks freed and its end put
on a whole second, is repeated until there are so many million events; in a packed trace that takes new heads
for the same columns, and no time. Counted is without numpy, and in the end once more with it. With numbers of
workers a Dask cluster of each tries eight policies on the calls of the twelve largest lists instead.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lookaside_sim.advise import advise, policies, sorting, sweep
from lookaside_sim.trace import Event, load, save
from lookaside_sim.trace.packed import MICROSECONDS
from lookaside_sim.trace.sections import (
    END,
    EVENTS,
    MAGIC,
    packed_json,
    sections,
    write_section,
)

REDIS = Path(__file__).parent.parent / "traces" / "redis.jsonl.gz"
LARGEST = 12


def closed(events: Iterator[Event]) -> Iterator[Event]:
    """The events, and a free of all that is live at a whole second."""
    live: dict[int | None, None] = {}
    last = 0
    for event in events:
        if event.op == "alloc":
            live[event.id] = None
        else:
            live.pop(event.id, None)
        last = event.time
        yield event
    end = (last // MICROSECONDS + 1) * MICROSECONDS
    for identity in live:
        yield Event("free", end, identity)


def repeat(source: Path, target: Path, times: int) -> int:
    """Write a packed trace that repeats another one, which ends with nothing live.

    Args:
        source: the other one, which ends on a whole second.
        target: written.
        times: how often.

    Returns:
        How many events it has.
    """
    with source.open("rb") as file:
        found = list(sections(file, str(source)))
    parts: list[tuple[list[Any], bytes]] = []
    for section in found:
        if section.kind == EVENTS:
            head = section.json()
            parts.append((head, section.body[section._position :]))
    length, ids = parts[-1][0][1][1], parts[-1][0][2][1]
    events: int = sum(head[0] for head, _ in parts)
    with target.open("wb") as file:
        file.write(MAGIC)
        for section in found:
            if section.kind not in (EVENTS, END):
                write_section(file, section.kind, [section.body])
        for turn in range(times):
            for (count, span, between, frequent, marks), body in parts:
                head = [
                    count,
                    [each + turn * length for each in span],
                    [each + turn * ids for each in between],
                    frequent,
                    [[at, second + turn * length // MICROSECONDS] for at, second in marks],
                ]
                write_section(file, EVENTS, [packed_json(head), body])
        write_section(file, END, [packed_json([events * times])])
    return events * times


def measured(what: str, events: int, work: Callable[[], Any]) -> Any:
    """Do some work, and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:34} {wall:8.1f} s {events / wall / 1e6:6.1f} M/s {cpu:8.1f} s CPU"
        f" {cpu / events * 1e9:6.1f} ns an event {events / cpu / 1e6:6.1f} M/s {peak:6.0f} MB",
        flush=True,
    )
    return result


def count(many: Path, events: int, largest: list[int]) -> None:
    """Measure what one process takes to count."""
    measured("read", events, lambda: sum(1 for _ in load(many).stored()))
    with patch.object(sorting, "_import", lambda: None):
        for some, of in ((largest, f"{LARGEST} lists"), (None, "all lists")):
            for depths, what in ((False, "counters"), (True, "and all depths")):
                work = partial(advise, many, sizes=some, depths=depths)
                measured(f"{what} of {of}", events, work)
    if find_spec("numpy") is not None:
        measured("the same with numpy", events, partial(advise, many))


def spread(many: Path, events: int, largest: list[int], workers: int) -> None:
    """Measure what a Dask cluster takes to try policies."""
    from dask.distributed import Client, LocalCluster

    tried = policies(minimum_depth=[4, 8, 16, 32], period=[1, 3])
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        work = partial(
            sweep, many, tried, client.get_executor(), sizes=largest, folder=many.parent
        )
        what = f"{len(tried)} policies, {workers} workers"
        outcomes = measured(what, events * len(tried), work)
        assert not any(outcome.error for outcome in outcomes)
        for seconds, peak in client.run(_used).values():
            print(f"  a worker: {seconds:.1f} s CPU, {peak:.0f} MB", flush=True)


def main(millions: int = 10, *workers: int) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        once, many = Path(folder) / "once.lkt", Path(folder) / "many.lkt"
        events = save(once, closed(iter(load(REDIS))))
        events = repeat(once, many, max(1, millions * 1_000_000 // events))
        print(f"{events:,} events, {many.stat().st_size / events:.2f} bytes each", flush=True)
        largest = [row.size for row in advise(once, depths=False).rows[:LARGEST]]
        if not workers:
            count(many, events, largest)
        for number in workers:
            spread(many, events, largest, number)


def _used() -> tuple[float, float]:
    """Seconds that this process ran, and the most memory it had, in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

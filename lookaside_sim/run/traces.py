"""Traces and runs: a trace becomes a run by being replayed, a run a trace by being heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lookaside_sim.errors import BugCheck
from lookaside_sim.kernel import Kernel
from lookaside_sim.run.player import Player
from lookaside_sim.run.recorder import Recorder
from lookaside_sim.run.rows import Rows
from lookaside_sim.run.sites import Stacks
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.foreign.formats import load_any
from lookaside_sim.trace.recorder import Recording
from lookaside_sim.trace.replay import replay


def rows_of_trace(
    trace: str | Path | Iterable[Event],
    kernel: Kernel,
    lookaside: Iterable[int],
    **options: Any,
) -> tuple[Rows, Stacks]:
    """Replay a trace, and write it down as rows.

    A stop ends it; the call that stopped is the last row.

    Args:
        trace: a file of any format that `lookaside_sim.trace` reads, or events.
        kernel: a fresh machine.
        lookaside: sizes that get lists, see `lookaside_sim.trace.replay`.
        **options: for reading the file, see `load_any`.
    """
    events = load_any(Path(trace), **options) if isinstance(trace, (str, Path)) else trace
    rows, stacks = Rows(), Stacks()
    recorder = Recorder(kernel, rows, stacks, source=False)
    recorder.begin()
    try:
        with suppress(BugCheck):
            replay(_timed(events, rows), kernel, lookaside=lookaside)
    finally:
        recorder.end()
    rows.times.extend([rows.times[-1] if rows.times else 0] * (len(rows) - len(rows.times)))
    return rows, stacks


def _timed(events: Iterable[Event], rows: Rows) -> Iterator[Event]:
    """The events; the rows that each makes get its time."""
    times = rows.times
    times.extend([0] * (len(rows) - len(times)))
    for event in events:
        yield event
        missing = len(rows) - len(times)
        if missing == 1:
            times.append(event.time)
        else:
            times.extend([event.time] * missing)


def trace_of(player: Player, rows: Rows) -> Recording:
    """What `lookaside_sim.trace.record` would have recorded, by playing all rows.

    Args:
        player: at the beginning; it becomes this function's.
        rows: what is played.
    """
    recording = Recording(player.kernel)
    stop = player.kernel.listen(recording.hear)
    try:
        for number, row in rows.walk(0, len(rows)):
            with player.playing():
                player.play(number, row)
    finally:
        recording.finish()
        stop()
    return recording

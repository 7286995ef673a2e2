"""Traces become runs, runs become traces."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from lookaside_sim import BugCheck, Kernel
from lookaside_sim.run import Run, record
from lookaside_sim.trace import Event, load, replay
from lookaside_sim.trace import record as record_trace
from tests.run.helpers import assert_folds, assert_replays

FOLDER = Path(__file__).parents[2] / "examples" / "traces"
TRACES = [FOLDER / "git-log.jsonl.gz", FOLDER / "sqlite-shell.jsonl.gz"]


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_trace_is_a_run_of_the_machine_that_replays_it(path: Path, tmp_path: Path) -> None:
    kernel = Kernel()
    replay(load(path), kernel, lookaside=[24])
    run = Run.from_trace(path, lookaside=[24])
    assert run.title == path.name
    loaded = assert_replays(run, kernel, tmp_path / "trace.lkrun")
    if len(run) < 3000:
        assert_folds(loaded, every=97)


def test_steps_of_a_trace_have_its_times() -> None:
    run = Run.from_trace(
        [
            Event("alloc", 5, 1, 24),
            Event("alloc", 1_500_000, 2, 24),
            Event("free", 1_500_001, 1),
        ]
    )
    assert [(step.word, step.time) for step in run] == [
        ("alloc", 5e-6),
        ("tick", 1.5),
        ("alloc", 1.5),
        ("free", 1.500001),
    ]


def test_a_trace_that_stops_the_machine_ends_with_the_stop() -> None:
    run = Run.from_trace([Event("irql", 0, level=3), Event("alloc", 1, 1, 24)])
    assert run.stop == run[-1]


def test_a_run_is_heard_as_the_trace_that_was_recorded(kernel: Kernel) -> None:
    with record_trace(kernel) as heard, record(kernel) as run:
        lookaside = kernel.lookaside_list("drv!List")
        lookaside.initialize(size=64, tag=b"tseT")
        entry = lookaside.allocate()
        lookaside.free(entry)
        kernel.tick()
        lookaside.free(entry)
    played = run.trace()
    assert played.events == heard.events
    assert played.left_out == heard.left_out != []


def test_a_double_free_recorded_is_a_double_free_replayed(tmp_path: Path) -> None:
    kernel = Kernel()
    with suppress(BugCheck), record(kernel) as run:
        block = kernel.pool.allocate(0, 32, b"tseT")
        kernel.pool.free(block)
        kernel.pool.free(block)
    loaded = assert_replays(run, kernel, tmp_path / "double.lkrun")
    assert loaded.stop is not None
    assert loaded.machine(3).bugcheck is not None
    with pytest.raises(BugCheck, match="already"):
        loaded.machine(2).pool.free(block)

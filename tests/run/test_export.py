"""Runs for other tools: checked against what the formats are documented to be."""

from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import BugCheck, Kernel
from lookaside_sim.run import Run, export, record
from lookaside_sim.run.export_table import COLUMNS
from lookaside_sim.trace import Event
from tests.run.helpers import nowhere

PHASES = {
    "M": {"ph", "name", "pid", "tid", "args"},
    "X": {"ph", "name", "pid", "tid", "ts", "cat", "dur", "args"},
    "C": {"ph", "name", "pid", "tid", "ts", "args"},
    "b": {"ph", "name", "pid", "tid", "ts", "cat", "id", "args"},
    "e": {"ph", "name", "pid", "tid", "ts", "cat", "id", "args"},
    "i": {"ph", "name", "pid", "tid", "ts", "s"},
}
"""The fields that the Trace Event Format documents for each phase that is used."""


@pytest.fixture
def run(kernel: Kernel) -> Run:
    """Two lists' worth of everything, and a stop."""
    with record(kernel, 'a "title"') as made:
        lookaside = kernel.lookaside_list("drv!List")
        lookaside.initialize(size=64, tag=b"tseT")
        entries = [lookaside.allocate() or 0 for _ in range(3)]
        for entry in entries:
            lookaside.free(entry)
        made.note("ticks")
        kernel.tick(2)
        kernel.write(entries[0], b"\x01\x02")
        kernel.pool.allocate(1, 100, b"Page")
        lost = kernel.pool.allocate(0, 32, b"Lost")
    with pytest.raises(BugCheck):
        kernel.pool.free((lost or 0) + 8)
    return made


def events_of(run: Run, tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "run.json"
    export(run, path, "perfetto")
    document = json.loads(path.read_text("utf-8"))
    assert document.keys() == {"displayTimeUnit", "otherData", "traceEvents"}
    assert document["displayTimeUnit"] in ("ms", "ns")
    found: list[dict[str, Any]] = document["traceEvents"]
    return found


def test_perfetto_events_are_as_the_format_says(run: Run, tmp_path: Path) -> None:
    events = events_of(run, tmp_path)
    for event in events:
        assert event.keys() == PHASES[event["ph"]], event
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        if "ts" in event:
            assert isinstance(event["ts"], int)
            assert event["ts"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(each, int) for each in event["args"].values())
        if event["ph"] == "i":
            assert event["s"] in ("g", "p", "t")
    times = [event["ts"] for event in events if "ts" in event]
    assert times == sorted(times)
    slices = [event for event in events if event["ph"] == "X"]
    assert len(slices) == len(run)
    for before, after in pairwise(slices):
        assert before["ts"] + before["dur"] <= after["ts"]
    named = {event["pid"] for event in events if event["name"] == "process_name"}
    assert {event["pid"] for event in events} == named


def test_each_asynchronous_slice_that_begins_ends_once(run: Run, tmp_path: Path) -> None:
    events = events_of(run, tmp_path)
    open_now: dict[str, str] = {}
    begun: Counter[str] = Counter()
    for event in events:
        if event["ph"] == "b":
            assert event["id"] not in open_now
            open_now[event["id"]] = event["name"]
            begun[event["name"]] += 1
        elif event["ph"] == "e":
            assert open_now.pop(event["id"]) == event["name"]
    assert open_now == {}
    assert begun == {"drv!List": 3, "Page": 1, "Lost": 1}


def test_counters_say_what_the_states_say(run: Run, tmp_path: Path) -> None:
    events = events_of(run, tmp_path)
    held = [
        event["args"]["held"]
        for event in events
        if event["ph"] == "C" and event["name"] == "list drv!List"
    ]
    assert held == [0, 1, 2, 3]
    last = [event for event in events if event["name"] == "bytes of live blocks"][-1]
    blocks = run.state(len(run)).blocks.values()
    assert last["args"] == {
        "nonpaged": sum(each.size for each in blocks if not each.pool_type & 1),
        "paged": sum(each.size for each in blocks if each.pool_type & 1),
    }


def test_instants_are_ticks_writes_notes_and_the_stop(kernel: Kernel, tmp_path: Path) -> None:
    with pytest.raises(BugCheck), record(kernel) as run:
        kernel.read(nowhere(kernel), 1)
    (stop,) = [event for event in events_of(run, tmp_path) if event["ph"] == "i"]
    assert stop["name"].startswith("STOP BugCheck")
    assert stop["s"] == "g"


def test_times_of_a_trace_are_kept(tmp_path: Path) -> None:
    run = Run.from_trace([Event("alloc", 70, 1, 24), Event("free", 3_000_000, 1)])
    slices = {e["name"]: e["ts"] for e in events_of(run, tmp_path) if e["ph"] == "X"}
    assert slices["ExAllocatePoolWithTag"] == 70
    assert slices["ExFreePoolWithTag"] == 3_000_001  # behind the ticks of that time


def test_csv_has_a_row_for_each_step(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    export(run, path, "csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == list(range(len(run)))
    assert rows[1]["result"] == hex(run[1].result)
    assert rows[1]["list"] == "drv!List"
    assert rows[1]["branch"] == "miss"
    assert rows[0]["arguments"] == "PoolType=0 Size=64 Tag=tseT Depth=256"
    assert rows[0]["file"] == "test_export.py"


def test_json_has_all_of_each_step(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    export(run, path, "json")
    document = json.loads(path.read_text("utf-8"))
    assert (document["format"], document["version"]) == ("lookaside-run", 1)
    assert document["title"] == run.title
    assert document["notes"] == [{"position": 7, "texts": ["ticks"]}]
    assert len(document["steps"]) == len(run)
    wrote = document["steps"][8]
    assert wrote["arguments"]["Data"] == "0102"
    assert wrote["stack"][0]["file"] == "test_export.py"


def test_an_unknown_format_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'perfetto', 'csv', 'json'"):
        export(run, tmp_path / "x", "xml")
    assert not (tmp_path / "x").exists()

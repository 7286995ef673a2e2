"""A heap trace in a file runs as columns; what it does is what its single events do."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import Kernel, TraceError
from lookaside_sim.trace import Event, Replay, load, replay
from tests.trace.damage import HEADER, good_lines


def outcome(trace: Iterable[Event], limit: int | None) -> tuple[Any, ...]:
    """All that a replay leaves behind, or its error and how far it came."""
    kernel = Kernel(nonpaged_pool_bytes=limit)
    seen: list[Replay] = []
    try:
        done = replay(trace, kernel, lookaside=[8, 24, 100], progress=seen.append)
    except TraceError as error:
        return error.line, error.field, error.problem, kernel.pool.tags()
    return (
        done.events,
        done.ticks,
        done.failed,
        done.pool_calls,
        done.live,
        kernel.pool.tags(),
        [
            (
                each.total_allocates,
                each.allocate_misses,
                each.total_frees,
                each.free_misses,
                each.depth,
                each.current_depth,
            )
            for each in done.lists.values()
        ],
    )


def written(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in (HEADER, *lines)))
    return path


@pytest.mark.parametrize("limit", [None, 8192])
@pytest.mark.parametrize("seed", range(8))
def test_columns_run_as_their_events_do(tmp_path: Path, limit: int | None, seed: int) -> None:
    draw = random.Random(seed)
    lines = [b'{"t":0,"op":"alloc","id":0,"size":8}', *good_lines(draw, 600)]
    if limit is not None:
        lines.insert(1, b'{"t":0,"op":"alloc","id":-1,"size":9000}')
        lines.append(b'{"t":9000000,"op":"free","id":-1}')
    trace = load(written(tmp_path / "test.jsonl", lines))
    assert all(not isinstance(chunk, list) for chunk in trace.chunks())
    columns, singles = outcome(trace, limit), outcome(list(trace), limit)
    assert columns[1:] == singles[1:]
    assert len(columns) == 7
    assert (columns[2] > 0) == (limit is not None)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b'{"t":0,"op":"free","id":7}', "id"),
        (b'{"t":0,"op":"alloc","id":0,"size":8}', "id"),
        (b'{"t":0,"op":"alloc","id":1,"size":%d}' % (1 << 64), "size"),
    ],
)
def test_an_event_that_cannot_follow(tmp_path: Path, line: bytes, field: str) -> None:
    good = b'{"t":0,"op":"alloc","id":0,"size":8}'
    trace = load(written(tmp_path / "test.jsonl", [good, line, good]))
    columns = outcome(trace, None)
    assert columns[:2] == (3, field)
    problem = outcome(list(trace), None)
    assert columns == problem


def test_progress_is_told_of_columns_too(tmp_path: Path) -> None:
    pair = [b'{"t":0,"op":"alloc","id":1,"size":8}', b'{"t":0,"op":"free","id":1}']
    told: list[int] = []
    trace = load(written(tmp_path / "test.jsonl", pair * 20_000))
    replay(trace, progress=lambda done: told.append(done.events))
    assert told == [16_384, 32_768]


def test_who_listens_hears_of_columns(tmp_path: Path) -> None:
    lines = [b'{"t":0,"op":"alloc","id":0,"size":8}', *good_lines(random.Random(3), 300)]
    trace = load(written(tmp_path / "test.jsonl", lines))
    heard: list[list[str]] = []
    for events in (trace, list(trace)):
        kernel, calls = Kernel(), list[str]()
        stop = kernel.listen(lambda call, calls=calls: calls.append(repr(call)))  # type: ignore[misc]
        replay(events, kernel, lookaside=[24])
        stop()
        heard.append(calls)
    assert heard[0] == heard[1]
    assert len(heard[0]) > 300
    kernel = Kernel()
    kernel.listen(lambda call: None)
    big = b'{"t":0,"op":"alloc","id":0,"size":%d}' % (1 << 64)
    trace = load(written(tmp_path / "big.jsonl", [big]))
    with pytest.raises(TraceError, match="give 0 to"):
        replay(trace, kernel)

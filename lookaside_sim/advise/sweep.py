"""Many policies on one trace, on one processor or on many.

The trace is read once. Its calls, eight a byte, go to the workers with the policies; a worker that has
seen them keeps them. So tasks are small, and nothing but them and their results is shared: any executor of
`concurrent.futures` will do, also one that runs on other machines.
"""

from __future__ import annotations

import hashlib
import itertools
import pickle
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor, Future, as_completed
from pathlib import Path
from typing import Final

import attrs

from lookaside_sim.advise.advice import BY, Row, only, row_of
from lookaside_sim.advise.counted import call_lists, make_lists
from lookaside_sim.advise.policy import Policy
from lookaside_sim.advise.results import Outcome, Results
from lookaside_sim.advise.streams import Key, Streams, chunks_of
from lookaside_sim.advise.words import Calls, pack, unpack
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.format import Trace

_AT_ONCE: Final = 8
"""Policies of a task at most: each takes some milliseconds for a million calls."""
_CALLS_AT_ONCE: Final = 1 << 24
"""Calls of a task, where there are fewer policies than that makes: every worker gets some."""
_SENT: Final = 1 << 20
"""Bytes of calls that go with each task; more go through a file."""

Streamed = dict[Key, list[tuple[int, Calls]]]
"""The calls of each list, second by second."""


@attrs.frozen
class _Work:
    """What a task needs to find the calls: their bytes, or the file with them."""

    digest: str
    data: bytes | None
    path: Path | None


def policies(**values: Iterable[int | None]) -> list[Policy]:
    """Every combination of values.

    Args:
        values: for each field of `Policy` to vary, what it takes in turn.

    Returns:
        A policy for each combination, the last field changing fastest.

    Raises:
        TypeError, ValueError: no field of a policy, or no value it can have.
    """
    return [
        Policy(**dict(zip(values, combination, strict=True)))  # type: ignore[arg-type]
        for combination in itertools.product(*values.values())
    ]


def sweep(
    trace: str | Path | Trace | Iterable[Event],
    policies: Iterable[Policy],
    executor: Executor | None = None,
    *,
    by: str = "tag",
    sizes: Collection[int] | None = None,
    results: str | Path | None = None,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Say what lists under each policy would do for a trace.

    Args:
        trace: a file, or events in order of time.
        policies: what to try.
        executor: any executor of `concurrent.futures`; None to work here.
        by: what lists are told apart by; see `advise`.
        sizes: sizes in bytes to look at; None for all.
        results: a JSON Lines file that gets each outcome as soon as it is known. What it holds
            already for the same calls is not worked out again, failures excepted.
        folder: where calls that are too many to go with each task are put, for workers
            to read; None for this machine's folder of temporary files.
        progress: called with how many policies are done, and of how many.

    Returns:
        An outcome for each policy, in their order. A policy that failed has its error there;
        the others are not touched by it.

    Raises:
        OSError, TraceError: the trace cannot be read, or the results not be written.
        ValueError: a ``by`` that is none.
    """
    wanted = list(policies)
    if by not in BY:
        raise ValueError(f"by {by!r}: give one of {', '.join(BY)}")
    calls, seconds = _calls_of(trace, by, sizes)
    data = zlib.compress(pickle.dumps((calls, seconds)), 1)
    digest = _digest(calls, seconds)
    with Results(results, digest) as written, tempfile.TemporaryDirectory(dir=folder) as place:
        known = {done.policy: done for done in written.found if done.error is None}
        left = [policy for policy in dict.fromkeys(wanted) if policy not in known]
        done = len(wanted) - len(left)
        path = None
        if len(data) > _SENT:
            path = Path(place) / digest
            path.write_bytes(data)
        work = _Work(digest, data if path is None else None, path)
        _KEPT[digest] = calls, seconds  # for tasks that run here
        try:
            count = sum(
                each.allocates + each.frees for of_list in calls.values() for _, each in of_list
            )
            at_once = max(1, min(_AT_ONCE, _CALLS_AT_ONCE // max(count, 1)))
            for outcome in _outcomes(work, left, executor, at_once):
                known[outcome.policy] = outcome
                written.add(outcome)
                done += 1
                if progress is not None:
                    progress(done, len(wanted))
        finally:
            _KEPT.pop(digest, None)
    return [known[policy] for policy in wanted]


def _calls_of(
    trace: str | Path | Trace | Iterable[Event], by: str, sizes: Collection[int] | None
) -> tuple[Streamed, int]:
    if isinstance(trace, str | Path):
        trace = Trace(trace)
    streams = Streams(str(getattr(trace, "name", "events")), only(BY[by], sizes))
    calls: Streamed = {}

    def keep(second: int, found: dict[Key, bytes]) -> None:
        for key, stream in found.items():
            calls.setdefault(key, []).append((second, pack(stream)))

    for chunk in chunks_of(trace):
        for taken in streams.add(chunk):
            keep(*taken)
    keep(*streams.taken())
    return calls, streams.second


def _digest(calls: Streamed, seconds: int) -> str:
    """Tell calls from others by what they are, however they came to be read."""
    found = hashlib.sha256(str(seconds).encode())
    for key, streams in sorted(calls.items(), key=lambda item: repr(item[0])):
        found.update(repr((tuple(key), len(streams))).encode())
        for second, each in streams:
            found.update(repr((second, each)).encode())
    return found.hexdigest()


def _outcomes(
    work: _Work, left: list[Policy], executor: Executor | None, at_once: int
) -> Iterator[Outcome]:
    if executor is None:
        for policy in left:
            yield from _run(work, [policy])
        return
    tasks: dict[Future[list[Outcome]], list[Policy]] = {}
    for start in range(0, len(left), at_once):
        some = left[start : start + at_once]
        try:
            tasks[executor.submit(_run, work, some)] = some
        except RuntimeError as refused:  # it broke down, or was shut down
            yield from _failed(some, refused)
    for future in as_completed(tasks):
        error = future.exception()
        yield from _failed(tasks[future], error) if error is not None else future.result()


def _failed(some: list[Policy], error: BaseException) -> Iterator[Outcome]:
    told = " ".join(f"{type(error).__name__}: {error}".split())
    for policy in some:
        yield Outcome(policy, (), told)


_KEPT: Final[dict[str, tuple[Streamed, int]]] = {}
"""Calls that this process has seen, the last ones: what a worker need not decode again. A worker
knows nothing but its tasks, so what it keeps between two of them lies here."""


def _run(work: _Work, some: list[Policy]) -> list[Outcome]:
    """Work out some policies, in whatever process this is."""
    kept = _KEPT.get(work.digest)
    if kept is None:
        data = work.data
        if data is None:
            assert work.path is not None
            data = work.path.read_bytes()
        kept = pickle.loads(zlib.decompress(data))
        _KEPT.clear()
        _KEPT[work.digest] = kept
    calls, seconds = kept
    outcomes: list[Outcome] = []
    for policy in some:
        try:
            outcomes.append(Outcome(policy, _rows(calls, seconds, policy)))
        except Exception as error:
            outcomes += _failed([policy], error)
    return outcomes


def _rows(calls: Streamed, seconds: int, policy: Policy) -> tuple[Row, ...]:
    rows = []
    for key, streams in calls.items():
        lists = make_lists(policy, paged=key.paged)
        for second, each in streams:
            if len(lists) == 1:
                lists[0].call(second, each)
            else:
                call_lists(lists, second, unpack(each), policy)
        for one in lists:
            one.pass_time(seconds)
        rows.append(row_of(key, lists, seconds, (key.size,)))
    rows.sort(key=lambda row: (-row.pool_calls_saved, -row.calls, row.size, row.tag or 0))
    return tuple(rows)

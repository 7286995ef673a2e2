"""Write packed traces."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import sub
from pathlib import Path
from typing import IO, Final, NamedTuple

from lookaside_sim.trace.columns import Columns
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.lines import Chunk
from lookaside_sim.trace.packed import (
    FREQUENT,
    MICROSECONDS,
    MOST_EVENTS,
    MOST_KINDS,
    RARE,
    STILL_LIVE,
    VERSION,
)
from lookaside_sim.trace.sections import (
    END,
    EVENTS,
    HEAD,
    KINDS,
    MAGIC,
    MOST_BYTES,
    packed,
    packed_column,
    packed_json,
    write_section,
)
from lookaside_sim.trace.text import as_json

_KINDS_AT_ONCE: Final = 4096


def write(path: Path, chunks: Iterable[Chunk], source: str = "") -> int:
    """Write a packed trace; the same events give the same bytes.

    Args:
        path: the file.
        chunks: the events, in order of time, many at a time in any form.
        source: free text on where they come from.

    Returns:
        How many events were written.

    Raises:
        OSError: the file cannot be written.
        ValueError: an event before the one in front of it, or too many kinds of events.
    """
    with path.open("wb") as file:
        file.write(MAGIC)
        write_section(file, HEAD, [packed_json({"version": VERSION, "source": source})])
        writer = _Writer(file)
        for some in _blocks(chunks):
            writer.add(some)
        write_section(file, END, [packed_json([writer.events])])
    return writer.events


def _blocks(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Put chunks together to blocks of as many events as there may be."""
    some: list[Chunk] = []
    room = MOST_EVENTS
    for chunk in chunks:
        rest = chunk
        while length := _length(rest):
            if length < room:
                some.append(rest)
                room -= length
                break
            some.append(_part(rest, 0, room))
            yield some
            rest = _part(rest, room, length)
            some, room = [], MOST_EVENTS
    if some:
        yield some


def _length(chunk: Chunk) -> int:
    return len(chunk.ops if isinstance(chunk, Columns) else chunk)


def _part(chunk: Chunk, start: int, end: int) -> Chunk:
    part = slice(start, end)
    return chunk.part(part) if isinstance(chunk, Columns) else chunk[part]


class _Rows(NamedTuple):
    """What every event has, as columns."""

    ops: list[str]
    times: list[int]
    ids: list[int | None]

    def part(self, part: slice) -> _Rows:
        return _Rows(self.ops[part], self.times[part], self.ids[part])


class _Writer:
    """Writes one file's blocks, and knows what its events so far have said."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._kinds: dict[object, int] = {}
        self._of_size: dict[int | None, int] = {}
        self._new: list[dict[str, object]] = []
        self._live: dict[int, int] = {}
        self._time = 0
        self._id = 0
        self.events = 0

    def add(self, chunks: list[Chunk]) -> None:
        """Write events as one block."""
        rows = _Rows([], [], [])
        codes: list[int] = []
        for chunk in chunks:
            if isinstance(chunk, Columns):
                rows.ops.extend(chunk.ops)
                rows.times.extend(chunk.times)
                rows.ids.extend(chunk.ids)
                codes += self._heap_codes(chunk)
            else:
                rows.ops.extend([event.op for event in chunk])
                rows.times.extend([event.time for event in chunk])
                rows.ids.extend([event.id for event in chunk])
                codes += [self._code(event) for event in chunk]
        for start in range(0, len(self._new), _KINDS_AT_ONCE):
            kinds = self._new[start : start + _KINDS_AT_ONCE]
            write_section(self._file, KINDS, [packed_json(kinds)])
        self._new.clear()
        self._write(rows, codes)

    def _heap_codes(self, chunk: Columns) -> list[int]:
        """What `_code` says of each event, for all of a chunk."""
        of_size, live = self._of_size, self._live
        codes: list[int] = []
        add = codes.append
        for at, (identity, size) in enumerate(zip(chunk.ids, chunk.sizes, strict=True)):
            number = live.pop(identity, None) if size is None else of_size.get(size)
            if number is None or (size is not None and identity in live):
                (event,) = chunk.part(slice(at, at + 1)).events()
                code = self._code(event)
                add(code)
                if size is not None and live[identity] == code >> 1 and size not in of_size:
                    of_size[size] = code >> 1
            elif size is None:
                add(2 * number + 1)
            else:
                live[identity] = number
                add(2 * number)
        return codes

    def _code(self, event: Event) -> int:
        """Twice the number of an event's kind, plus 1 for a free of a known allocation."""
        op, identity = event.op, event.id
        if op == "free" and identity is not None:
            number = self._live.pop(identity, None)
            return 2 * self._number(event, None) if number is None else 2 * number + 1
        is_live = op == "alloc" and identity in self._live
        number = self._number(event, is_live)
        if op == "alloc" and identity is not None:
            self._live[identity] = number
        return 2 * number

    def _number(self, event: Event, is_live: bool | None) -> int:
        key = (event.op, *event[3:10], event.site, is_live)
        number = self._kinds.get(key)
        if number is None:
            number = self._kinds[key] = len(self._kinds)
            if number >= MOST_KINDS:
                raise ValueError(f"more than {MOST_KINDS:,} kinds of events in one trace")
            said = as_json(event)
            said.pop("t")
            said.pop("id", None)
            self._new.append(said | ({STILL_LIVE: True} if is_live else {}))
        return number

    def _write(self, rows: _Rows, codes: list[int]) -> None:
        often: Counter[int] = Counter()
        for code, times in Counter(codes).items():
            often[code >> 1] += times
        frequent = [number for number, _ in often.most_common(FREQUENT)]
        short = {
            2 * number + free: 2 * place + free
            for place, number in enumerate(frequent)
            for free in (0, 1)
        }
        rare = [code for code in codes if code not in short] if len(often) > FREQUENT else []
        last_time = rows.times[-1]
        steps, marks = self._times(rows.times)
        last_id, id_steps, backs = self._ids(rows)
        head = [len(codes), [self._time, last_time], [self._id, last_id], frequent, marks]
        parts = [
            packed_json(head),
            packed(bytes([short.get(code, RARE) for code in codes])),
            packed_column(rare),
            packed_column(steps),
            packed_column(id_steps),
            packed_column(backs),
        ]
        if sum(map(len, parts)) > MOST_BYTES and len(codes) > 1:
            half = len(codes) // 2
            self._write(rows.part(slice(half)), codes[:half])
            self._write(rows.part(slice(half, None)), codes[half:])
            return
        write_section(self._file, EVENTS, parts)
        self._time, self._id = last_time, last_id
        self.events += len(codes)

    def _times(self, times: list[int]) -> tuple[list[int], list[list[int]]]:
        """Steps from each event to the next, and position and second of the first of a second."""
        before = [self._time, *times[:-1]]
        steps = list(map(sub, times, before))
        if min(steps) < 0:
            at = next(at for at, step in enumerate(steps) if step < 0)
            raise ValueError(
                f"event {self.events + at}: time {times[at]} is before {before[at]},"
                " that of the event in front of it"
            )
        marks = []
        second, last = self._time // MICROSECONDS, times[-1] // MICROSECONDS
        at = 0
        while second < last:
            at = bisect_left(times, (second + 1) * MICROSECONDS, at)
            second = times[at] // MICROSECONDS
            marks.append([at, second])
        return steps, marks

    def _ids(self, rows: _Rows) -> tuple[int, list[int], list[int]]:
        """The last id, steps of allocations from the one before, ways back of frees."""
        last = self._id
        steps: list[int] = []
        backs: list[int] = []
        for op, identity in zip(rows.ops, rows.ids, strict=True):
            if identity is None:
                continue
            if op == "alloc":
                step = identity - last - 1
                steps.append(2 * step if step >= 0 else -2 * step - 1)
                last = identity
            elif op == "free":
                back = last - identity
                backs.append(2 * back if back >= 0 else -2 * back - 1)
        return last, steps, backs

"""Write packed traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import IO, Final

from lookaside_sim.trace.event import Event
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


def write(path: Path, events: Iterable[Event], source: str = "") -> int:
    """Write a packed trace; the same events give the same bytes.

    Args:
        path: the file.
        events: the events, in order of time.
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
        rest = iter(events)
        while block := list(islice(rest, MOST_EVENTS)):
            writer.add(block)
        write_section(file, END, [packed_json([writer.events])])
    return writer.events


class _Writer:
    """Writes one file's blocks, and knows what its events so far have said."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._kinds: dict[object, int] = {}
        self._new: list[dict[str, object]] = []
        self._live: dict[int, int] = {}
        self._time = 0
        self._id = 0
        self.events = 0

    def add(self, block: list[Event]) -> None:
        """Write events as one block."""
        codes = [self._code(event) for event in block]
        for start in range(0, len(self._new), _KINDS_AT_ONCE):
            kinds = self._new[start : start + _KINDS_AT_ONCE]
            write_section(self._file, KINDS, [packed_json(kinds)])
        self._new.clear()
        self._write(block, codes)

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

    def _write(self, block: list[Event], codes: list[int]) -> None:
        often = Counter(code >> 1 for code in codes).most_common(FREQUENT)
        frequent = [number for number, _ in often]
        of_kind = {number: 2 * place for place, number in enumerate(frequent)}
        short = bytes(
            of_kind[code >> 1] + (code & 1) if code >> 1 in of_kind else RARE for code in codes
        )
        rare = [code for code in codes if code >> 1 not in of_kind]
        times, marks = self._times(block)
        ids, steps, backs = self._ids(block)
        head = [len(block), [self._time, block[-1].time], [self._id, ids], frequent, marks]
        parts = [
            packed_json(head),
            packed(short),
            packed_column(rare),
            packed_column(times),
            packed_column(steps),
            packed_column(backs),
        ]
        if sum(map(len, parts)) > MOST_BYTES and len(block) > 1:
            half = len(block) // 2
            self._write(block[:half], codes[:half])
            self._write(block[half:], codes[half:])
            return
        write_section(self._file, EVENTS, parts)
        self._time, self._id = block[-1].time, ids
        self.events += len(block)

    def _times(self, block: list[Event]) -> tuple[list[int], list[list[int]]]:
        steps, marks = [], []
        before = self._time
        for position, event in enumerate(block):
            time = event.time
            if time < before:
                raise ValueError(
                    f"event {self.events + position}: time {time} is before {before},"
                    " that of the event in front of it"
                )
            steps.append(time - before)
            if time // MICROSECONDS != before // MICROSECONDS:
                marks.append([position, time // MICROSECONDS])
            before = time
        return steps, marks

    def _ids(self, block: list[Event]) -> tuple[int, list[int], list[int]]:
        """The last id, steps of allocations from the one before, ways back of frees."""
        last = self._id
        steps, backs = [], []
        for event in block:
            identity = event.id
            if event.op == "alloc" and identity is not None:
                step = identity - last - 1
                steps.append(2 * step if step >= 0 else -2 * step - 1)
                last = identity
            elif event.op == "free" and identity is not None:
                back = last - identity
                backs.append(2 * back if back >= 0 else -2 * back - 1)
        return last, steps, backs

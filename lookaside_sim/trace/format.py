"""Trace files: open one for its events, write one.

::

    {"format": "lookaside-trace", "version": 1, "time_unit": "us", "source": "free text"}
    {"t": 12, "op": "alloc", "id": 1, "size": 24}
    {"t": 90, "op": "free", "id": 1}

JSON Lines, one header, then one event a line in order of time. Reading streams: some lines are held
at a time. What a line says is checked here; whether it makes sense after the lines before it (is
that allocation live?) is for the replay to find out.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final

from lookaside_sim.errors import TraceEndError
from lookaside_sim.trace import lines, pack, packed
from lookaside_sim.trace.columns import Columns
from lookaside_sim.trace.event import Event, Header
from lookaside_sim.trace.lines import FORMAT, GZIP_SUFFIX, TIME_UNIT, VERSION, Chunk
from lookaside_sim.trace.text import OPS, as_json, parse

__all__ = ["OPS", "Event", "Header", "Trace", "load", "parse", "save"]

_BATCH: Final = 1 << 12
"""Events that are packed at a time."""


class Trace:
    """A trace file, read anew by every iteration.

    Args:
        path: the file: ``.jsonl``, ``.jsonl.gz``, or a packed one, which is known by its
            first bytes.
        partial: whether a file that ends in the middle is read until there without an error.

    Attributes:
        path: the file.
        name: its name, as errors show it.
        header: its first line.
        ended: with ``partial``, the error that ended the last iteration too early, or None.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it has no valid header.
    """

    def __init__(self, path: str | Path, *, partial: bool = False) -> None:
        self.path = Path(path)
        self.name = str(path)
        self._partial = partial
        self._is_packed = packed.is_packed(self.path)
        reader = packed if self._is_packed else lines
        self.header = reader.read_header(self.path, self.name)
        self.ended: TraceEndError | None = None

    def __iter__(self) -> Iterator[Event]:
        for chunk in self.chunks():
            yield from chunk.events() if isinstance(chunk, Columns) else chunk

    def chunks(self) -> Iterator[Chunk]:
        """The events, many at a time, in the cheapest form they come in."""
        for stored in self.stored():
            yield stored.chunk() if isinstance(stored, packed.Block) else stored

    def names_lists(self) -> bool:
        """Whether a packed trace has events of lists; False for a text, which nobody asks."""
        return self._is_packed and packed.names_lists(self.path, self.name)

    def stored(self) -> Iterator[Chunk | packed.Block]:
        """The events as they are stored: blocks of a packed trace are not decoded."""
        reader = packed.blocks if self._is_packed else lines.chunks
        self.ended = None
        try:
            yield from reader(self.path, self.name)
        except TraceEndError as error:
            if not self._partial:
                raise
            self.ended = error


def load(path: str | Path) -> Trace:
    """Open a trace file.

    Args:
        path: the file: ``.jsonl``, ``.jsonl.gz``, or a packed one.

    Returns:
        Its header, and its events by iteration.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it has no valid header; iteration raises it for a malformed event.
    """
    return Trace(path)


def save(path: str | Path, events: Iterable[Event], source: str = "") -> int:
    """Write a trace file; the same events give the same bytes.

    Args:
        path: the file; compressed when it ends in ``.gz``, packed when it ends in ``.lkt``.
        events: the events, in order of time; a `Trace` is packed many events at a time.
        source: free text for the header.

    Returns:
        How many events were written.

    Raises:
        OSError: the file cannot be written.
        ValueError: a packed file takes no event before the one in front of it.
    """
    if str(path).endswith(packed.SUFFIX):
        chunks = events.chunks() if isinstance(events, Trace) else _batches(iter(events))
        return pack.write(Path(path), chunks, source)
    header = {"format": FORMAT, "version": VERSION, "time_unit": TIME_UNIT, "source": source}
    with Path(path).open("wb") as raw:
        if str(path).endswith(GZIP_SUFFIX):
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped:
                return _write(zipped, header, events)
        return _write(raw, header, events)


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH)):
        yield batch


def _write(file: IO[bytes] | gzip.GzipFile, header: object, events: Iterable[Event]) -> int:
    file.write(json.dumps(header).encode() + b"\n")
    count = 0
    for event in events:
        file.write(json.dumps(as_json(event), separators=(",", ":")).encode() + b"\n")
        count += 1
    return count

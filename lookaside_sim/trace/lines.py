"""Read a JSON Lines trace in chunks of whole lines, as fast as the parser of many lines at once can.

What that parser is not sure of goes line by line through `parse`, which knows what is wrong with
a line. So both tell the same events, and the same error of the same line and field.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Final, TypeAlias, cast

from lookaside_sim.errors import TraceEndError, TraceError
from lookaside_sim.nt.arguments import shown
from lookaside_sim.trace.columns import Columns, decode, objects
from lookaside_sim.trace.event import Event, Header
from lookaside_sim.trace.text import event_of, json_object, parse

FORMAT: Final = "lookaside-trace"
VERSION: Final = 1
TIME_UNIT: Final = "us"
GZIP_SUFFIX: Final = ".gz"

CHUNK_BYTES: Final = 1 << 13
"""Bytes that are decoded at once: few enough that their objects stay in the processor's cache."""
LINE_BYTES: Final = 1 << 20
"""Bytes of the longest line that is read."""
_HEADER_FIELDS: Final = frozenset({"format", "version", "time_unit", "source"})
_BATCH: Final = 1000
_DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error)

Chunk: TypeAlias = Columns | list[Event]
"""Consecutive events of a trace, in the cheapest form they come in."""


def open_to_read(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip where its name says so."""
    if path.name.endswith(GZIP_SUFFIX):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def read_header(path: Path, name: str) -> Header:
    """Read the first line of a trace.

    Args:
        path: the file.
        name: what errors call it.

    Returns:
        What it says.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it is no valid header.
    """
    with open_to_read(path) as file:
        return _header(_numbered(file, name), name)


def chunks(path: Path, name: str) -> Iterator[Chunk]:
    """Read the events of a trace.

    Args:
        path: the file.
        name: what errors call it.

    Yields:
        The events, many at a time.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it is not valid.
    """
    with open_to_read(path) as file:
        _header(_numbered(file, name), name)
        line, time = 2, 0
        texts = _whole_lines(file)
        while True:
            try:
                text = next(texts, b"")
            except _DAMAGED:
                # Which lines come before the damage depends on how one reads.
                yield from _again(path, name, line, time)
                return
            if not text:
                return
            try:
                for chunk in _decoded(text, name, line, time):
                    yield chunk
                    time = chunk.times[-1] if isinstance(chunk, Columns) else chunk[-1].time
            except TraceError as error:
                last = line + text.count(b"\n")
                if error.line == last and error.field is None and len(text) <= LINE_BYTES:
                    # A line without an end, which is no object: the rest of it is missing.
                    raise TraceEndError(*error.args) from None
                raise
            line += text.count(b"\n")


def _decoded(text: bytes, name: str, line: int, time: int) -> Iterator[Chunk]:
    found = None
    # A line that is too long is told by who reads it alone.
    if len(text) <= LINE_BYTES:
        try:
            found = objects(text.decode())
        except UnicodeDecodeError:
            found = None
    if found is not None:
        columns = decode(found, line, time)
        if columns is not None:
            yield columns
            return
        try:
            yield _events(found, name, line, time)
            return
        except TraceError:
            pass
    yield from _batches(parse(_numbered(io.BytesIO(text), name, line), name, time))


def _events(found: list[dict[str, object]], name: str, line: int, time: int) -> list[Event]:
    events = []
    for number, each in enumerate(found, line):
        event = event_of(each, time, name, number)
        time = event.time
        events.append(event)
    return events


def _again(path: Path, name: str, line: int, time: int) -> Iterator[Chunk]:
    """Read on at a line, line by line, in a file that is damaged somewhere behind it."""
    with open_to_read(path) as file:
        lines = _numbered(file, name)
        for _ in islice(lines, line - 1):
            pass
        yield from _batches(parse(lines, name, time))


def _batches(events: Iterable[Event]) -> Iterator[Chunk]:
    """Hand events on in batches, and those before an error before it."""
    batch: list[Event] = []
    try:
        for event in events:
            batch.append(event)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    except TraceError as error:
        if batch:
            yield batch
        raise error
    if batch:
        yield batch


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Read whole lines, about a chunk at a time; the last may be longer than a line may be."""
    rest = b""
    while block := file.read(CHUNK_BYTES):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
            if len(rest) > LINE_BYTES:
                break
    if rest:
        yield rest


def _numbered(file: IO[bytes], name: str, number: int = 1) -> Iterator[tuple[int, str]]:
    """Number the lines of a file, and turn what a damaged file raises into a TraceError."""
    try:
        for line in iter(partial(file.readline, LINE_BYTES + 1), b""):
            if len(line) > LINE_BYTES:
                raise TraceError(name, number, None, f"longer than {LINE_BYTES:,} bytes")
            yield number, line.decode()
            number += 1
    except UnicodeDecodeError as error:
        raise TraceError(name, number, None, f"not UTF-8: {error.reason}") from None
    except EOFError as error:
        raise TraceEndError(name, number, None, f"damaged gzip file: {error}") from None
    except _DAMAGED as error:
        raise TraceError(name, number, None, f"damaged gzip file: {error}") from None


def _header(lines: Iterator[tuple[int, str]], name: str) -> Header:
    number, text = next(lines, (1, ""))
    found = json_object(text, name, number)
    for field, right in (("format", FORMAT), ("version", VERSION), ("time_unit", TIME_UNIT)):
        value = found.get(field)
        if type(value) is not type(right) or value != right:
            raise TraceError(
                name, number, field, f"{shown(value)} in the header: give {right!r}"
            )
    for field in found.keys() - _HEADER_FIELDS:
        known = ", ".join(sorted(_HEADER_FIELDS))
        raise TraceError(name, number, field, f"unknown in the header: it has {known}")
    source = found.get("source", "")
    if not isinstance(source, str):
        raise TraceError(name, number, "source", f"{shown(source)}: give a text")
    return Header(source)

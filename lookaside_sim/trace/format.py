"""The trace file format: JSON Lines, one header, then one event a line in order of time.

::

    {"format": "lookaside-trace", "version": 1, "time_unit": "us", "source": "free text"}
    {"t": 12, "op": "alloc", "id": 1, "size": 24}
    {"t": 90, "op": "free", "id": 1}

Reading streams: one line is held at a time. What a line says is checked here; whether it makes
sense after the lines before it (is that allocation live?) is for the replay to find out.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import attrs

from lookaside_sim.errors import TraceError
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
)
from lookaside_sim.machine.calls import RaiseIrql
from lookaside_sim.nt.types import NONE_TAG, PoolTag, PoolType

FORMAT: Final = "lookaside-trace"
VERSION: Final = 1
TIME_UNIT: Final = "us"

_GZIP_SUFFIX: Final = ".gz"
_LIST_FIELDS: Final = frozenset({"t", "op", "list"})
_FIELDS: Final = {
    InitializeList.word: frozenset(
        {"t", "op", "list", "size", "tag", "pool", "flags", "depth"}
    ),
    AllocateEntry.word: frozenset({"t", "op", "id", "size", "tag", "pool", "list"}),
    FreeEntry.word: frozenset({"t", "op", "id"}),
    FlushList.word: _LIST_FIELDS,
    DeleteList.word: _LIST_FIELDS,
    RaiseIrql.word: frozenset({"t", "op", "level"}),
}
OPS: Final = tuple(_FIELDS)
"""What an event can be: words of calls, `Call.word`."""
_DECODE = json.JSONDecoder().raw_decode


@attrs.frozen
class Header:
    """The first line.

    Attributes:
        source: free text on where the trace comes from.
    """

    source: str = ""


class Event(NamedTuple):
    """One event; a field its op has no use for is None.

    A tuple, because a long trace makes a million of them.
    """

    op: str
    """One of `OPS`: ``init``, ``alloc``, ``free``, ``flush``, ``delete`` or ``irql``."""
    time: int = 0
    """Microseconds since the start."""
    id: int | None = None
    """Names one live allocation (alloc, free)."""
    size: int | None = None
    """Bytes (init; alloc without a list)."""
    tag: PoolTag | None = None
    """Pool tag (init; alloc without a list)."""
    pool: PoolType | None = None
    """Pool type (init; alloc without a list)."""
    list: str | None = None
    """Name of a list (init, flush, delete; alloc from a list)."""
    flags: int | None = None
    """Flags of ExInitializeLookasideListEx (init)."""
    depth: int | None = None
    """Depth argument of ExInitializeLookasideListEx (init)."""
    level: int | None = None
    """The IRQL from here on (irql)."""
    line: int = 0
    """Line in the file, from 1 (the header); 0 for an event from elsewhere."""


class Trace:
    """A trace file, read anew by every iteration.

    Args:
        path: the file, ``.jsonl`` or ``.jsonl.gz``.

    Attributes:
        path: the file.
        name: its name, as errors show it.
        header: its first line.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it has no valid header.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(path)
        with _open_to_read(self.path) as file:
            self.header = self._read_header(_lines(file, self.name))

    def __iter__(self) -> Iterator[Event]:
        with _open_to_read(self.path) as file:
            lines = _lines(file, self.name)
            self._read_header(lines)
            yield from parse(lines, self.name)

    def _read_header(self, lines: Iterator[tuple[int, str]]) -> Header:
        number, text = next(lines, (1, ""))
        found = _object(text, self.name, number)
        for field, right in (
            ("format", FORMAT),
            ("version", VERSION),
            ("time_unit", TIME_UNIT),
        ):
            value = found.get(field)
            if type(value) is not type(right) or value != right:
                raise TraceError(
                    self.name,
                    number,
                    field,
                    f"{value!r} in the header: give {right!r}",
                )
        source = found.get("source", "")
        if not isinstance(source, str):
            raise TraceError(self.name, number, "source", f"{source!r}: give a text")
        return Header(source)


def load(path: str | Path) -> Trace:
    """Open a trace file.

    Args:
        path: the file, ``.jsonl`` or ``.jsonl.gz``.

    Returns:
        Its header, and its events by iteration.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it has no valid header; iteration raises it for a malformed event.
    """
    return Trace(path)


def save(path: str | Path, events: Iterable[Event], source: str = "") -> None:
    """Write a trace file; the same events give the same bytes.

    Args:
        path: the file; compressed when it ends in ``.gz``.
        events: the events, in order of time.
        source: free text for the header.

    Raises:
        OSError: the file cannot be written.
    """
    header = {"format": FORMAT, "version": VERSION, "time_unit": TIME_UNIT, "source": source}
    with Path(path).open("wb") as raw:
        if str(path).endswith(_GZIP_SUFFIX):
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                _write(packed, header, events)
        else:
            _write(raw, header, events)


def _write(file: IO[bytes] | gzip.GzipFile, header: object, events: Iterable[Event]) -> None:
    file.write(json.dumps(header).encode() + b"\n")
    for event in events:
        file.write(json.dumps(as_json(event), separators=(",", ":")).encode() + b"\n")


def as_json(event: Event) -> dict[str, object]:
    """The object that an event's line holds; defaults are left out."""
    found: dict[str, object] = {"t": event.time, "op": event.op}
    for field in ("id", "size", "list", "flags", "depth", "level"):
        value = getattr(event, field)
        if value is not None:
            found[field] = value
    if event.tag is not None and event.tag != NONE_TAG:
        found["tag"] = int(event.tag).to_bytes(4, "little").decode("latin-1")
    if event.pool is not None and event.pool != PoolType.NonPagedPool:
        found["pool"] = pool_name(event.pool)
    return found


def pool_name(pool: PoolType) -> str:
    """Name a pool type in one word, or else its bits, as the pool field has them.

    Args:
        pool: the type.

    Returns:
        A PoolType name, or several joined by ``|``; a bit without a name is its number.
    """
    names = {member.value: name for name, member in PoolType.__members__.items()}
    if pool.value in names:
        return names[pool.value]
    bits = [1 << at for at in range(pool.value.bit_length()) if pool.value >> at & 1]
    return "|".join(names.get(bit, str(bit)) for bit in bits)


def parse(lines: Iterable[tuple[int, str]], name: str) -> Iterator[Event]:
    """Read events from numbered lines.

    Args:
        lines: line number and text of each event.
        name: what errors call the source.

    Yields:
        The events.

    Raises:
        TraceError: a line that is no event.
    """
    time = 0
    for number, text in lines:
        try:
            found, end = _DECODE(text)
            op = found["op"]
            allowed = _FIELDS[op]
            is_plain = (end == len(text) or text[end:].isspace()) and allowed >= found.keys()
        except (ValueError, TypeError, LookupError, RecursionError):
            is_plain = False
        if not is_plain:
            found = _object(text, name, number)
            _complain(found, name, number)
            op = found["op"]
        at = found.get("t", time)
        if type(at) is not int or at < time:
            raise TraceError(
                name, number, "t", f"{at!r}: give whole microseconds, not before {time}"
            )
        time = at
        # The two shapes that heap traces are made of, without further ado.
        if op == "free":
            identity = found.get("id")
            if type(identity) is int:
                yield Event("free", time, identity, line=number)
                continue
        elif op == "alloc" and len(found) <= 4:
            identity, size = found.get("id"), found.get("size")
            if type(identity) is int and type(size) is int and size >= 0 and "t" in found:
                yield Event(
                    "alloc", time, identity, size, NONE_TAG, PoolType.NonPagedPool, line=number
                )
                continue
        yield _event(op, time, found, name, number)


def _event(op: str, time: int, found: dict[str, Any], name: str, line: int) -> Event:
    """Build any event, checking each field its op has."""

    def integer(field: str, default: int | None = None, *, least: int | None = 0) -> int | None:
        value = found.get(field, default)
        if value is None and field not in found:
            raise TraceError(name, line, field, f"missing: {op!r} needs it")
        if type(value) is not int or (least is not None and value < least):
            kind = "an integer" if least is None else f"an integer, {least} or more"
            raise TraceError(name, line, field, f"{value!r}: give {kind}")
        return value

    def text(field: str) -> str:
        value = found.get(field)
        if not isinstance(value, str) or not value:
            problem = (
                f"{value!r}: give a name" if field in found else f"missing: {op!r} needs it"
            )
            raise TraceError(name, line, field, problem)
        return value

    if op == "free":
        return Event(op, time, integer("id", least=None), line=line)
    if op in ("flush", "delete"):
        return Event(op, time, list=text("list"), line=line)
    if op == "irql":
        return Event(op, time, level=integer("level"), line=line)
    if op == "init":
        return Event(
            op,
            time,
            size=integer("size"),
            tag=_tag(found, name, line),
            pool=_pool(found, name, line),
            list=text("list"),
            flags=integer("flags", 0),
            depth=integer("depth", 0),
            line=line,
        )
    identity = integer("id", least=None)
    if "list" in found:
        for field in ("size", "tag", "pool"):
            if field in found:
                raise TraceError(
                    name,
                    line,
                    field,
                    f"{found[field]!r}: an alloc from a list takes the list's",
                )
        return Event(op, time, identity, list=text("list"), line=line)
    return Event(
        op,
        time,
        identity,
        integer("size"),
        _tag(found, name, line),
        _pool(found, name, line),
        line=line,
    )


def _tag(found: dict[str, Any], name: str, line: int) -> PoolTag:
    value = found.get("tag", "None")
    try:
        return PoolTag(value.encode("latin-1"))
    except (AttributeError, ValueError):
        raise TraceError(
            name, line, "tag", f"{value!r}: give four characters, in memory order"
        ) from None


def _pool(found: dict[str, Any], name: str, line: int) -> PoolType:
    value = found.get("pool", "NonPagedPool")
    try:
        pool = PoolType(0)
        for part in value.split("|"):
            pool |= PoolType(int(part)) if part.isdecimal() else PoolType[part]
    except (AttributeError, KeyError, ValueError):
        raise TraceError(
            name, line, "pool", f"{value!r}: give a PoolType name, such as 'PagedPool'"
        ) from None
    return pool


def _complain(found: dict[str, Any], name: str, line: int) -> None:
    """Say what is wrong with a line that is an object but no event."""
    op = found.get("op")
    if not isinstance(op, str) or op not in _FIELDS:
        problem = f"{op!r}" if "op" in found else "missing"
        raise TraceError(name, line, "op", f"{problem}: give one of {', '.join(_FIELDS)}")
    for field in found:
        if field not in _FIELDS[op]:
            raise TraceError(
                name,
                line,
                field,
                f"unknown for {op!r}: it has {', '.join(sorted(_FIELDS[op]))}",
            )


def _object(text: str, name: str, line: int) -> dict[str, Any]:
    """Decode a line that must be one JSON object."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise TraceError(name, line, None, f"not a JSON object: {error}") from None
    except RecursionError:
        raise TraceError(name, line, None, "not a JSON object: nested too deep") from None
    if not isinstance(found, dict):
        raise TraceError(name, line, None, f"not a JSON object: {text.strip()[:40]}")
    return found


def _open_to_read(path: Path) -> IO[bytes]:
    """Open a file for iteration over its lines."""
    if path.name.endswith(_GZIP_SUFFIX):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _lines(file: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Number the lines of a file, and turn what a damaged file raises into a TraceError."""
    number = 0
    try:
        for line in file:
            number += 1
            yield number, line.decode()
    except UnicodeDecodeError as error:
        raise TraceError(name, number, None, f"not UTF-8: {error.reason}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(name, number + 1, None, f"damaged gzip file: {error}") from None

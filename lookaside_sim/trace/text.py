"""One event as one line of JSON, and back, with the exact reason why a line is none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from lookaside_sim.errors import TraceError
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
)
from lookaside_sim.machine.calls import RaiseIrql
from lookaside_sim.nt.arguments import shown
from lookaside_sim.nt.types import NONE_TAG, PoolTag, PoolType
from lookaside_sim.trace.event import Event

_LIST_FIELDS: Final = frozenset({"t", "op", "list"})
_FIELDS: Final = {
    InitializeList.word: frozenset(
        {"t", "op", "list", "size", "tag", "pool", "flags", "depth"}
    ),
    AllocateEntry.word: frozenset({"t", "op", "id", "size", "tag", "pool", "list", "site"}),
    FreeEntry.word: frozenset({"t", "op", "id"}),
    FlushList.word: _LIST_FIELDS,
    DeleteList.word: _LIST_FIELDS,
    RaiseIrql.word: frozenset({"t", "op", "level"}),
}
OPS: Final = tuple(_FIELDS)
"""What an event can be: words of calls, `Call.word`."""


class DoubledFieldError(ValueError):
    """An object that names a field twice."""


def single_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its fields, each of which comes once.

    Raises:
        DoubledFieldError: one comes twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for field, _ in pairs:
            if field in seen:
                raise DoubledFieldError(field)
            seen.add(field)
    return found


_DECODE = json.JSONDecoder(object_pairs_hook=single_fields).raw_decode


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
    if event.site is not None:
        found["site"] = event.site
    return found


def pool_name(pool: PoolType) -> str:
    """Name a pool type in one word, or else its bits, as the pool field has them.

    Args:
        pool: the type.

    Returns:
        A PoolType name, or several joined by ``|``; a bit without a name is its number.
    """
    names: dict[int, str] = {}
    for name, member in PoolType.__members__.items():
        names.setdefault(member.value, name)  # the others are aliases
    if pool.value in names:
        return names[pool.value]
    bits = [1 << at for at in range(pool.value.bit_length()) if pool.value >> at & 1]
    return "|".join(names.get(bit, str(bit)) for bit in bits)


def parse(lines: Iterable[tuple[int, str]], name: str, time: int = 0) -> Iterator[Event]:
    """Read events from numbered lines.

    Args:
        lines: line number and text of each event.
        name: what errors call the source.
        time: of the event before the first.

    Yields:
        The events.

    Raises:
        TraceError: a line that is no event.
    """
    found: Any
    for number, text in lines:
        try:
            found, end = _DECODE(text)
            is_plain = end == len(text) or text[end:].isspace()
        except (ValueError, RecursionError):
            is_plain = False
        if not is_plain or type(found) is not dict:
            found = json_object(text, name, number)
        event = event_of(found, time, name, number)
        time = event.time
        yield event


def event_of(found: dict[str, Any], time: int, name: str, number: int) -> Event:
    """Read an event from the object its line holds.

    Args:
        found: the object.
        time: of the event before.
        name: what errors call the source.
        number: of the line.

    Returns:
        The event.

    Raises:
        TraceError: the object is no event.
    """
    try:
        op = found["op"]
        is_known = _FIELDS[op] >= found.keys()
    except (TypeError, LookupError):
        is_known = False
    if not is_known:
        _complain(found, name, number)
    at = found.get("t", time)
    if type(at) is not int or at < time:
        raise TraceError(
            name, number, "t", f"{shown(at)}: give whole microseconds, not before {time}"
        )
    # The two shapes that heap traces are made of, without further ado.
    if op == "free":
        identity = found.get("id")
        if type(identity) is int:
            return Event("free", at, identity, line=number)
    elif op == "alloc" and len(found) <= 4:
        identity, size = found.get("id"), found.get("size")
        if type(identity) is int and type(size) is int and size >= 0 and "t" in found:
            return Event(
                "alloc", at, identity, size, NONE_TAG, PoolType.NonPagedPool, line=number
            )
    return _event(op, at, found, name, number)


def _event(op: str, time: int, found: dict[str, Any], name: str, line: int) -> Event:
    """Build any event, checking each field its op has."""

    def integer(field: str, default: int | None = None, *, least: int | None = 0) -> int | None:
        value = found.get(field, default)
        if value is None and field not in found:
            raise TraceError(name, line, field, f"missing: {shown(op)} needs it")
        if type(value) is not int or (least is not None and value < least):
            kind = "an integer" if least is None else f"an integer, {least} or more"
            raise TraceError(name, line, field, f"{shown(value)}: give {kind}")
        return value

    def text(field: str) -> str:
        value = found.get(field)
        if not isinstance(value, str) or not value:
            problem = (
                f"{shown(value)}: give a name"
                if field in found
                else f"missing: {shown(op)} needs it"
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
    site = text("site") if "site" in found else None
    if "list" in found:
        for field in ("size", "tag", "pool"):
            if field in found:
                raise TraceError(
                    name,
                    line,
                    field,
                    f"{shown(found[field])}: an alloc from a list takes the list's",
                )
        return Event(op, time, identity, list=text("list"), line=line, site=site)
    return Event(
        op,
        time,
        identity,
        integer("size"),
        _tag(found, name, line),
        _pool(found, name, line),
        line=line,
        site=site,
    )


def _tag(found: dict[str, Any], name: str, line: int) -> PoolTag:
    value = found.get("tag", "None")
    try:
        return PoolTag(value.encode("latin-1"))
    except (AttributeError, ValueError):
        raise TraceError(
            name, line, "tag", f"{shown(value)}: give four characters, in memory order"
        ) from None


def _pool(found: dict[str, Any], name: str, line: int) -> PoolType:
    value = found.get("pool", "NonPagedPool")
    try:
        pool = PoolType(0)
        for part in value.split("|"):
            pool |= PoolType(int(part)) if part.isdecimal() else PoolType[part]
    except (AttributeError, KeyError, ValueError):
        raise TraceError(
            name, line, "pool", f"{shown(value)}: give a PoolType name, such as 'PagedPool'"
        ) from None
    return pool


def _complain(found: dict[str, Any], name: str, line: int) -> None:
    """Say what is wrong with a line that is an object but no event."""
    op = found.get("op")
    if not isinstance(op, str) or op not in _FIELDS:
        problem = f"{shown(op)}" if "op" in found else "missing"
        raise TraceError(name, line, "op", f"{problem}: give one of {', '.join(_FIELDS)}")
    for field in found:
        if field not in _FIELDS[op]:
            raise TraceError(
                name,
                line,
                field,
                f"unknown for {shown(op)}: it has {', '.join(sorted(_FIELDS[op]))}",
            )


def json_object(text: str, name: str, line: int) -> dict[str, Any]:
    """Decode a line that must be one JSON object.

    Args:
        text: the line.
        name: what errors call the source.
        line: its number.

    Returns:
        The object.

    Raises:
        TraceError: it is none.
    """
    try:
        found = json.loads(text, object_pairs_hook=single_fields)
    except DoubledFieldError as error:
        raise TraceError(name, line, str(error), "is there twice") from None
    except ValueError as error:
        raise TraceError(name, line, None, f"not a JSON object: {error}") from None
    except RecursionError:
        raise TraceError(name, line, None, "not a JSON object: nested too deep") from None
    if not isinstance(found, dict):
        raise TraceError(name, line, None, f"not a JSON object: {text.strip()[:40]}")
    return found

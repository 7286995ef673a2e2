"""Many events of a heap trace at once, as columns: a number a call costs less than an object a call.

`decode` reads whole lines of JSON as columns in steps that each run over all of them. It accepts
nothing that a reader of single lines would not, and says so of anything it is not sure of:

- As many ``{`` as lines, each at a line's start, so no line holds two objects and none
  lies inside another.
- The lines become one JSON list. The newline stays behind the comma that joins two, so a text that
  runs over a line's end is no JSON; and as many objects as lines come out, none split by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import count, repeat
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

from lookaside_sim.nt.types import NONE_TAG, PoolTag, PoolType
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.text import single_fields

_NONE: Final = repeat(None)
_LENGTHS: Final[dict[str, int]] = {"alloc": 4, "free": 3}
_TAGS: Final[dict[str, PoolTag | None]] = {"alloc": NONE_TAG, "free": None}
_POOLS: Final[dict[str, PoolType | None]] = {"alloc": PoolType.NonPagedPool, "free": None}
_TYPES_OF_SIZES: Final = frozenset({int, type(None)})
_OP: Final = itemgetter("op")
_TIME: Final = itemgetter("t")
_ID: Final = itemgetter("id")
# As Event._make does, without a look at how many fields there are.
_EVENT: Final = partial(tuple.__new__, Event)


class Columns(NamedTuple):
    """Consecutive events of a heap trace: allocations of a size from NonPagedPool, and frees."""

    line: int
    """Line of the first event in its file."""
    ops: list[str]
    """``alloc`` or ``free`` of each event."""
    times: list[int]
    """Microseconds of each."""
    ids: list[int]
    """The allocation that each makes or frees."""
    sizes: list[int | None]
    """Bytes of an allocation; None for a free."""

    def events(self) -> Iterator[Event]:
        """The same as single events."""
        return map(
            _EVENT,
            zip(
                self.ops,
                self.times,
                self.ids,
                self.sizes,
                map(_TAGS.get, self.ops),
                map(_POOLS.get, self.ops),
                _NONE,
                _NONE,
                _NONE,
                _NONE,
                count(self.line),
                _NONE,
                strict=False,
            ),
        )

    def part(self, part: slice) -> Columns:
        """Some of the events, from a start to an end."""
        return Columns(
            self.line + part.start,
            self.ops[part],
            self.times[part],
            self.ids[part],
            self.sizes[part],
        )


def objects(text: str) -> list[dict[str, Any]] | None:
    """Decode lines that hold one JSON object each.

    Args:
        text: whole lines.

    Returns:
        The objects, as many as lines; None when a line holds something else, or may.
    """
    lines = text.count("\n{") + 1
    if (
        not text.startswith("{")
        or text.count("{") != lines
        or text.count("\n") + (not text.endswith("\n")) != lines
    ):
        return None
    array = "[" + text.removesuffix("\n").replace("\n", ",\n") + "]"
    try:
        found = json.loads(array)
        if len(found) != lines or set(map(type, found)) != {dict}:
            return None
        if text.count(":") != sum(map(len, found)):
            # A colon in a text, or a field that comes twice.
            found = json.loads(array, object_pairs_hook=single_fields)
    except (ValueError, RecursionError):
        return None
    return cast("list[dict[str, Any]]", found)


def decode(found: list[dict[str, Any]], line: int, time: int) -> Columns | None:
    """Read objects as events of a heap trace.

    Args:
        found: the object of each line.
        line: number of the first.
        time: of the event before.

    Returns:
        The events; None when one is of another kind, or may be wrong.
    """
    try:
        ops = list(map(_OP, found))
        times = list(map(_TIME, found))
        ids = list(map(_ID, found))
        lengths = list(map(_LENGTHS.get, ops))
    except (KeyError, TypeError):
        return None
    sizes = list(map(dict.get, found, repeat("size")))
    frees = ops.count("free")
    if (
        lengths != list(map(len, found))
        or set(map(type, times)) != {int}
        or set(map(type, ids)) != {int}
        or not _TYPES_OF_SIZES.issuperset(map(type, sizes))
        or sizes.count(None) != frees  # three fields are t, op and id; a fourth is the size
        or min(filter(None, sizes), default=0) < 0
        or times[0] < time
        or sorted(times) != times
    ):
        return None
    return Columns(line, ops, times, ids, sizes)

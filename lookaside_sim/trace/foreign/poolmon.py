"""What ``poolmon`` shows, as text: how often each tag was allocated and freed so far.

::

     Memory:  260620K Avail:   96364K  PageFlts:     0   InRam Krnl: 1916K P:17856K
     Commit: 203500K Limit: 640916K Peak: 260632K            Pool N: 8332K P:27220K
     System pool information
     Tag  Type     Allocs            Frees            Diff   Bytes       Per Alloc

     Io   Nonp    1021112 (   1)   1020985 (   1)      127   91912 (     0)    723

One display behind the other, as ``poolmon /n FILE`` writes one: what happened lies between two of them. They are counts, not
calls, so what a list would do is known within bounds only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.trace.foreign.heap import Heap

_HEAD: Final = re.compile(r"\s*Tag\s+Type\s+Allocs\b")
_CHANGE: Final = r"(?:\s*\(\s*-?\d+\))?\s+"
_ROW: Final = re.compile(
    rf"\s?(?P<tag>\S.{{0,3}}?)\s+(?P<type>Nonp|Paged)\s+(?P<allocates>\d+){_CHANGE}(?P<frees>\d+)"
    rf"{_CHANGE}(?P<live>-?\d+)\s+(?P<bytes>\d+)(?:\s|\Z)"
)
_AROUND: Final = re.compile(r"\s*(?:Memory:|Commit:|System pool information|TOTAL\b|\Z)")


class TagCounts(NamedTuple):
    """What happened with one tag in one pool."""

    tag: PoolTag
    pool_type: PoolType
    """NonPagedPool or PagedPool."""
    size: int
    """Bytes of a live block on average, in the last display that has any live one; 0 where none has."""
    calls: list[tuple[int, int]]
    """Allocate and free calls between each two displays."""


def looks_so(line: str) -> bool:
    """Whether a line begins such a text."""
    return _HEAD.match(line) is not None or _ROW.match(line) is not None


def read(lines: Iterable[tuple[int, str]], heap: Heap) -> list[TagCounts]:
    """Read displays.

    Args:
        lines: their lines, with numbers.
        heap: that tells errors.

    Returns:
        Each tag in each pool, in order of its first display. One that a display does not have has
        made no calls until then.

    Raises:
        TraceError: a line that is none of such a text, or fewer than two displays.
    """
    displays: list[dict[tuple[str, str], tuple[int, int]]] = []
    sizes: dict[tuple[str, str], int] = {}
    number = 0
    for number, text in lines:
        line = text.rstrip("\r\n")
        if _HEAD.match(line):
            displays.append({})
            continue
        row = _ROW.match(line)
        if row is None:
            if _AROUND.match(line) is None:
                raise heap.refuse(number, None, f"no line of poolmon: {line.strip()[:40]!r}")
            continue
        key = row["tag"], row["type"]
        if not displays or key in displays[-1]:
            # Its head is missing, as where only rows were kept.
            displays.append({})
        displays[-1][key] = int(row["allocates"]), int(row["frees"])
        live = int(row["live"])
        sizes[key] = -(-int(row["bytes"]) // live) if live > 0 else sizes.get(key, 0)
    if len(displays) < 2:
        problem = "one display alone: give two or more, a while apart, one behind the other"
        raise heap.refuse(max(number, 1), None, problem)
    return [_counts(heap, number, key, sizes[key], displays) for key in sizes]


def _counts(
    heap: Heap,
    line: int,
    key: tuple[str, str],
    size: int,
    displays: list[dict[tuple[str, str], tuple[int, int]]],
) -> TagCounts:
    tag, kind = key
    first = next(each[key] for each in displays if key in each)
    known, totals = first, []
    for each in displays:
        known = each.get(key, known)
        totals.append(known)
    calls = [(now[0] - before[0], now[1] - before[1]) for before, now in pairwise(totals)]
    if any(allocates < 0 or frees < 0 for allocates, frees in calls):
        raise heap.refuse(
            line, None, f"tag {tag!r}: its counts fall from one display to the next"
        )
    try:
        name = PoolTag(tag.ljust(4).encode("latin-1"))
    except ValueError:
        raise heap.refuse(line, "tag", f"{tag!r}: give four characters") from None
    pool = PoolType.PagedPool if kind == "Paged" else PoolType.NonPagedPool
    return TagCounts(name, pool, size, calls)

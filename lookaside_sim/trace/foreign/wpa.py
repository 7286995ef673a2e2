"""The pool table of Windows Performance Analyzer, exported as CSV: a row an allocation.

Columns are found by how their names begin: ``Alloc Time (s)``, ``Free Time (s)``, ``Size (B)`` (or KB, MB), ``Pool Tag`` or ``Tag``, and
``Pool Type``, ``Type`` or ``Paged``, in which a word that begins with Paged means the paged pool. Only rows of single
allocations count: a row without a time of allocation is a sum. Without a time of free, the
allocation outlived the recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from lookaside_sim.nt.types import PoolType
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.foreign.heap import Heap, cells_of
from lookaside_sim.trace.foreign.windows import tag_of

_UNITS: Final = {"(b)": 1, "(kb)": 1 << 10, "(mb)": 1 << 20}
_COLUMNS: Final = {
    "allocated": ("alloc time", "allocation time"),
    "freed": ("free time",),
    "size": ("size",),
    "tag": ("pool tag", "tag"),
    "pool": ("pool type", "paged", "type"),
}


def _find(names: list[str]) -> dict[str, int]:
    found = {}
    for field, beginnings in _COLUMNS.items():
        for beginning in beginnings:
            at = next((at for at, name in enumerate(names) if name.startswith(beginning)), None)
            if at is not None and field not in found:
                found[field] = at
    return found


def _names(line: str) -> list[str]:
    return [name.lower() for name in cells_of(line)]


def looks_so(line: str) -> bool:
    """Whether a line begins such a recording."""
    try:
        return _find(_names(line)).keys() >= {"allocated", "freed", "size"}
    except ValueError:
        return False


def read(lines: Iterable[tuple[int, str]], heap: Heap) -> Iterator[Event]:
    """Read a recording. All of it is held, since rows are in no order of time.

    Args:
        lines: its lines, with numbers.
        heap: what keeps track.

    Yields:
        Its events, in order of time.

    Raises:
        TraceError: a line that is none of such a recording.
    """
    columns: dict[str, int] | None = None
    unit = 1
    calls: list[tuple[int, int, int, list[str]]] = []
    for number, text in lines:
        if not text.strip():
            continue
        cells = heap.cells(number, text)
        if columns is None:
            names = [cell.lower() for cell in cells]
            columns = _find(names)
            if not columns.keys() >= {"allocated", "freed", "size"}:
                problem = "give columns Alloc Time (s), Free Time (s) and Size (B)"
                raise heap.refuse(number, None, f"{text.strip()[:40]!r}: {problem}")
            last = names[columns["size"]].rpartition(" ")[2]
            unit = _UNITS.get(last, 1)
            continue
        if len(cells) <= max(columns.values()):
            raise heap.refuse(number, None, f"{len(cells)} cells: the header has more")
        if not cells[columns["allocated"]]:
            continue
        time = heap.microseconds(number, "alloc time", cells[columns["allocated"]])
        calls.append((time, 1, number, cells))
        if cells[columns["freed"]]:
            freed = heap.microseconds(number, "free time", cells[columns["freed"]])
            if freed < time:
                raise heap.refuse(number, "free time", "is before the allocation")
            # What is freed when it was allocated is freed behind that.
            calls.append((freed, 2 if freed == time else 0, number, cells))
    calls.sort(key=lambda call: call[:3])
    for time, order, number, cells in calls:
        assert columns is not None
        if order != 1:
            yield from heap.freed(number, time, number)
            continue
        size = cells[columns["size"]].replace(",", "")
        try:
            amount = round(float(size) * unit)
        except ValueError:
            raise heap.refuse(number, "size", f"{size[:40]!r}: give a number") from None
        pool = cells[columns["pool"]].lower() if "pool" in columns else ""
        yield from heap.allocated(
            number,
            time,
            number,
            amount,
            tag=tag_of(heap, number, cells[columns["tag"]] if "tag" in columns else ""),
            pool=PoolType.PagedPool if pool.startswith("paged") else PoolType.NonPagedPool,
        )

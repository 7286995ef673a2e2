"""Calls of malloc and free, a line each, as ltrace prints them and as our recorder writes them.

::

    12.000310 malloc(24) = 0x55d0c2a0
    12.000314 calloc(2, 8) = 0x55d0c2c0 @ main+0x1f
    12.000402 realloc(0x55d0c2a0, 64) = 0x55d0c300
    12.000405 free(0x55d0c2c0)
    @ 7 = read_line+0x30 in demo
    12.000411 malloc(80) = 0x55d0c2c0 @ 7

A time in seconds, or of the day, may stand in front, a call site behind an ``@``, or the number of one that a line
of its own named before. Of ltrace:
``ltrace -f -ttt -e malloc+calloc+realloc+free``, with its process ids, libraries' names, calls that
another thread interrupts, and marks of signals and exits. Calls of anything else are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from lookaside_sim.trace.event import Event
from lookaside_sim.trace.foreign.heap import Heap

_FRONT: Final = (
    r"(?:\[pid\s+(?P<pid>\d+)\]\s+|(?P<pid2>\d+)\s+)?(?:(?P<time>\d+[.:][\d.:]+)\s+)?"
)
_CALL: Final = re.compile(
    _FRONT + r"(?:\S+->)?(?P<name>\w+)\((?P<arguments>[^()]*?)\s*"
    r"(?:\)\s*(?:=\s*(?P<result>\S+))?(?:\s+@\s*(?P<site>.+))?|(?P<open><unfinished \.\.\.>))\s*\Z"
)
_RESUMED: Final = re.compile(
    _FRONT + r"<\.\.\. (?P<name>\w+) resumed>\s*.*?\)\s*(?:=\s*(?P<result>\S+))?\s*\Z"
)
_MARK: Final = re.compile(_FRONT + r"(?:\+\+\+|---|Process|$)")
_OTHER: Final = re.compile(_FRONT + r"(?:(?:\S+->)?\w[\w:~<>]*\(|<\.\.\. )")
_NULL: Final = frozenset({"nil", "(nil)", "NULL", "0"})
_ARGUMENTS: Final = {
    "malloc": 1,
    "calloc": 2,
    "realloc": 2,
    "free": 1,
}
_SITE: Final = re.compile(r"@\s*(?P<number>\d+)\s*=\s*(?P<site>\S.*)\Z")
_LOOKS: Final = re.compile(_FRONT + r"(?:\S+->)?(?:malloc|calloc|realloc|free)\(")


def looks_so(line: str) -> bool:
    """Whether a line begins such a recording."""
    return _LOOKS.match(line) is not None


def read(lines: Iterable[tuple[int, str]], heap: Heap) -> Iterator[Event]:
    """Read a recording.

    Args:
        lines: its lines, with numbers.
        heap: what keeps track.

    Yields:
        Its events.

    Raises:
        TraceError: a line that is none of such a recording.
    """
    open_calls: dict[tuple[str, str], str] = {}
    sites: dict[str | None, str] = {}
    for number, text in lines:
        line = text.strip()
        named = _SITE.match(line) if line.startswith("@") else None
        if named is not None:
            sites[named["number"]] = heap.site_name(named["site"])
            continue
        found = _CALL.match(line) or _RESUMED.match(line)
        if found is None:
            if _MARK.match(line) is None and _OTHER.match(line) is None:
                raise heap.refuse(number, None, f"no call of malloc or free: {line[:40]!r}")
            if _LOOKS.match(line) is not None:
                raise heap.refuse(number, None, f"not a whole call: {line[:60]!r}")
            continue
        part = found.groupdict()
        name = part["name"]
        if name not in _ARGUMENTS:
            continue
        thread = part["pid"] or part["pid2"] or ""
        if part.get("open"):
            open_calls[thread, name] = part["arguments"]
            continue
        arguments = part.get("arguments")
        if arguments is None:
            arguments = open_calls.pop((thread, name), None)
            if arguments is None:
                continue  # it began before the recording
        time = part["time"]
        at = None if time is None else heap.microseconds(number, "time", time)
        part["site"] = sites.get(part.get("site"), part.get("site"))
        yield from _events(heap, number, at, name, arguments, part)


def _events(
    heap: Heap,
    line: int,
    time: int | None,
    name: str,
    arguments: str,
    part: dict[str, str | None],
) -> Iterator[Event]:
    given = [each.strip() for each in arguments.split(",") if each.strip()]
    if len(given) != _ARGUMENTS[name]:
        raise heap.refuse(line, name, f"({arguments}): give {_ARGUMENTS[name]} arguments")
    numbers = [0 if each in _NULL else heap.number(line, name, each) for each in given]
    if name == "free":
        if numbers[0]:
            yield from heap.freed(line, time, numbers[0])
        return
    result = part["result"]
    if result is None:
        raise heap.refuse(line, name, "without a result: give = and the address")
    address = 0 if result in _NULL else heap.number(line, name, result)
    size = numbers[0] * numbers[1] if name == "calloc" else numbers[-1]
    if name == "realloc" and numbers[0] and (address or not size):
        yield from heap.freed(line, time, numbers[0])
    if address:
        yield from heap.allocated(line, time, address, size, site=part.get("site"))

"""Pool events of a Windows trace, as CSV with a header or as a JSON object a line.

::

    TimeStamp,Opcode,PoolType,Tag,Size,Address
    1200,0x20,NonPagedPoolNx,AfdB,480,0xFFFFC10A21C03010
    1260,0x22,NonPagedPoolNx,AfdB,480,0xFFFFC10A21C03010

TimeStamp is in microseconds. Opcodes 0x20 and 0x21 allocate (0x21 in a session), 0x22 and 0x23 free; the others up to
0x2F tell of pages and are passed over. A pool type is a PoolType name or a number, a tag its four
characters or a number. Further columns do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from lookaside_sim.nt.types import NONE_TAG, PoolTag, PoolType
from lookaside_sim.trace.event import Event
from lookaside_sim.trace.foreign.heap import Heap

_NAMES: Final = {
    "time": ("timestamp", "time", "timestampus"),
    "opcode": ("opcode", "eventopcode"),
    "pool": ("pooltype", "type"),
    "tag": ("tag", "pooltag"),
    "size": ("size", "numberofbytes", "bytes"),
    "address": ("address", "entry", "pointer"),
}
_ALLOCATES: Final = (0x20, 0x21)
_FREES: Final = (0x22, 0x23)
_LAST: Final = 0x2F


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def looks_so(line: str) -> bool:
    """Whether a line begins such a recording."""
    if line.lstrip().startswith("{"):
        try:
            names = {_plain(name) for name in json.loads(line)}
        except (ValueError, RecursionError):
            return False
    else:
        names = {_plain(name) for name in line.split(",")}
    return all(names & set(_NAMES[field]) for field in ("time", "opcode", "address"))


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
    names: list[str] | None = None
    for number, text in lines:
        if not text.strip():
            continue
        if text.lstrip().startswith("{"):
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise heap.refuse(number, None, f"not a JSON object: {error}") from None
        else:
            cells = heap.cells(number, text)
            if names is None:
                names = cells
                continue
            found = dict(zip(names, cells, strict=False))
        values = {_plain(name): str(value).strip() for name, value in found.items()}
        yield from _event(heap, number, values)


def _event(heap: Heap, line: int, values: dict[str, str]) -> Iterator[Event]:
    def field(name: str, default: str | None = None) -> str:
        for each in _NAMES[name]:
            if values.get(each):
                return values[each]
        if default is None:
            raise heap.refuse(line, name, f"missing: give {_NAMES[name][0]}")
        return default

    opcode = heap.number(line, "opcode", field("opcode"))
    if opcode not in _ALLOCATES + _FREES:
        if not _ALLOCATES[0] <= opcode <= _LAST:
            raise heap.refuse(line, "opcode", f"{opcode:#x}: give 0x20 to 0x2f")
        return
    time = heap.number(line, "time", field("time").partition(".")[0])
    address = heap.number(line, "address", field("address"))
    if opcode in _FREES:
        yield from heap.freed(line, time, address)
        return
    size = heap.number(line, "size", field("size"))
    yield from heap.allocated(
        line,
        time,
        address,
        size,
        tag=tag_of(heap, line, field("tag", "None")),
        pool=_pool(heap, line, field("pool", "0")),
    )


def _pool(heap: Heap, line: int, text: str) -> PoolType:
    if text in PoolType.__members__:
        return PoolType[text]
    try:
        return PoolType(int(text, 0))
    except ValueError:
        problem = f"{text[:40]!r}: give a PoolType name or a number"
        raise heap.refuse(line, "pool", problem) from None


def tag_of(heap: Heap, line: int, text: str) -> PoolTag:
    """Read a tag: up to four characters, or a number with ``0x``.

    Args:
        heap: that tells errors.
        line: of the recording.
        text: of the tag.

    Returns:
        The tag; blanks fill it up, as everywhere.
    """
    if not text:
        return NONE_TAG
    if len(text) > 4 and text.lower().startswith("0x"):
        return PoolTag(heap.number(line, "tag", text) & 0xFFFF_FFFF)
    try:
        return PoolTag(text.ljust(4).encode("latin-1"))
    except ValueError:
        raise heap.refuse(line, "tag", f"{text[:40]!r}: give four characters") from None

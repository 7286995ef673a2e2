"""Trace files with faults of every kind, and a reader of single lines to compare others with."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from lookaside_sim import TraceError
from lookaside_sim.trace import Event, load
from lookaside_sim.trace.text import parse

HEADER = b'{"format":"lookaside-trace","version":1,"time_unit":"us"}'
BYTES = b'0123456789{}[],:"\\ abcdefaeinorst.-\xff\n\r\x00\x01'
ENDS = [b" ", b"x", b"}", b"  \r", b"\x0b", b",", b",5", b"\xc2\xa0"]
LINES = [
    b"",
    b"null",
    b"[1]",
    b'{"t":5,"op":"init","list":"a","size":24,"tag":"abcd"}',
    b'{"op":"free","id":3}',
    b'{"op":"alloc","id":3,"size":8,"site":"main+5"}',
    b'{"t":1e3,"op":"free","id":3}',
    b'{"t":1,"op":"free","id":true}',
    b'{"t":1,"op":"free","size":1}',
    b'{"t":99999999,"op":"alloc","id":1,"size":-1}',
    b'{"t":99999999,"op":"alloc","id":1,"size":null}',
    b'{"t":99999999,"op":"alloc","id":1,"list":"{"}',
    b'{"t":1,"op":"alloc","id":1,"size":3,"size":4}',
    b'{"t":NaN,"op":"free","id":1}',
    b'{"t":1,"op":["free"],"id":1}',
    b'{"id":7,"op":"free","t":99999999}',
    b'{"t":[1',
    b'{"t":1}],"t":99999999,"op":"free","id":1}',
    b'{"t":1,"op":"free","id":1},{"t":1,"op":"free","id":1}',
    b'{"t":[{}',
    b'{}],"t":1,"op":"free","id":1}',
]


def good_lines(draw: random.Random, count: int) -> list[bytes]:
    """Lines of a heap trace without a fault, in which 0 is live before the first."""
    lines, live, time = [], [0], 0
    for identity in range(1, count + 1):
        time += draw.randrange(40)
        if not live or draw.random() < 0.5:
            live.append(identity)
            size = draw.randrange(200)
            lines.append(b'{"t":%d,"op":"alloc","id":%d,"size":%d}' % (time, identity, size))
        else:
            freed = live.pop(draw.randrange(len(live)))
            lines.append(b'{"t":%d,"op":"free","id":%d}' % (time, freed))
    return lines


def damaged(draw: random.Random) -> tuple[bytes, bool]:
    """The bytes of a trace with up to three faults, and whether it is compressed."""
    lines = good_lines(draw, draw.randrange(1, 400))
    for _ in range(draw.randrange(4)):
        at = draw.randrange(len(lines))
        line, kind = bytearray(lines[at]), draw.randrange(7)
        if kind == 0 and line:
            line[draw.randrange(len(line))] = draw.choice(BYTES)
        elif kind == 1:
            line = line[: draw.randrange(len(line) + 1)]
        elif kind == 2:
            line = bytearray(draw.choice(LINES))
        elif kind == 3:
            line += draw.choice(ENDS)
        elif kind == 4:
            cut = draw.randrange(len(line) + 1)
            lines.insert(at, bytes(line[:cut]))
            at, line = at + 1, line[cut:]
        elif kind == 5 and at + 1 < len(lines):
            line += draw.choice([b",", b"", b" "]) + lines.pop(at + 1)
        else:
            line[:0] = draw.choice([b" ", b"\xef\xbb\xbf", b"\t", b"[", b","])
        lines[at] = bytes(line)
    end = draw.choice([b"\n", b"", b"\n\n", b" \n"])
    data = HEADER + b"\n" + b"\n".join(lines) + end
    if draw.random() < 0.6:
        return data, False
    data = gzip.compress(data, 1)
    if draw.random() < 0.5:
        data = data[: draw.randrange(len(data))]
    elif draw.random() < 0.3:
        at = draw.randrange(len(data))
        data = data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]
    return data, True


def singly(path: Path) -> Iterator[Event]:
    """Read a trace one line at a time; its header is taken to be right."""
    name = str(path)

    def lines() -> Iterator[tuple[int, str]]:
        number = 0
        try:
            with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
                for line in file:
                    number += 1
                    if number > 1:
                        yield number, line.decode()
        except UnicodeDecodeError as error:
            raise TraceError(name, number, None, f"not UTF-8: {error.reason}") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            problem = f"damaged gzip file: {error}"
            raise TraceError(name, number + 1, None, problem) from None

    return parse(lines(), name)


def told(events: Iterable[Event]) -> tuple[list[Event], tuple[str, int, str | None] | None]:
    """The events of a file until its end or its first error, and that error."""
    found = []
    try:
        for event in events:
            found.append(event)
    except TraceError as error:
        return found, (str(error), error.line, error.field)
    return found, None


def difference(folder: Path, seed: int) -> str | None:
    """Read one damaged file in both ways; None when both tell the same."""

    data, is_packed = damaged(random.Random(seed))
    path = folder / ("damaged.jsonl.gz" if is_packed else "damaged.jsonl")
    path.write_bytes(data)
    try:
        trace = load(path)
    except TraceError:
        return None  # the header was hit
    one, many = told(singly(path)), told(trace)
    if one == many:
        return None
    return f"seed {seed}: {len(one[0])} events, {one[1]}; {len(many[0])} events, {many[1]}"

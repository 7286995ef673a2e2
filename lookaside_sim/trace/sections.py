"""What a packed trace is made of: sections with a length and a checksum, columns of numbers.

::

    magic      8 bytes
    section    kind, 4 bytes; length and CRC-32 of the rest, 4 bytes each, little-endian; the rest
    ...
    section    the kind END

A file is not trusted: each length has a limit that is checked before memory is taken, and
nothing is decompressed past the length that was promised.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final, NoReturn

from lookaside_sim.errors import TraceEndError, TraceError

MAGIC: Final = b"\x89lkt\r\n\x1a\n"
"""Begins like no text, and shows when line ends were changed on the way."""
MOST_BYTES: Final = 1 << 24
"""Bytes of a section, stored and decompressed, at most."""
HEAD: Final = b"HEAD"
KINDS: Final = b"KIND"
EVENTS: Final = b"EVTS"
END: Final = b"END."

_FRAME: Final = struct.Struct("<4sII")
_LENGTH: Final = struct.Struct("<I")
_TYPE_CODES: Final = {array(code).itemsize: code for code in "QLIHB"}
_LEVEL: Final = 6


class Section:
    """One section of a file that is read.

    Args:
        name: what errors call the file.
        at: where in the file the section begins.
        kind: of the section.
        body: its bytes.
        line: line that the section's first event would have as JSON.
    """

    __slots__ = ("_position", "at", "body", "kind", "line", "name")

    def __init__(self, name: str, at: int, kind: bytes, body: bytes, line: int) -> None:
        self.name = name
        self.at = at
        self.kind = kind
        self.body = body
        self.line = line
        self._position = 0

    def refuse(self, why: str) -> NoReturn:
        """Raise the error of a section that is not valid."""
        raise TraceError(self.name, self.line, None, f"section at byte {self.at}: {why}")

    def part(self) -> bytes:
        """Decompress the next part: its length, its stored length, its bytes."""
        start = self._position + 2 * _LENGTH.size
        if start > len(self.body):
            self.refuse("a part is missing")
        (length,) = _LENGTH.unpack_from(self.body, self._position)
        (stored,) = _LENGTH.unpack_from(self.body, self._position + _LENGTH.size)
        if length > MOST_BYTES or stored > len(self.body) - start:
            self.refuse(f"a part of {length} bytes in {stored}: too long")
        self._position = start + stored
        inflate = zlib.decompressobj()
        try:
            # One byte more than promised would show itself.
            found = inflate.decompress(self.body[start : self._position], length + 1)
        except zlib.error as error:
            self.refuse(str(error))
        if len(found) != length or not inflate.eof or inflate.unused_data:
            self.refuse(f"a part does not decompress to its {length} bytes")
        return found

    def json(self) -> Any:
        """Decompress the next part as JSON."""
        try:
            return json.loads(self.part().decode("ascii"))
        except (ValueError, RecursionError) as error:
            self.refuse(f"not JSON: {error}")

    def column(self) -> Sequence[int]:
        """Decompress the next part as a column of numbers, 0 or more."""
        found = self.part()
        width = found[0] if found else -1
        if width == 0:
            try:
                column = json.loads(found[1:].decode("ascii"))
            except (ValueError, RecursionError) as error:
                self.refuse(f"not JSON: {error}")
            if type(column) is not list or not all(type(n) is int and n >= 0 for n in column):
                self.refuse("a column holds something else than numbers")
            return column
        if width not in _TYPE_CODES or len(found) % width != 1 % width:
            self.refuse(f"a column of {len(found)} bytes, {width} a number")
        if width == 1:
            return found[1:]
        planes = bytearray(len(found) - 1)
        count = len(planes) // width
        for plane in range(width):
            planes[plane::width] = found[1 + plane * count : 1 + (plane + 1) * count]
        numbers = array(_TYPE_CODES[width], planes)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers

    def end(self) -> None:
        """Check that nothing is left."""
        if self._position != len(self.body):
            self.refuse("bytes behind its last part")


def sections(file: IO[bytes], name: str, *, without: bytes | None = None) -> Iterator[Section]:
    """Read the sections of a packed trace, the magic first.

    Args:
        file: the file, at its start.
        name: what errors call it.
        without: a kind of sections to pass over, unread and unchecked.

    Yields:
        Each section, with line 1; who counts events sets the next one's.

    Raises:
        TraceError: damage; `TraceEndError` where the file ends too early.
    """
    at = len(MAGIC)
    magic = file.read(at)
    if magic != MAGIC:
        raise TraceError(name, 1, None, f"begins with {magic!r}: no packed trace")
    line = 1
    kind = b""
    while kind != END:
        frame = file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            raise _ends(name, line, at + len(frame))
        kind, length, checksum = _FRAME.unpack(frame)
        section = Section(name, at, kind, b"", line)
        if length > MOST_BYTES:
            section.refuse(f"{length} bytes: {MOST_BYTES} at most")
        if kind == without:
            file.seek(length, os.SEEK_CUR)
            at += len(frame) + length
            continue
        section.body = file.read(length)
        at += len(frame) + len(section.body)
        if len(section.body) < length:
            raise _ends(name, line, at)
        if zlib.crc32(section.body) != checksum:
            section.refuse("its checksum is another")
        yield section
        line = section.line
    if file.read(1):
        raise TraceError(name, line, None, f"byte {at}: bytes behind the end")


def _ends(name: str, line: int, at: int) -> TraceEndError:
    return TraceEndError(name, line, None, f"ends at byte {at}, before its last section")


def write_section(file: IO[bytes], kind: bytes, parts: Sequence[bytes]) -> None:
    """Write a section of parts, each compressed.

    Args:
        file: where to.
        kind: of the section.
        parts: what `packed` or `packed_json` made.
    """
    body = b"".join(parts)
    file.write(_FRAME.pack(kind, len(body), zlib.crc32(body)) + body)


def packed(part: bytes) -> bytes:
    """Compress a part, with its lengths in front."""
    stored = zlib.compress(part, _LEVEL)
    return _LENGTH.pack(len(part)) + _LENGTH.pack(len(stored)) + stored


def packed_json(value: object) -> bytes:
    """Compress a value as JSON."""
    return packed(json.dumps(value, separators=(",", ":")).encode("ascii"))


def packed_column(numbers: Sequence[int]) -> bytes:
    """Compress numbers of 0 or more in as few bytes each as the largest takes.

    The first bytes of all come first, then the second ones, and so on: the high ones are
    mostly alike. Numbers of more than 64 bits are written out.
    """
    bits = max(numbers, default=0).bit_length()
    width = next((width for width in (1, 2, 4, 8) if bits <= 8 * width), 0)
    if not width:
        return packed(b"\0" + json.dumps(list(numbers), separators=(",", ":")).encode("ascii"))
    column = array(_TYPE_CODES[width], numbers)
    if sys.byteorder == "big":
        column.byteswap()
    plain = column.tobytes()
    return packed(bytes([width]) + b"".join(plain[plane::width] for plane in range(width)))

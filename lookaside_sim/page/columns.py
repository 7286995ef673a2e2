"""Columns of numbers: each a run of varints, deflated, as text that a page can hold."""

from __future__ import annotations

import zlib
from base64 import b64encode

_RAW: int = -15
"""A window of 32 KiB and no header: what DecompressionStream calls ``deflate-raw``."""


class Column:
    """Whole numbers one after the other, small ones in one byte.

    Seven bits a byte, lowest first, bit 7 set where more follow; the sign in bit 0.
    """

    __slots__ = ("_bytes", "_last")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._last = 0

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)

    def put(self, number: int) -> None:
        """Append a number."""
        rest = number << 1 if number >= 0 else (-number << 1) - 1
        while rest > 0x7F:
            self._bytes.append(rest & 0x7F | 0x80)
            rest >>= 7
        self._bytes.append(rest)

    def put_step_to(self, number: int) -> None:
        """Append how far a number is from the last one that was appended this way."""
        self.put(number - self._last)
        self._last = number

    def packed(self) -> str:
        """The column as text."""
        return pack(bytes(self._bytes))


def pack(data: bytes) -> str:
    """Deflate bytes and write them in base64."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, _RAW)
    return b64encode(squeezer.compress(data) + squeezer.flush()).decode("ascii")

"""How the debugger writes numbers and addresses.

Source:
    [doc] Microsoft, Debugging Tools for Windows: ``? (Evaluate Expression)``, ``.formats``,
    ``d (Display Memory)``.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Final

WORD_MASK: Final = (1 << 64) - 1
_FILETIME_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_TIME_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_FILETIME: Final = 0x2000_0000_0000_0000
_TICKS_PER_MICROSECOND: Final = 10


def address_text(value: int, pointer_size: int) -> str:
    """An address in full: with a grave accent in the middle where it has 16 digits."""
    digits = f"{value & (1 << 8 * pointer_size) - 1:0{2 * pointer_size}x}"
    return digits if pointer_size == 4 else f"{digits[:8]}`{digits[8:]}"


def short_hex(value: int) -> str:
    """A value as ``dt`` shows it: up to 9 as it is, larger ones with ``0x``."""
    return str(value) if value < 10 else f"0x{value:x}"


def signed(value: int, bits: int = 64) -> int:
    """The number that a word holds when its highest bit is the sign."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def printable_bytes(data: bytes) -> str:
    """Bytes as text, a dot for what cannot be printed."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)


def evaluated(value: int, pointer_size: int) -> str:
    """What ``?`` prints."""
    return (
        f"Evaluate expression: {signed(value, 8 * pointer_size)}"
        f" = {address_text(value, pointer_size)}"
    )


def all_formats(value: int, pointer_size: int) -> str:
    """What ``.formats`` prints.

    Choice: the time is that of UTC, so that the same command prints the same everywhere.
    """
    size = pointer_size
    value &= (1 << 8 * size) - 1
    raw = value.to_bytes(size, "big")
    low = struct.unpack("<f", (value & 0xFFFF_FFFF).to_bytes(4, "little"))[0]
    high = struct.unpack("<f", (value >> 32).to_bytes(4, "little"))[0]
    double = struct.unpack("<d", value.to_bytes(8, "little"))[0]
    octal = f"{value:0{22 if size == 8 else 11}o}"
    return "\n".join(
        (
            "Evaluate expression:",
            f"  Hex:     {address_text(value, size)}",
            f"  Decimal: {signed(value, 8 * size)}",
            f"  Octal:   {octal}",
            f"  Binary:  {' '.join(f'{byte:08b}' for byte in raw)}",
            f"  Chars:   {printable_bytes(raw)}",
            f"  Time:    {_time(value)}",
            f"  Float:   low {low:g} high {high:g}",
            f"  Double:  {double:g}",
        )
    )


def _time(value: int) -> str:
    if value <= 0x7FFF_FFFF:
        return f"{_TIME_EPOCH + timedelta(seconds=value):%a %b %d %H:%M:%S %Y}"
    if value < _LAST_FILETIME:
        moment = _FILETIME_EPOCH + timedelta(microseconds=value // _TICKS_PER_MICROSECOND)
        return f"{moment:%a %b %d %H:%M:%S}.{moment.microsecond // 1000:03} {moment:%Y} (UTC)"
    return "***** Invalid FILETIME"

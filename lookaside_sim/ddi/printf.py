"""Formatted text: what DbgPrint and its like make of a format and its arguments.

Source:
    [doc] Format specification syntax: printf; DbgPrint. ``%wZ`` and ``%Z`` are the kernel's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

from lookaside_sim.nt.arguments import shown

_DIRECTIVE: Final = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\*|\d{0,4})(?:\.(?P<precision>\*|\d{0,4}))?"
    r"(?P<length>I64|I32|ll|hh|l|h|w|z|t|j|I)?(?P<kind>[a-zA-Z%])?"
)
_MOST_DIGITS: Final = 512
"""Of a width or precision that an argument gives."""


class Reads(Protocol):
    """What reads the texts that arguments point at, and knows how arguments come."""

    pointer_size: int
    splits: bool
    """Whether an integer of 64 bits comes as two values."""

    def text(self, address: int, width: int = 1, most: int = ...) -> str:
        """Read characters up to one that is 0."""

    def counted(self, address: int, width: int) -> str:
        """Read the text of a STRING or UNICODE_STRING."""


def formatted(env: Reads, text: str, arguments: Iterator[int | str]) -> str:
    """Format.

    Args:
        env: reads what arguments point at.
        text: the format.
        arguments: the slots behind it; a text stands for a pointer to one.
    """
    return _DIRECTIVE.sub(lambda found: _Directive(env, found, arguments).shown(), text)


class _Directive:
    def __init__(
        self, env: Reads, found: re.Match[str], arguments: Iterator[int | str]
    ) -> None:
        self._env = env
        self._whole = found[0]
        self._flags = found["flags"]
        self._arguments = arguments
        self._width = self._measure(found["width"]) or 0
        if self._width < 0:
            self._flags, self._width = self._flags + "-", -self._width
        self._precision = self._measure(found["precision"])
        self._length = found["length"] or ""
        self._kind = found["kind"] or ""

    def _measure(self, text: str | None) -> int | None:
        if text is None:
            return None
        if text == "*":
            return max(min(self._take(32, signed=True), _MOST_DIGITS), -_MOST_DIGITS)
        return int(text or 0)

    def _take(self, bits: int, *, signed: bool = False) -> int:
        value = self._next()
        if bits == 64 and self._env.splits:
            value |= self._next() << 32
        value &= (1 << bits) - 1
        return value - (1 << bits) if signed and value >> bits - 1 else value

    def _next(self) -> int:
        value = next(self._arguments)
        if isinstance(value, str):
            raise TypeError(f"{self._whole} does not take the text {shown(value)}")
        return value

    @property
    def _bits(self) -> int:
        pointer = 8 * self._env.pointer_size
        known = {"I64": 64, "ll": 64, "j": 64, "I": pointer, "z": pointer, "t": pointer}
        return known.get(self._length, 32)

    def shown(self) -> str:
        kind = self._kind
        if kind == "%":
            return "%"
        if kind in ("d", "i"):
            value = self._take(self._bits, signed=True)
            return self._number(str(abs(value)), "-" if value < 0 else self._sign())
        if kind == "u":
            return self._number(str(self._take(self._bits)), "")
        if kind in ("x", "X", "o"):
            value = self._take(self._bits)
            prefix = {"x": "0x", "X": "0X", "o": "0"}[kind]
            return self._number(
                format(value, kind), prefix if "#" in self._flags and value else ""
            )
        if kind in ("p", "P"):
            size = self._env.pointer_size
            return self._padded(f"{self._take(8 * size):0{2 * size}X}")
        if kind in ("c", "C"):
            return self._padded(chr(self._take(32) & 0xFFFF))
        if kind in ("s", "S"):
            return self._padded(self._text())
        if kind == "Z":
            address = self._take(8 * self._env.pointer_size)
            width = 2 if self._length == "w" else 1
            return self._padded(
                self._cut(self._env.counted(address, width) if address else "(null)")
            )
        return self._whole

    def _sign(self) -> str:
        return next((each for each in "+ " if each in self._flags), "")

    def _number(self, digits: str, front: str) -> str:
        if self._precision is not None:
            digits = digits.rjust(self._precision, "0")
        elif "0" in self._flags and "-" not in self._flags:
            digits = digits.rjust(self._width - len(front), "0")
        return self._padded(front + digits)

    def _text(self) -> str:
        address = next(self._arguments)
        if isinstance(address, str):
            return self._cut(address)
        address &= (1 << 8 * self._env.pointer_size) - 1
        if not address:
            return self._cut("(null)")
        is_wide = self._length in ("l", "w") or (self._kind == "S" and self._length != "h")
        width = 2 if is_wide else 1
        if self._precision is None:
            return self._env.text(address, width)
        return self._env.text(address, width, self._precision)

    def _cut(self, text: str) -> str:
        return text if self._precision is None else text[: self._precision]

    def _padded(self, text: str) -> str:
        return text.ljust(self._width) if "-" in self._flags else text.rjust(self._width)

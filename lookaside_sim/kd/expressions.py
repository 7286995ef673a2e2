"""MASM expressions: numbers in any radix, symbols, registers, memory through ``poi()``.

Everything is a word of 64 bits. An expression ends where it cannot go on, so that arguments
follow each other with blanks between them: in ``db Requests+8 L10`` it ends before ``L10``.

Source:
    [doc] Microsoft, Debugging Tools for Windows: MASM Numbers and Operators; Address and
    Address Range Syntax; Pseudo-Register Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

import attrs

from lookaside_sim.kd.numbers import WORD_MASK, signed
from lookaside_sim.kd.refusal import Refusal, missing, syntax, unresolved

_QUOTED: Final = re.compile(r'@!"([^"]*)"')
_WORD: Final = re.compile(r"@?!?[\w$?`][\w$?`!:.@~]*")
_BLANKS: Final = re.compile(r"\s*")
_PREFIXED: Final = (
    (re.compile(r"0x[0-9a-f`]*\Z", re.IGNORECASE), 16),
    (re.compile(r"0n[0-9`]*\Z", re.IGNORECASE), 10),
    (re.compile(r"0t[0-7`]*\Z", re.IGNORECASE), 8),
    (re.compile(r"0y[01`]*\Z", re.IGNORECASE), 2),
)
_SUFFIXED: Final = re.compile(r"[0-9a-f`]+h\Z", re.IGNORECASE)
_PLAIN: Final = {
    16: re.compile(r"[0-9a-f`]+\Z", re.IGNORECASE),
    10: re.compile(r"[0-9`]+\Z"),
    8: re.compile(r"[0-7`]+\Z"),
}
_LONGEST_RANGE: Final = 1 << 28
"""Bytes of the longest range without ``L?``, 256 MB, as documented."""


class Scope(Protocol):
    """What the names in an expression mean."""

    @property
    def radix(self) -> int:
        """Base of numbers without a prefix: 8, 10 or 16."""

    @property
    def pointer_size(self) -> int:
        """Bytes of a pointer."""

    def symbol(self, name: str) -> int | None:
        """The address of a symbol, None for an unknown one."""

    def register(self, name: str) -> int | None:
        """The value of a register or pseudo-register, None for an unknown one."""

    def word_at(self, address: int, size: int) -> int | None:
        """Bytes of memory as a number, None where some are not mapped."""


@attrs.frozen
class Range:
    """A range of memory, as an argument says it.

    Attributes:
        start: its first address.
        size: bytes; None where the argument gives no end.
    """

    start: int
    size: int | None


_WRITTEN_UNARY: Final = frozenset({"not", "hi", "low", "by", "wo", "dwo", "qwo", "poi"})
_WRITTEN_BINARY: Final = {"and": "&", "xor": "^", "or": "|", "mod": "%"}
_LEVELS: Final = (
    ("|",),
    ("^",),
    ("&",),
    ("==", "!=", "<=", ">=", "<", ">", "="),
    (">>>", "<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
"""Binary operators, those that bind least first; of one row the longer spelling first."""
_LONGER: Final = {"<": ("<<", "<="), ">": (">>", ">="), ">>": (">>>",), "=": ("==",)}


class Reader:
    """Reads expressions and ranges off a line, front to back.

    Args:
        text: the line.
        scope: what names mean.

    Attributes:
        at: how far it has read.
    """

    def __init__(self, text: str, scope: Scope) -> None:
        self._text = text
        self._scope = scope
        self.at = 0

    # --- what a command asks for ---------------------------------------------------------------

    @property
    def rest(self) -> str:
        """What has not been read."""
        return self._text[self.at :].strip()

    def expression(self) -> int:
        """Read one expression.

        Raises:
            Refusal: there is none, or a name in it means nothing.
        """
        if not self.rest:
            raise missing()
        return self._binary(0) & WORD_MASK

    def address(self) -> int:
        """Read one expression as an address of this machine."""
        return self.expression() & (1 << 8 * self._scope.pointer_size) - 1

    def range(self, unit: int = 1) -> Range:
        """Read a range: ``start``, ``start end``, ``start L count``, ``start L-count``.

        Args:
            unit: bytes that one object of a count has.
        """
        start = self.address()
        self._skip()
        if self._text[self.at : self.at + 1] in ("L", "l"):
            self.at += 1
            unlimited = self._take("?")
            backward = self._take("-")
            size = self.expression() * unit
            if size > _LONGEST_RANGE and not unlimited:
                raise Refusal(f"Range error in '{self._text.strip()}': L? for more than 256 MB")
            return Range(start - size if backward else start, size)
        if not self.rest:
            return Range(start, None)
        end = self.address()
        if end < start:
            raise Refusal(f"Range error in '{self._text.strip()}': it ends before it begins")
        return Range(start, end - start + 1)

    def end(self) -> None:
        """Nothing may follow.

        Raises:
            Refusal: something does.
        """
        if self.rest:
            raise Refusal(f"Extra character error in '{self.rest}'")

    # --- operators -----------------------------------------------------------------------------

    def _skip(self) -> None:
        found = _BLANKS.match(self._text, self.at)
        self.at = found.end() if found else self.at

    def _take(self, sign: str) -> bool:
        self._skip()
        if not self._text.startswith(sign, self.at):
            return False
        if any(self._text.startswith(longer, self.at) for longer in _LONGER.get(sign, ())):
            return False
        self.at += len(sign)
        return True

    def _operator(self, signs: tuple[str, ...]) -> str | None:
        for sign in signs:
            if self._take(sign):
                return sign
        word = self._peek_word()
        sign = _WRITTEN_BINARY.get(word.lower(), "")
        if sign in signs and sign:
            self.at += len(word)
            return sign
        return None

    def _peek_word(self) -> str:
        self._skip()
        found = _WORD.match(self._text, self.at)
        return found[0] if found else ""

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while True:
            began = self.at
            sign = self._operator(_LEVELS[level])
            if sign is None:
                return left
            right = self._binary(level + 1)
            left = self._apply(sign, left, right, began)

    def _apply(self, sign: str, left: int, right: int, began: int) -> int:
        if sign in ("/", "%") and not right:
            raise Refusal(f"Divide by zero error at '{self._text[began:].strip()}'")
        return _BINARY[sign](left, right) & WORD_MASK

    def _unary(self) -> int:
        if self._take("-"):
            return -self._unary() & WORD_MASK
        if self._take("+"):
            return self._unary()
        word = self._peek_word()
        if word.lower() in _WRITTEN_UNARY and self._is_operator(word):
            began = self.at
            self.at += len(word)
            return self._written(word.lower(), self._unary(), began)
        return self._value()

    def _is_operator(self, word: str) -> bool:
        """Whether an operand follows; a list may be named ``low``."""
        behind = self._text[self.at + len(word) :].lstrip()
        return behind[:1] == "(" or _WORD.match(behind) is not None

    def _written(self, word: str, operand: int, began: int) -> int:
        if word == "not":
            return int(not operand)
        if word == "hi":
            return operand >> 16 & 0xFFFF
        if word == "low":
            return operand & 0xFFFF
        pointer = self._scope.pointer_size
        size = {"by": 1, "wo": 2, "dwo": 4, "qwo": 8, "poi": pointer}[word]
        found = self._scope.word_at(operand & (1 << 8 * pointer) - 1, size)
        if found is None:
            raise Refusal(f"Memory access error at '{self._text[began:].strip()}'")
        return found

    # --- values --------------------------------------------------------------------------------

    def _value(self) -> int:
        self._skip()
        began = self.at
        if self._take("("):
            value = self._binary(0)
            if not self._take(")"):
                raise syntax(self._text[self.at :])
            return value
        quoted = _QUOTED.match(self._text, self.at)
        if quoted is not None:
            self.at = quoted.end()
            return self._symbol(quoted[1])
        word = self._peek_word()
        if not word:
            if not self.rest:
                raise missing()
            raise syntax(self._text[began:])
        self.at += len(word)
        if word.lower() == "$vvalid" and self._take("("):
            return self._is_valid()
        if word.startswith(("$", "@$")) or (word.startswith("@") and word[1:2] != "!"):
            return self._register(word)
        number = number_of(word, self._scope.radix)
        return self._symbol(word) if number is None else number

    def _is_valid(self) -> int:
        """The operator ``$vvalid(address, length)``: whether all of it is mapped."""
        address = self.address()
        if not self._take(","):
            raise syntax(self._text[self.at :])
        size = self.expression()
        if not self._take(")"):
            raise syntax(self._text[self.at :])
        pages = (address, *range((address | 0xFFF) + 1, address + min(size, 1 << 24), 0x1000))
        checked = (*pages, address + max(size, 1) - 1)
        return int(all(self._scope.word_at(each, 1) is not None for each in checked))

    def _register(self, word: str) -> int:
        name = word.lstrip("@").lower()
        found = self._scope.register(name)
        if found is None:
            raise Refusal(f"Bad register error at '{word}'")
        return found

    def _symbol(self, name: str) -> int:
        bare = name.removeprefix("@")
        found = self._scope.symbol(bare.removeprefix("!"))
        if found is None:
            raise unresolved(bare)
        return found


def number_of(word: str, radix: int) -> int | None:
    """The number that a word is; None for a word that is none.

    Args:
        word: without blanks.
        radix: base of numbers without a prefix.

    Raises:
        Refusal: it does not fit 64 bits.
    """
    digits, base = "", 0
    for form, prefixed in _PREFIXED:
        if form.match(word):
            digits, base = word[2:] or "0", prefixed
    if not base and _SUFFIXED.match(word) and word[0] != "`":
        digits, base = word[:-1], 16
    if not base and _PLAIN[radix].match(word) and word[0] != "`":
        digits, base = word, radix
    if not base:
        return None
    number = int(digits.replace("`", "") or "0", base)
    if number > WORD_MASK:
        raise Refusal(f"Overflow error at '{word}'")
    return number


def _shift_left(left: int, right: int) -> int:
    return left << right if right < 64 else 0


_BINARY: Final[dict[str, Callable[[int, int], int]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left // right,
    "%": lambda left, right: left % right,
    "<<": _shift_left,
    ">>": lambda left, right: left >> min(right, 64),
    ">>>": lambda left, right: signed(left) >> min(right, 64),
    "=": lambda left, right: int(left == right),
    "==": lambda left, right: int(left == right),
    "!=": lambda left, right: int(left != right),
    "<": lambda left, right: int(left < right),
    ">": lambda left, right: int(left > right),
    "<=": lambda left, right: int(left <= right),
    ">=": lambda left, right: int(left >= right),
    "&": lambda left, right: left & right,
    "^": lambda left, right: left ^ right,
    "|": lambda left, right: left | right,
}

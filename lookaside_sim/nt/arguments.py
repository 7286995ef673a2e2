"""Checks of arguments: what the C type has room for, and what the program must be able to call.

Each gives the value back as a plain one, so that behind a door there are no integers of
somebody else's, such as numpy's, that do not calculate as Python's.
"""

from __future__ import annotations

import operator
from typing import Final, SupportsIndex, TypeVar

T = TypeVar("T")

MOST_SHOWN: Final = 80
"""Characters of a value that an error shows."""


def shown(value: object) -> str:
    """A value as errors show it: its repr, not more than 80 characters, on one line.

    Never raises, whatever the value's own repr does.
    """
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}, which cannot be shown>"
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: MOST_SHOWN + 1])
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def integer(name: str, value: SupportsIndex) -> int:
    """Take an argument that must be an integer, of any size.

    Args:
        name: what errors call it.
        value: what was given.

    Returns:
        The value as a plain int.

    Raises:
        TypeError: no integer; a bool is none.
    """
    if not isinstance(value, bool):
        try:
            # An int subclass comes back as it is.
            return int(operator.index(value))
        except TypeError:
            pass
    raise TypeError(f"{name} {shown(value)}: give an integer")


def unsigned(name: str, value: SupportsIndex, bits: int) -> int:
    """Take an argument of an unsigned C type.

    Args:
        name: what errors call it.
        value: what was given.
        bits: width of the C type.

    Returns:
        The value as a plain int.

    Raises:
        TypeError: no integer.
        ValueError: an integer that the type cannot hold.
    """
    number = value if type(value) is int else integer(name, value)
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name} {shown(number)}: give 0 to {(1 << bits) - 1:#x}")
    return number


def boolean(name: str, value: object) -> bool:
    """Take an argument that is TRUE or FALSE: a bool, or 0 or 1.

    Raises:
        TypeError: neither a bool nor an integer.
        ValueError: another integer.
    """
    if isinstance(value, bool):
        return value
    if not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} {shown(value)}: give True or False")
    number = integer(name, value)
    if number not in (0, 1):
        raise ValueError(f"{name} {shown(number)}: give True or False")
    return bool(number)


def text(name: str, value: object) -> str:
    """Take an argument that must be a text.

    Raises:
        TypeError: no text.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} {shown(value)}: give a text")
    return value


def raw_bytes(name: str, value: object) -> bytes:
    """Take an argument that must be bytes; a view of wider items is the bytes that it shows.

    Raises:
        TypeError: no bytes.
    """
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name} {shown(value)}: give bytes")
    return bytes(value)


def instance(name: str, value: object, kind: type[T]) -> T:
    """Take an argument that must be of a class.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} {shown(value)}: give a {kind.__name__}")
    return value


def check_callable(name: str, value: object) -> None:
    """Refuse what cannot be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(value):
        raise TypeError(f"{name} {shown(value)}: give a callable")

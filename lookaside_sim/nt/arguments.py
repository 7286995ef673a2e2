"""Checks of arguments whose C type leaves no other value."""

from __future__ import annotations

import operator
from typing import SupportsIndex


def integer(name: str, value: SupportsIndex) -> int:
    """Take an argument that must be an integer, of any size.

    Args:
        name: what errors call it.
        value: what was given.

    Returns:
        The value as a plain int.

    Raises:
        TypeError: no integer.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} {value!r}: give an integer")
    return operator.index(value)


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
    number = integer(name, value)
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name} {number}: give 0 to {(1 << bits) - 1:#x}")
    return number

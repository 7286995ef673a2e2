"""What may be stated in a contract: each field's values, and what is said to others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "as_names",
    "as_sizes",
    "check_alignment",
    "check_capacity",
    "check_depth",
    "check_threads",
    "one_of",
]


def one_of(*allowed: object) -> Any:
    """A validator for a field with few values, of which True is not 1.

    Args:
        allowed: the values.
    """

    def check(_instance: object, attribute: Any, value: object) -> None:
        if not any(
            value is each or (value == each and type(value) is type(each)) for each in allowed
        ):
            shown = ", ".join(map(repr, allowed))
            raise ValueError(f"{attribute.name}={value!r}: give one of {shown}")

    return check


def check_depth(_instance: object, attribute: Any, value: object) -> None:
    """A number of entries, NT's policy, or nothing."""
    if value not in (None, "policy") and (not isinstance(value, int) or value < 0):
        raise ValueError(f'{attribute.name}={value!r}: give entries, "policy" or None')


def check_capacity(_instance: object, attribute: Any, value: object) -> None:
    """A number of entries, True, or nothing."""
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(f"{attribute.name}={value!r}: give entries, True or None")


def check_alignment(_instance: object, attribute: Any, value: object) -> None:
    """A power of two, or nothing."""
    if value is not None and (not isinstance(value, int) or value < 1 or value & value - 1):
        raise ValueError(f"{attribute.name}={value!r}: give a power of two, or None")


def as_names(value: Iterable[str]) -> tuple[str, ...]:
    """Names of counters as a tuple."""
    return tuple(value)


def as_sizes(value: int | Iterable[int] | None) -> Sequence[int] | None:
    """A size as one of one; a range stays a range, which is shorter to read."""
    if value is None:
        return None
    sizes: Sequence[int]
    if isinstance(value, range):
        sizes = value
    elif isinstance(value, int):
        sizes = (value,)
    else:
        sizes = tuple(value)
    if not sizes or min(sizes) < 1:
        raise ValueError(f"sizes={value!r}: give one or more sizes, each 1 byte or more")
    return sizes


def check_threads(threads: int, *, sized: bool) -> None:
    """See that so many threads can use an allocator.

    Args:
        threads: how many.
        sized: whether a size comes with each request.

    Raises:
        ValueError: they cannot.
    """
    if threads < 1 or (threads > 1 and sized):
        raise ValueError(f"threads={threads}: give 1 or more, and 1 with sized=True")

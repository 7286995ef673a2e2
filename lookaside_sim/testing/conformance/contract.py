"""The contracts an allocator can be held to, and what each asks it to have.

Three levels, each of which includes the first:

* ``"memory"``: what every allocator owes. Entries lie in memory it got, are aligned, do not
  overlap, keep their contents; nothing is handed out twice, and nothing stays behind.
* ``"fixed"``: also the face of a fixed-size allocator. It serves one layout and refuses any
  other, and it can neither grow nor shrink an entry.
* ``"lookaside"``: a lookaside list. The simulator's own list runs the same calls; results,
  counters, depth and the use of the backend must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from lookaside_sim.testing.conformance.backend import Backend
from lookaside_sim.testing.conformance.differences import State

__all__ = [
    "COUNTERS",
    "LEVELS",
    "OPTIONAL_COUNTERS",
    "Allocator",
    "Broken",
    "Factory",
    "check_level",
    "check_methods",
]

LEVELS: Final = ("memory", "fixed", "lookaside")

COUNTERS: Final = (
    "total_allocates",
    "allocate_misses",
    "total_frees",
    "free_misses",
    "depth",
    "current_depth",
)
"""What every allocator of level "lookaside" reports."""
OPTIONAL_COUNTERS: Final = (
    "last_total_allocates",
    "last_allocate_misses",
    "maximum_depth",
    "size",
)
"""What is compared as well where the allocator reports it."""

_METHODS: Final = {
    "memory": ("allocate", "free", "delete"),
    "fixed": ("allocate", "free", "delete", "allocate_layout", "grow", "shrink"),
    "lookaside": ("allocate", "free", "delete", "flush", "tick", "counters"),
}


class Allocator(Protocol):
    """What every allocator under test has.

    Level "lookaside" also asks for ``flush()``, ``tick(seconds)`` and ``counters()``, a
    mapping with total_allocates, allocate_misses, total_frees, free_misses, depth and
    current_depth; the other levels call the first two where they exist. Level "fixed" asks
    for ``allocate_layout(layout)``, ``grow(address, old, new)`` and
    ``shrink(address, old, new)``, which take a `Layout` each and refuse by raising.

    An allocator may have ``set_counters(mapping)``, so that the wrap of its counters can be
    reached, and, if its entries lie in memory of its own rather than in the backend's,
    ``read(address, size)`` and ``write(address, data)``.
    """

    def allocate(self) -> int | None:
        """Hand out an entry; None when there is no memory."""

    def free(self, address: int, /) -> None:
        """Take an entry back."""

    def delete(self) -> None:
        """Give everything back that no caller holds."""


Factory = Callable[[Backend, int], Any]
"""Makes the allocator under test: ``factory(backend, size)``."""


class Broken(Exception):  # noqa: N818 - a signal between these modules, never seen outside
    """The contract is broken here.

    Args:
        what: what is wrong, in a sentence.
        expected: what the contract asks for.
        actual: what the allocator did instead.
    """

    def __init__(self, what: str, expected: State, actual: State) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.actual = actual


def check_level(level: str) -> None:
    """See that there is such a level.

    Args:
        level: what the caller asked for.

    Raises:
        ValueError: there is none.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r}: give one of {', '.join(LEVELS)}")


def check_methods(made: object, level: str) -> None:
    """See that an allocator has the methods of a level.

    Args:
        made: what the factory returned.
        level: one of `LEVELS`.

    Raises:
        TypeError: it lacks some; they are named.
    """
    missing = [name for name in _METHODS[level] if not callable(getattr(made, name, None))]
    if missing:
        raise TypeError(f"level {level!r} asks for {', '.join(missing)}, which {made!r} lacks")

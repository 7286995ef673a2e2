"""What an allocator under test has to have, and what it may have besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from lookaside_sim.testing.conformance.backend import Backend

__all__ = ["COUNTERS", "OPTIONAL_COUNTERS", "Allocator", "Factory", "check_methods"]

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


class Allocator(Protocol):
    """What every allocator under test has.

    Level "lookaside" also asks for ``flush()``, ``tick(seconds)`` and ``counters()``, a
    mapping with total_allocates, allocate_misses, total_frees, free_misses, depth and
    current_depth; the other contracts call the first two where they exist. Level "fixed" asks
    for ``allocate_layout(layout)``, ``grow(address, old, new)`` and
    ``shrink(address, old, new)``, which take a `Layout` each and refuse by raising.

    A contract for several sizes calls ``allocate(size)`` or ``allocate(size, alignment)``, and
    ``reallocate(address, size)`` if it has realloc.

    Where there is no memory, ``allocate()`` returns None or raises MemoryError, and so may the
    factory.

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


def check_methods(made: object, names: Sequence[str], contract: str) -> None:
    """See that an allocator has the methods of a contract.

    Args:
        made: what the factory returned.
        names: of the methods.
        contract: what asks for them.

    Raises:
        TypeError: it lacks some; they are named.
    """
    missing = [name for name in names if not callable(getattr(made, name, None))]
    if missing:
        raise TypeError(
            f"{contract} asks for {', '.join(missing)}, which {type(made).__name__} lacks"
        )

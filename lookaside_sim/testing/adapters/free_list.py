"""The free list that most people write first: safe, and no lookaside list."""

from __future__ import annotations

from lookaside_sim.testing.conformance.backend import Backend

__all__ = ["FreeList"]


class FreeList:
    """A free list without any limit: level "memory".

    Args:
        backend: where entries come from.
        size: bytes of an entry.
    """

    def __init__(self, backend: Backend, size: int) -> None:
        self._backend = backend
        self._size = size
        self._free: list[int] = []

    def allocate(self) -> int | None:
        """Take a free entry, or a new one."""
        return self._free.pop() if self._free else self._backend.allocate(self._size)

    def free(self, address: int) -> None:
        """Keep an entry."""
        self._free.append(address)

    def flush(self) -> None:
        """Give every free entry back."""
        while self._free:
            self._backend.free(self._free.pop())

    def delete(self) -> None:
        """Give every free entry back."""
        self.flush()

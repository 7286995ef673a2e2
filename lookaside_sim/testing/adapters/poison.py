"""AddressSanitizer's marks on memory, where it runs."""

from __future__ import annotations

import ctypes
import functools

__all__ = ["Poison", "poison"]


class Poison:
    """AddressSanitizer's own marks, where it runs."""

    def __init__(self) -> None:
        process = ctypes.CDLL(None)
        self._poison = getattr(process, "__asan_poison_memory_region", None)
        self._clear = getattr(process, "__asan_unpoison_memory_region", None)
        self.is_on = self._poison is not None and self._clear is not None

    def put(self, start: int, size: int) -> None:
        """Let nobody touch some memory.

        Args:
            start: its native address.
            size: bytes.
        """
        if self._poison is not None:
            self._poison(ctypes.c_void_p(start), ctypes.c_size_t(size))

    def take_off(self, start: int, size: int) -> None:
        """Let everybody touch it again."""
        if self._clear is not None:
            self._clear(ctypes.c_void_p(start), ctypes.c_size_t(size))


@functools.cache
def poison() -> Poison | None:
    """The marks, or None where AddressSanitizer does not run."""
    try:
        marks = Poison()
    except (OSError, TypeError):  # Windows has no such handle
        return None
    return marks if marks.is_on else None

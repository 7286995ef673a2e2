"""An allocator in C, or anything with a C interface, through ctypes."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lookaside_sim.testing.conformance.allocator import COUNTERS
from lookaside_sim.testing.conformance.backend import Backend

__all__ = ["NativeAllocator", "NativeLibrary"]

_GUARD: Final = 64
"""Bytes on each side of native memory that nobody may write."""
_GUARD_BYTE: Final = b"\xa5"
_ALIGNMENT: Final = 16


_Allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class NativeLibrary:
    """A shared library with an allocator; call it as a factory.

    With the prefix ``mine_`` it exports::

        void *mine_create(size_t size, void *(*allocate)(size_t), void (*release)(void *));
        void *mine_allocate(void *self);
        void  mine_free(void *self, void *entry);
        void  mine_delete(void *self);

    and for level "lookaside" also::

        void  mine_flush(void *self);
        void  mine_tick(void *self, unsigned seconds);
        void  mine_counters(void *self, uint32_t counters[6]);  /* in the order of COUNTERS */

    Args:
        path: the library.
        prefix: of the functions' names.

    Raises:
        OSError: it cannot be loaded.
        AttributeError: it lacks one of the first four functions.
    """

    def __init__(self, path: str | Path, prefix: str = "") -> None:
        library = ctypes.CDLL(str(path))
        self.create = self._bind(
            library, f"{prefix}create", ctypes.c_void_p, ctypes.c_size_t, _Allocate, _Release
        )
        self.allocate = self._bind(
            library, f"{prefix}allocate", ctypes.c_void_p, ctypes.c_void_p
        )
        self.free = self._bind(library, f"{prefix}free", None, ctypes.c_void_p, ctypes.c_void_p)
        self.delete = self._bind(library, f"{prefix}delete", None, ctypes.c_void_p)
        self.flush = self.tick = self.counters = None
        if hasattr(library, f"{prefix}flush"):
            self.flush = self._bind(library, f"{prefix}flush", None, ctypes.c_void_p)
        if hasattr(library, f"{prefix}tick"):
            self.tick = self._bind(
                library, f"{prefix}tick", None, ctypes.c_void_p, ctypes.c_uint
            )
        if hasattr(library, f"{prefix}counters"):
            self.counters = self._bind(
                library, f"{prefix}counters", None, ctypes.c_void_p, ctypes.c_void_p
            )

    def __call__(self, backend: Backend, size: int) -> NativeAllocator:
        """Make an allocator."""
        return NativeAllocator(self, backend, size)

    @staticmethod
    def _bind(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
        function = getattr(library, name)
        function.restype = result
        function.argtypes = list(arguments)
        return function


class NativeAllocator:
    """One allocator of a `NativeLibrary`.

    The C code works on real memory with guard bytes around each block; addresses are
    translated to the backend's and back.

    Args:
        library: where its functions are.
        backend: accounts for the blocks.
        size: bytes of an entry.

    Raises:
        MemoryError: its create function returned NULL.
    """

    def __init__(self, library: NativeLibrary, backend: Backend, size: int) -> None:
        self._library = library
        self._backend = backend
        self._blocks: dict[int, tuple[int, int, Any]] = {}  # by native address
        self._native: dict[int, int] = {}  # native address by the backend's
        self._overrun: str | None = None
        # Kept here: ctypes does not keep callbacks alive for C.
        self._callbacks = (_Allocate(self._give), _Release(self._take))
        self._self = library.create(size, *self._callbacks)
        if not self._self:
            raise MemoryError("create returned NULL")
        for name in ("flush", "tick", "counters"):
            if getattr(library, name) is not None:
                setattr(self, name, getattr(self, f"_{name}"))

    def allocate(self) -> int | None:
        """Call the library's allocate."""
        entry = self._library.allocate(self._self)
        self._check_guards()
        return None if entry is None else self._to_backend(entry)

    def free(self, address: int) -> None:
        """Call the library's free."""
        self._library.free(self._self, self._to_native(address))
        self._check_guards()

    def delete(self) -> None:
        """Call the library's delete."""
        for native in list(self._blocks):
            self._look_at_guards(native)
        self._library.delete(self._self)
        self._check_guards()

    def read(self, address: int, size: int) -> bytes:
        """Read real memory."""
        return ctypes.string_at(self._to_native(address), size)

    def write(self, address: int, data: bytes) -> None:
        """Write real memory."""
        ctypes.memmove(self._to_native(address), data, len(data))

    def _flush(self) -> None:
        self._call(self._library.flush)

    def _tick(self, seconds: int) -> None:
        self._call(self._library.tick, seconds)

    def _counters(self) -> dict[str, int]:
        values = (ctypes.c_uint32 * len(COUNTERS))()
        self._call(self._library.counters, ctypes.addressof(values))
        return dict(zip(COUNTERS, values, strict=True))

    def _call(self, function: Callable[..., None] | None, *arguments: int) -> None:
        assert function is not None
        function(self._self, *arguments)
        self._check_guards()

    # --- memory ----------------------------------------------------------------------------

    def _give(self, size: int) -> int | None:
        address = self._backend.allocate(size)
        if address is None:
            return None
        buffer = ctypes.create_string_buffer(
            _GUARD_BYTE * (size + 2 * _GUARD + _ALIGNMENT), size + 2 * _GUARD + _ALIGNMENT
        )
        start = ctypes.addressof(buffer) + _GUARD
        native = -(-start // _ALIGNMENT) * _ALIGNMENT
        self._blocks[native] = (address, size, buffer)
        self._native[address] = native
        return native

    def _take(self, native: int | None) -> None:
        if native is None or native not in self._blocks:
            # Not an address of ours: one that the backend will complain about.
            self._backend.free(native or 0)
            return
        self._look_at_guards(native)
        address, _, _ = self._blocks.pop(native)
        del self._native[address]
        self._backend.free(address)

    def _look_at_guards(self, native: int) -> None:
        _, size, _ = self._blocks[native]
        before = ctypes.string_at(native - _GUARD, _GUARD)
        after = ctypes.string_at(native + size, _GUARD)
        if before.strip(_GUARD_BYTE) or after.strip(_GUARD_BYTE):
            self._overrun = f"memory beside a block of {size} bytes was overwritten"

    def _check_guards(self) -> None:
        if self._overrun is not None:
            raise MemoryError(self._overrun)

    def _to_backend(self, native: int) -> int:
        """The backend's address for a native one; one in no block where there is none."""
        if native in self._blocks:
            return self._blocks[native][0]
        starts = sorted(self._blocks)
        index = bisect_right(starts, native) - 1
        if index >= 0:
            address, size, _ = self._blocks[starts[index]]
            if native < starts[index] + size:
                return address + native - starts[index]
        return native

    def _to_native(self, address: int) -> int:
        if address in self._native:
            return self._native[address]
        starts = sorted(self._native)
        index = bisect_right(starts, address) - 1
        return self._native[starts[index]] + address - starts[index]

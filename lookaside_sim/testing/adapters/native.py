"""An allocator in C, or anything with a C interface, through ctypes."""

from __future__ import annotations

import _ctypes
import ctypes
from pathlib import Path
from typing import Any, Final

from lookaside_sim.testing.adapters.native_memory import NativeMemory
from lookaside_sim.testing.conformance.allocator import COUNTERS
from lookaside_sim.testing.conformance.backend import Backend

__all__ = ["HEADER", "NativeAllocator", "NativeLibrary"]

HEADER: Final = Path(__file__).parent / "include" / "lookaside_sim.h"
"""The C header with the prototypes; its folder is what ``-I`` takes."""

_Allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_POINTER: Final = ctypes.c_void_p
_REQUESTS: Final = [[_POINTER] + [ctypes.c_size_t] * count for count in range(3)]
"""Arguments of allocate: without a size, with it, and with an alignment too."""
_OPTIONAL: Final = {
    "flush": (None, _POINTER),
    "tick": (None, _POINTER, ctypes.c_uint),
    "counters": (None, _POINTER, _POINTER),
    "reallocate": (_POINTER, _POINTER, _POINTER, ctypes.c_size_t),
}


class NativeLibrary:
    """A shared library with an allocator; call it as a factory.

    With the prefix ``mine_`` it exports what ``LOOKASIDE_ALLOCATOR(mine_)`` of the header
    ``lookaside_sim.h`` declares::

        void *mine_create(size_t size, void *(*allocate)(size_t), void (*release)(void *));
        void *mine_allocate(void *self);
        void  mine_free(void *self, void *entry);
        void  mine_delete(void *self);

    and for level "lookaside" also::

        void  mine_flush(void *self);
        void  mine_tick(void *self, unsigned seconds);
        void  mine_counters(void *self, uint32_t counters[6]);  /* in the order of COUNTERS */

    An allocator for requests of any size has ``mine_allocate(self, size)``, or ``(self, size,
    alignment)``, and for realloc ``mine_reallocate(self, entry, size)``. A NULL from create is
    a refusal, as it is from allocate.

    Such an allocator can end the process, so `check_allocator` runs it in one of its own.

    Args:
        path: the library.
        prefix: of the functions' names.
        reload: load the library anew for every allocator, so that static variables are as at
            the beginning.

    Raises:
        OSError: it cannot be loaded.
        AttributeError: it lacks one of the first four functions.
    """

    is_native = True

    def __init__(self, path: str | Path, prefix: str = "", *, reload: bool = False) -> None:
        self.path = str(path)
        self.prefix = prefix
        self.reload = reload
        self._load()

    def _load(self) -> None:
        library = self._library = ctypes.CDLL(self.path)
        self.create = self._bind("create", _POINTER, ctypes.c_size_t, _Allocate, _Release)
        # Its arguments depend on the contract.
        self.allocate = getattr(library, f"{self.prefix}allocate")
        self.allocate.restype = _POINTER
        self.request = -1
        self.free = self._bind("free", None, _POINTER, _POINTER)
        self.delete = self._bind("delete", None, _POINTER)
        self.optional = {
            name: self._bind(name, *types)
            for name, types in _OPTIONAL.items()
            if hasattr(library, f"{self.prefix}{name}")
        }

    def __call__(self, backend: Backend, size: int) -> NativeAllocator:
        """Make an allocator."""
        if self.reload and hasattr(_ctypes, "dlclose"):
            _ctypes.dlclose(self._library._handle)
            self._load()
        return NativeAllocator(self, backend, size)

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded, (self.path, self.prefix, self.reload)

    def __repr__(self) -> str:
        shown = [repr(self.path)]
        if self.prefix:
            shown.append(repr(self.prefix))
        if self.reload:
            shown.append("reload=True")
        return f"NativeLibrary({', '.join(shown)})"

    def as_source(self) -> tuple[list[str], str]:
        """Imports and the expression that makes it again, for a regression."""
        return ["from lookaside_sim.testing.adapters import NativeLibrary"], repr(self)

    def _bind(self, name: str, result: Any, *arguments: Any) -> Any:
        function = getattr(self._library, f"{self.prefix}{name}")
        function.restype = result
        function.argtypes = list(arguments)
        return function


def _loaded(path: str, prefix: str, reload: bool) -> NativeLibrary:
    return NativeLibrary(path, prefix, reload=reload)


class NativeAllocator:
    """One allocator of a `NativeLibrary`.

    The C code works on real memory, see `NativeMemory`; addresses are translated to the
    backend's and back.

    Args:
        library: where its functions are.
        backend: accounts for the blocks.
        size: bytes of an entry.

    Raises:
        MemoryError: its create function returned NULL.
    """

    def __init__(self, library: NativeLibrary, backend: Backend, size: int) -> None:
        self._library = library
        self._memory = NativeMemory(backend)
        # Kept here: ctypes does not keep callbacks alive for C.
        self._callbacks = (_Allocate(self._memory.give), _Release(self._memory.take))
        self._self = library.create(size, *self._callbacks)
        self._memory.look()
        if not self._self:
            self._memory.close()
            raise MemoryError("create returned NULL")
        for name in library.optional:
            setattr(self, name, getattr(self, f"_{name}"))

    def allocate(self, *request: int) -> int | None:
        """Call the library's allocate.

        Args:
            request: the size, or the size and the alignment, if it takes them.
        """
        function = self._library.allocate
        if len(request) != self._library.request:
            self._library.request = len(request)
            function.argtypes = _REQUESTS[len(request)]
        entry = function(self._self, *request)
        self._memory.look()
        return None if entry is None else self._memory.to_backend(entry)

    def free(self, address: int) -> None:
        """Call the library's free."""
        self._library.free(self._self, self._memory.to_native(address))
        self._memory.look()

    def delete(self) -> None:
        """Call the library's delete."""
        self._memory.look_at_all()
        self._library.delete(self._self)
        self._memory.look_at_all()
        self._memory.close()

    def read(self, address: int, size: int) -> bytes:
        """Read real memory."""
        return ctypes.string_at(self._memory.to_native(address), size)

    def write(self, address: int, data: bytes) -> None:
        """Write real memory."""
        ctypes.memmove(self._memory.to_native(address), data, len(data))

    def _flush(self) -> None:
        self._call("flush")

    def _tick(self, seconds: int) -> None:
        self._call("tick", seconds)

    def _counters(self) -> dict[str, int]:
        values = (ctypes.c_uint32 * len(COUNTERS))()
        self._call("counters", ctypes.addressof(values))
        return dict(zip(COUNTERS, values, strict=True))

    def _reallocate(self, address: int, size: int) -> int | None:
        moved = self._call("reallocate", self._memory.to_native(address), size)
        return None if moved is None else self._memory.to_backend(moved)

    def _call(self, name: str, *arguments: int) -> Any:
        result = self._library.optional[name](self._self, *arguments)
        self._memory.look()
        return result

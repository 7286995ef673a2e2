"""Allocators that are not Python objects, and the plainest one that is.

* `FreeList`: what most people write first; safe, and no lookaside list.
* `NativeLibrary`: an allocator in C, or anything with a C interface, through ctypes.
* `ProcessFactory`: an allocator in another process, speaking JSON lines.
"""

from lookaside_sim.testing.adapters.free_list import FreeList
from lookaside_sim.testing.adapters.native import HEADER, NativeAllocator, NativeLibrary
from lookaside_sim.testing.adapters.process import ProcessAllocator, ProcessFactory

__all__ = [
    "HEADER",
    "FreeList",
    "NativeAllocator",
    "NativeLibrary",
    "ProcessAllocator",
    "ProcessFactory",
]

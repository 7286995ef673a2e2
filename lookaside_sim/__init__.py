"""A faithful simulator of the NT lookaside subsystem, in pure Python.

The machine (`Kernel`) owns simulated memory, a pool manager and the system-wide lookaside
lists. `LookasideList` allocates, frees, flushes and deletes as the ExXxxLookasideListEx
routines do; `LookasideAllocator` puts a typed, fixed-size allocator in front of one list.

`lookaside_sim.ddi` spells the documented routines for transcribing C, `lookaside_sim.windbg`
prints what a debugger would, `lookaside_sim.trace` runs recorded traces.
"""

from lookaside_sim.allocator import Allocation, Box, Layout, LookasideAllocator
from lookaside_sim.drivers import Driver
from lookaside_sim.errors import (
    AllocError,
    BugCheck,
    InitError,
    InvariantError,
    LayoutError,
    LookasideSimError,
    NotSupportedError,
    NtStatusError,
    SanitizerError,
    TraceError,
)
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside import LookasideList
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, NtStatus, PoolTag, PoolType
from lookaside_sim.pool import PoolAllocation, PoolManager, PoolStatistics, PoolTagUsage
from lookaside_sim.processes import Process
from lookaside_sim.processors import SpinLock
from lookaside_sim.tuning import next_depth
from lookaside_sim.verifier import Verifier, VerifierFlags

__version__ = "0.1.0"

__all__ = [
    "AllocError",
    "Allocation",
    "Box",
    "BugCheck",
    "BugCheckCode",
    "Driver",
    "InitError",
    "InvariantError",
    "Irql",
    "Kernel",
    "Layout",
    "LayoutError",
    "LookasideAllocator",
    "LookasideList",
    "LookasideSimError",
    "NotSupportedError",
    "NtStatus",
    "NtStatusError",
    "PoolAllocation",
    "PoolManager",
    "PoolStatistics",
    "PoolTag",
    "PoolTagUsage",
    "PoolType",
    "Process",
    "SanitizerError",
    "SpinLock",
    "TraceError",
    "Verifier",
    "VerifierFlags",
    "next_depth",
]

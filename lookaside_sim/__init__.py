"""A faithful simulator of the NT lookaside subsystem, in pure Python.

The machine (`Kernel`) owns simulated memory, a pool manager and the system-wide lookaside
lists. `LookasideList` allocates, frees, flushes and deletes as the ExXxxLookasideListEx
routines do; `LookasideAllocator` puts a typed, fixed-size allocator in front of one list.

`lookaside_sim.ddi` spells the documented routines for transcribing C, `lookaside_sim.windbg`
prints what a debugger would, `lookaside_sim.trace` runs recorded traces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookaside_sim.rooms import door

if TYPE_CHECKING:
    from lookaside_sim import ddi as ddi
    from lookaside_sim import testing as testing
    from lookaside_sim import trace as trace
    from lookaside_sim import windbg as windbg
    from lookaside_sim.allocator import Allocation, Box, Layout, LookasideAllocator
    from lookaside_sim.errors import (
        AllocError,
        BugCheck,
        CompiledCodeError,
        ImageError,
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
    from lookaside_sim.lookaside.list import LookasideList
    from lookaside_sim.lookaside.tuning import next_depth
    from lookaside_sim.machine.spin_lock import SpinLock
    from lookaside_sim.nt.bugchecks import BugCheckCode
    from lookaside_sim.nt.types import Irql, NtStatus, PoolTag, PoolType
    from lookaside_sim.pool.accounting import PoolTagUsage
    from lookaside_sim.pool.manager import PoolManager
    from lookaside_sim.pool.values import PoolAllocation, PoolStatistics
    from lookaside_sim.system.compiled import CompiledDriver
    from lookaside_sim.system.drivers import Driver
    from lookaside_sim.system.processes import Process
    from lookaside_sim.verifier.settings import Verifier, VerifierFlags

__version__ = "0.1.0"

__all__ = [
    "AllocError",
    "Allocation",
    "Box",
    "BugCheck",
    "BugCheckCode",
    "CompiledCodeError",
    "CompiledDriver",
    "Driver",
    "ImageError",
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

_ROOMS = {
    "AllocError": "errors",
    "Allocation": "allocator",
    "Box": "allocator",
    "BugCheck": "errors",
    "BugCheckCode": "nt.bugchecks",
    "CompiledCodeError": "errors",
    "CompiledDriver": "system.compiled",
    "Driver": "system.drivers",
    "ImageError": "errors",
    "InitError": "errors",
    "InvariantError": "errors",
    "Irql": "nt.types",
    "Kernel": "kernel",
    "Layout": "allocator",
    "LayoutError": "errors",
    "LookasideAllocator": "allocator",
    "LookasideList": "lookaside.list",
    "LookasideSimError": "errors",
    "NotSupportedError": "errors",
    "NtStatus": "nt.types",
    "NtStatusError": "errors",
    "PoolAllocation": "pool.values",
    "PoolManager": "pool.manager",
    "PoolStatistics": "pool.values",
    "PoolTag": "nt.types",
    "PoolTagUsage": "pool.accounting",
    "PoolType": "nt.types",
    "Process": "system.processes",
    "SanitizerError": "errors",
    "SpinLock": "machine.spin_lock",
    "TraceError": "errors",
    "Verifier": "verifier.settings",
    "VerifierFlags": "verifier.settings",
    "next_depth": "lookaside.tuning",
    "ddi": "ddi",
    "testing": "testing",
    "trace": "trace",
    "windbg": "windbg",
}
"""Where each name lives. A room is opened when somebody asks for a name in it."""

__getattr__ = door(__name__, _ROOMS, globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})

"""ExInitializeDriverRuntime, and the compile switches it serves; import them from `lookaside_sim.ddi`.

A driver here counts as built with POOL_NX_OPTIN and POOL_ZERO_DOWN_LEVEL_SUPPORT: once it has
called ExInitializeDriverRuntime(DrvRtPoolNxOptIn), what its code names NonPagedPool is
NonPagedPoolNx, and the Zero routines zero on every version of Windows.

Source:
    [doc] Single Binary Opt-In: POOL_NX_OPTIN; ExInitializeDriverRuntime, ExAllocatePoolZero. Choice:
    nothing has to be called for the Zero routines, as no version here lacks them.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.kernel import current_kernel
from lookaside_sim.machine.program import Program
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import PoolType

__all__ = [
    "POOL_NX_OPTIN",
    "POOL_ZERO_DOWN_LEVEL_SUPPORT",
    "DrvRtPoolNxOptIn",
    "ExInitializeDriverRuntime",
]

DrvRtPoolNxOptIn: Final = 1
POOL_NX_OPTIN: Final = 1
POOL_ZERO_DOWN_LEVEL_SUPPORT: Final = 1

_NO_POOL_OF_ITS_OWN: Final = int(PoolType.PagedPool | PoolType.POOL_NX_ALLOCATION)


def ExInitializeDriverRuntime(RuntimeFlags: int) -> None:
    """Have the calling driver's NonPagedPool be NonPagedPoolNx from now on.

    Args:
        RuntimeFlags: DrvRtPoolNxOptIn, or 0 for nothing.

    Raises:
        ValueError: another flag.
    """
    flags = unsigned("RuntimeFlags", RuntimeFlags, 32)
    if flags & ~DrvRtPoolNxOptIn:
        raise ValueError(f"RuntimeFlags {flags:#x}: give DrvRtPoolNxOptIn (1) or 0")
    kernel = current_kernel()
    if flags:
        kernel.drivers.opt_into_nx()


def nx_where_opted_in(program: Program, pool_type: PoolType | int) -> PoolType | int:
    """What a pool type that a driver's code names comes to.

    Args:
        program: whose code runs.
        pool_type: as named; other pools, and the executable one by another name, stay.
    """
    if not program.nx_images or isinstance(pool_type, bool) or not isinstance(pool_type, int):
        return pool_type
    if pool_type & _NO_POOL_OF_ITS_OWN or not program.opted_into_nx:
        return pool_type
    return int(pool_type) | PoolType.POOL_NX_ALLOCATION

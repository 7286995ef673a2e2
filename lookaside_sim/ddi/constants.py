"""TRUE and NULL, pool types, IRQLs, under their documented names; import them from `lookaside_sim.ddi`.

The levels above DISPATCH_LEVEL differ between the machines, so they are in `lookaside_sim.Irql` and
`lookaside_sim.nt.types.X86Irql` only.

Source:
    [doc] POOL_TYPE; [header] wdm.h.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.nt.types import Irql, PoolType

__all__ = [
    "APC_LEVEL",
    "DISPATCH_LEVEL",
    "FALSE",
    "LOW_LEVEL",
    "NULL",
    "PAGE_SIZE",
    "PASSIVE_LEVEL",
    "POOL_COLD_ALLOCATION",
    "POOL_NX_ALLOCATION",
    "POOL_QUOTA_FAIL_INSTEAD_OF_RAISE",
    "POOL_RAISE_IF_ALLOCATION_FAILURE",
    "POOL_ZERO_ALLOCATION",
    "TRUE",
    "MaxPoolType",
    "NonPagedPool",
    "NonPagedPoolCacheAligned",
    "NonPagedPoolExecute",
    "NonPagedPoolMustSucceed",
    "NonPagedPoolNx",
    "NonPagedPoolNxCacheAligned",
    "PagedPool",
    "PagedPoolCacheAligned",
]

TRUE: Final = 1
FALSE: Final = 0
NULL: Final = 0

PASSIVE_LEVEL: Final = Irql.PASSIVE_LEVEL
LOW_LEVEL: Final = Irql.PASSIVE_LEVEL
APC_LEVEL: Final = Irql.APC_LEVEL
DISPATCH_LEVEL: Final = Irql.DISPATCH_LEVEL

NonPagedPool: Final = PoolType.NonPagedPool
NonPagedPoolExecute: Final = PoolType.NonPagedPoolExecute
PagedPool: Final = PoolType.PagedPool
NonPagedPoolMustSucceed: Final = PoolType.NonPagedPoolMustSucceed
NonPagedPoolCacheAligned: Final = PoolType.NonPagedPoolCacheAligned
PagedPoolCacheAligned: Final = PoolType.PagedPoolCacheAligned
MaxPoolType: Final = PoolType.MaxPoolType
NonPagedPoolNx: Final = PoolType.NonPagedPoolNx
NonPagedPoolNxCacheAligned: Final = PoolType.NonPagedPoolNxCacheAligned
POOL_NX_ALLOCATION: Final = PoolType.POOL_NX_ALLOCATION
POOL_COLD_ALLOCATION: Final = PoolType.POOL_COLD_ALLOCATION
POOL_ZERO_ALLOCATION: Final = PoolType.POOL_ZERO_ALLOCATION
POOL_QUOTA_FAIL_INSTEAD_OF_RAISE: Final = PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
POOL_RAISE_IF_ALLOCATION_FAILURE: Final = PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE

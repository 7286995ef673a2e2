"""ExAllocatePool2 and ExAllocatePool3, which take flags; import them from `lookaside_sim.ddi`.

Source:
    [doc] ExAllocatePool2, ExAllocatePool3, POOL_FLAGS, POOL_EXTENDED_PARAMETER; docs/sources.md,
    pool section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from lookaside_sim.ddi.arguments import tag_of
from lookaside_sim.ddi.pool import (
    POOL_FLAG_CACHE_ALIGNED,
    POOL_FLAG_NON_PAGED,
    POOL_FLAG_NON_PAGED_EXECUTE,
    POOL_FLAG_PAGED,
    POOL_FLAG_RAISE_ON_FAILURE,
    POOL_FLAG_SESSION,
    POOL_FLAG_SPECIAL_POOL,
    POOL_FLAG_UNINITIALIZED,
    POOL_FLAG_USE_QUOTA,
    PRIORITIES,
)
from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import Kernel, current_kernel
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import NtStatus, PoolTag, PoolType, TagLike

__all__ = [
    "POOL_EXTENDED_PARAMETER",
    "ExAllocatePool2",
    "ExAllocatePool3",
    "PoolExtendedParameterInvalidType",
    "PoolExtendedParameterMax",
    "PoolExtendedParameterNumaNode",
    "PoolExtendedParameterPriority",
    "PoolExtendedParameterSecurePool",
]

PoolExtendedParameterInvalidType: Final = 0
PoolExtendedParameterPriority: Final = 1
PoolExtendedParameterSecurePool: Final = 2
PoolExtendedParameterNumaNode: Final = 3
PoolExtendedParameterMax: Final = 4

_POOL_OF_FLAG: Final = {
    POOL_FLAG_NON_PAGED: PoolType.NonPagedPoolNx,
    POOL_FLAG_NON_PAGED_EXECUTE: PoolType.NonPagedPoolExecute,
    POOL_FLAG_PAGED: PoolType.PagedPool,
}
_REQUIRED_FLAGS: Final = 0xFFFF_FFFF
_KNOWN_REQUIRED_FLAGS: Final = 0x1EF
_ZERO: Final = int(PoolType.POOL_ZERO_ALLOCATION)
_QUIET: Final = int(PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE)


@attrs.frozen
class POOL_EXTENDED_PARAMETER:  # noqa: N801 - the documented name
    """One of the extended parameters of ExAllocatePool3.

    Attributes:
        Type: a PoolExtendedParameter value.
        Value: its Priority, SecurePoolParams or PreferredNode.
        Optional: whether the call may do without it.
    """

    Type: int
    Value: int = 0
    Optional: bool = False


def ExAllocatePool2(Flags: int, NumberOfBytes: int, Tag: TagLike) -> int:
    """Allocate from the pool that the flags name, zeroed unless they say otherwise.

    Args:
        Flags: POOL_FLAG values: exactly one of NON_PAGED, NON_PAGED_EXECUTE and PAGED. An
            unknown bit in the low 32 makes the call fail, in the high 32 it is ignored.
        NumberOfBytes: not 0.
        Tag: not 0.

    Returns:
        The block's address, or 0 for NULL: no memory, no quota, or invalid arguments.

    Raises:
        NtStatusError: with POOL_FLAG_RAISE_ON_FAILURE, instead of NULL. Choice, where the
            documentation gives no value: STATUS_INVALID_PARAMETER for invalid arguments.
    """
    return _allocate("ExAllocatePool2", Flags, NumberOfBytes, Tag, ())


def ExAllocatePool3(
    Flags: int,
    NumberOfBytes: int,
    Tag: TagLike,
    ExtendedParameters: Sequence[POOL_EXTENDED_PARAMETER] | None,
    ExtendedParametersCount: int,
) -> int:
    """Allocate as ExAllocatePool2 does, with extended parameters.

    A priority is that of ExAllocatePoolWithTagPriority; with quota it has no effect (Choice). A
    NUMA node is a wish that this machine, with one node, always grants. There is no secure
    pool: asking for one fails, unless the parameter is optional.

    Args:
        Flags: as for ExAllocatePool2.
        NumberOfBytes: not 0.
        Tag: not 0.
        ExtendedParameters: the parameters, or None for NULL.
        ExtendedParametersCount: how many of them count.

    Returns:
        The block's address, or 0 for NULL.

    Raises:
        NtStatusError: with POOL_FLAG_RAISE_ON_FAILURE, instead of NULL.
        ValueError: fewer parameters than the count says.
    """
    given = tuple(ExtendedParameters or ())
    count = unsigned("ExtendedParametersCount", ExtendedParametersCount, 32)
    if count > len(given):
        raise ValueError(
            f"ExtendedParametersCount {count}: give {len(given)}, as many as there are"
        )
    return _allocate("ExAllocatePool3", Flags, NumberOfBytes, Tag, given[:count])


def _allocate(
    routine: str,
    flags: int,
    size: int,
    tag: TagLike,
    parameters: tuple[POOL_EXTENDED_PARAMETER, ...],
) -> int:
    tag = tag_of("Tag", tag)
    kernel = current_kernel()
    flags = unsigned("Flags", flags, 64)
    size = unsigned("NumberOfBytes", size, kernel.arch.address_bits)
    pools = [pool for flag, pool in _POOL_OF_FLAG.items() if flags & flag]
    invalid = bool(flags & _REQUIRED_FLAGS & ~_KNOWN_REQUIRED_FLAGS) or not size or not tag
    if invalid or len(pools) != 1 or not all(map(_is_granted, parameters)):
        kernel.check_running()
        if flags & POOL_FLAG_RAISE_ON_FAILURE:
            raise NtStatusError(
                NtStatus.STATUS_INVALID_PARAMETER,
                f"{routine}(Flags {flags:#x}, {size} bytes, tag {tag:#x}, {parameters})",
            )
        return 0
    pool_type = int(pools[0])
    if not flags & POOL_FLAG_UNINITIALIZED:
        pool_type |= _ZERO
    if flags & POOL_FLAG_RAISE_ON_FAILURE:
        pool_type |= int(PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE)
    if flags & POOL_FLAG_CACHE_ALIGNED:
        pool_type |= int(PoolType.NonPagedPoolCacheAligned)
    if flags & POOL_FLAG_SESSION:
        pool_type |= int(PoolType.NonPagedPoolSession)
    priorities = [
        each.Value for each in parameters if each.Type == PoolExtendedParameterPriority
    ]
    return _request(kernel, flags, pool_type, size, tag, priorities)


def _request(
    kernel: Kernel, flags: int, pool_type: int, size: int, tag: PoolTag, priorities: list[int]
) -> int:
    """Ask whichever routine has what the flags and parameters want."""
    if flags & POOL_FLAG_USE_QUOTA:
        quiet = 0 if flags & POOL_FLAG_RAISE_ON_FAILURE else _QUIET
        return kernel.quota.allocate(pool_type | quiet, size, tag) or 0
    if flags & POOL_FLAG_SPECIAL_POOL:
        return kernel.pool.allocate_special(pool_type, size, tag) or 0
    if priorities:
        return kernel.pool.allocate_with_priority(pool_type, size, tag, priorities[-1]) or 0
    return kernel.pool.allocate(pool_type, size, tag) or 0


def _is_granted(parameter: POOL_EXTENDED_PARAMETER) -> bool:
    if parameter.Type == PoolExtendedParameterPriority:
        return parameter.Value in PRIORITIES
    return parameter.Type == PoolExtendedParameterNumaNode or parameter.Optional

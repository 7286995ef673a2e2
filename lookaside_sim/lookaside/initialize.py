"""What the initialize routines check, and the fields that follow from their arguments.

Pure: nothing here touches a list.

Source:
    [doc] ExInitializeLookasideListEx; docs/sources.md, lists section 3.
"""

from __future__ import annotations

from typing import Final

import attrs

from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import (
    EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL,
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT,
    NtStatus,
    PoolTag,
    PoolType,
)

_VALID_FLAGS: Final = 3
_VALID_POOL_TYPE_BITS: Final = 0x3E7


@attrs.frozen
class ListSettings:
    """The fields that an initialize routine writes from its arguments.

    Attributes:
        pool_type: the field Type.
        size: the field Size, in bytes.
        tag: the field Tag.
        maximum_depth: the field MaximumDepth, unless lists are disabled.
    """

    pool_type: int
    size: int
    tag: PoolTag
    maximum_depth: int = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE


def settings_or_status(
    arch: Architecture, *, pool_type: int, size: int, tag: PoolTag, flags: int, depth: int
) -> ListSettings | NtStatus:
    """Check the arguments of ExInitializeLookasideListEx, in its order."""
    if depth == 0:
        depth = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE
    elif not EX_MAXIMUM_LOOKASIDE_DEPTH_BASE <= depth <= EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT:
        return NtStatus.STATUS_INVALID_PARAMETER_8
    if flags & ~_VALID_FLAGS or flags == _VALID_FLAGS:
        return NtStatus.STATUS_INVALID_PARAMETER_5
    if pool_type & ~_VALID_POOL_TYPE_BITS or pool_type & 3 == 3:
        return NtStatus.STATUS_INVALID_PARAMETER_4
    if flags & EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL:
        pool_type |= PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE
    elif flags & EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE:
        pool_type |= PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
    return ListSettings(int(pool_type), max(size, arch.minimum_entry_size), tag, depth)

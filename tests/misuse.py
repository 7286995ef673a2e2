"""What the tests of misuse share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList, PoolType

VIOLATION = BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION


def new_list(
    kernel: Kernel,
    name: str = "list",
    *,
    pool_type: PoolType = PoolType.NonPagedPool,
    size: int = 64,
) -> LookasideList:
    """An initialized list."""
    lookaside = LookasideList(kernel, name)
    assert lookaside.initialize(pool_type=pool_type, size=size, tag=b"List").is_success
    return lookaside


def allocated(
    kernel: Kernel, size: int = 60, pool_type: int = PoolType.NonPagedPool, tag: bytes = b"Test"
) -> int:
    """A pool block."""
    address = kernel.pool.allocate(pool_type, size, tag)
    assert address is not None
    return address


def stop_of(call: Callable[[], object]) -> BugCheck:
    """The bug check a call ends with, which the kernel then keeps raising."""
    with pytest.raises(BugCheck) as caught:
        call()
    return caught.value

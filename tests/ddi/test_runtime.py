"""ExInitializeDriverRuntime: whose NonPagedPool is which."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, PoolType, ddi


def type_of(kernel: Kernel, address: int) -> PoolType:
    """The pool of a block."""
    block = kernel.pool.query(address)
    assert block is not None
    return block.pool_type & (PoolType.PagedPool | PoolType.NonPagedPoolNx)


def test_a_driver_that_opted_in_gets_pool_that_is_not_executable() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    with kernel:
        with driver:
            ddi.ExInitializeDriverRuntime(ddi.DrvRtPoolNxOptIn)
            for address in (
                ddi.ExAllocatePool(0, 24),
                ddi.ExAllocatePoolZero(0, 24, b"Test"),
                ddi.ExAllocatePoolWithQuotaTag(0, 24, b"Test"),
                ddi.ExAllocatePoolWithTagPriority(0, 24, b"Test", ddi.NormalPoolPriority),
            ):
                assert type_of(kernel, address) is PoolType.NonPagedPoolNx
            assert type_of(kernel, ddi.ExAllocatePool(1, 24)) is PoolType.PagedPool
        assert type_of(kernel, ddi.ExAllocatePool(0, 24)) is PoolType.NonPagedPool


def test_its_lists_are_not_executable_either() -> None:
    kernel = Kernel()
    with kernel, kernel.load_driver("my.sys"):
        ddi.ExInitializeDriverRuntime(ddi.DrvRtPoolNxOptIn)
        newer, older = ddi.LOOKASIDE_LIST_EX(), ddi.NPAGED_LOOKASIDE_LIST()
        ddi.ExInitializeLookasideListEx(newer, 0, 0, 0, 0, 32, b"Test", 0)
        ddi.ExInitializeNPagedLookasideList(older, 0, 0, 0, 32, b"Test", 0)
        assert newer.type == older.type == PoolType.NonPagedPoolNx


def test_a_copy_of_the_machine_knows_who_opted_in() -> None:
    kernel = Kernel()
    with kernel:
        ddi.ExInitializeDriverRuntime(ddi.DrvRtPoolNxOptIn)
    with kernel.clone() as twin:
        assert type_of(twin, ddi.ExAllocatePool(0, 24)) is PoolType.NonPagedPoolNx


def test_other_flags_are_refused() -> None:
    with Kernel() as kernel:
        ddi.ExInitializeDriverRuntime(0)
        with pytest.raises(ValueError, match="RuntimeFlags 0x2"):
            ddi.ExInitializeDriverRuntime(2)
        assert not kernel.machine.program.nx_images

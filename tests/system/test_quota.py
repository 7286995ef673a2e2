"""Charged blocks: the process in the header, failures, and what is not charged."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    NtStatus,
    NtStatusError,
    PoolType,
    Verifier,
    VerifierFlags,
    ddi,
)
from tests.helpers import stop_of

NONPAGED, PAGED = PoolType.NonPagedPool, PoolType.PagedPool


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_a_charged_block_names_its_process(arch: str) -> None:
    kernel = Kernel(arch)
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process):
        address = ddi.ExAllocatePoolWithQuotaTag(PAGED, 100, b"Quot")
        block = kernel.pool.query(address)
        assert block is not None
        assert (process.paged_usage, process.references) == (block.block_size, 1)
        if arch == "x64":
            billed = int.from_bytes(kernel.read(address - 8, 8), "little")
            cookie = kernel.machine.quota_cookie
            assert billed == process.address ^ cookie ^ (address - 16)
            assert kernel.read(address - 13, 1) == b"\x0b"
        else:
            assert block.size == 104
            end = address + block.block_size - 8
            assert int.from_bytes(kernel.read(end - 4, 4), "little") == process.address
        kernel.check()
        ddi.ExFreePool(address)
        assert (process.paged_usage, process.references) == (0, 0)
        kernel.check()


def test_quota_failures_raise_or_are_null() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe", nonpaged_quota=64)
    with kernel, kernel.processes.running(process):
        quiet = NONPAGED | PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
        assert ddi.ExAllocatePoolWithQuotaTag(quiet, 100, b"Quot") == 0
        with pytest.raises(NtStatusError) as caught:
            ddi.ExAllocatePoolWithQuota(NONPAGED, 100)
        assert caught.value.status is NtStatus.STATUS_QUOTA_EXCEEDED
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_USE_QUOTA
        assert ddi.ExAllocatePool2(flags, 100, b"Quot") == 0
        with pytest.raises(NtStatusError):
            ddi.ExAllocatePool2(flags | ddi.POOL_FLAG_RAISE_ON_FAILURE, 100, b"Quot")
    assert kernel.pool.usage(b"Quot").outstanding == 0
    assert process.nonpaged_usage == 0
    kernel.check()


def test_no_memory_raises_with_quota() -> None:
    kernel = Kernel(nonpaged_pool_bytes=0)
    with kernel, pytest.raises(NtStatusError) as caught:
        ddi.ExAllocatePoolQuotaZero(NONPAGED, 100, b"Quot")
    assert caught.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES


def test_the_system_process_and_big_blocks_are_not_charged() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe")
    with kernel:
        ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 100, b"Quot")
        assert kernel.processes.system.nonpaged_usage == 0
        with kernel.processes.running(process):
            ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 8192, b"Quot")
    assert process.nonpaged_usage == 0


def test_an_overwritten_process_pointer() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process):
        address = ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 100, b"Quot")
        kernel.write(address - 8, bytes(8))
        stop = stop_of(lambda: ddi.ExFreePool(address))
    assert (stop.code, stop.parameters[:2]) == (BugCheckCode.BAD_POOL_CALLER, (0x0D, address))


def test_charges_in_special_pool() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SPECIAL_POOL))
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process):
        address = ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 100, b"Quot")
        assert process.nonpaged_usage > 0
        ddi.ExFreePool(address)
    assert process.nonpaged_usage == 0

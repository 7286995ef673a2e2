"""The documented pool routines, positional, as C calls them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    NtStatus,
    NtStatusError,
    PoolTag,
    PoolType,
    ddi,
)
from tests.helpers import stop_of


def test_ex_allocate_pool_has_the_tag_none(kernel: Kernel) -> None:
    with kernel:
        block = kernel.pool.query(ddi.ExAllocatePool(PoolType.PagedPool, 100))
    assert block is not None
    assert (str(block.tag), block.size, block.pool_type) == ("None", 100, PoolType.PagedPool)


def test_ex_allocate_pool_with_tag(kernel: Kernel) -> None:
    with kernel:
        address = ddi.ExAllocatePoolWithTag(0, 100, PoolTag.from_literal("LLst"))
        block = kernel.pool.query(address)
        assert block is not None
        assert (str(block.tag), block.size) == ("tsLL", 100)
        ddi.ExFreePoolWithTag(address, b"tsLL")
        assert kernel.pool.query(address) is None


@pytest.mark.parametrize("pool_type", [0, 1, 0x200, 0x10])
def test_ex_allocate_pool_zero(kernel: Kernel, pool_type: int) -> None:
    with kernel:
        dirty = ddi.ExAllocatePoolWithTag(pool_type, 100, b"dirt")
        assert kernel.read(dirty, 100) != bytes(100)
        kernel.write(dirty, b"\xff" * 100)
        ddi.ExFreePool(dirty)
        assert ddi.ExAllocatePoolZero(pool_type, 100, b"zero") == dirty
    assert kernel.read(dirty, 100) == bytes(100)


def test_ex_free_pool_does_not_check_the_tag(kernel: Kernel) -> None:
    with kernel:
        ddi.ExFreePool(ddi.ExAllocatePoolWithTag(0, 100, b"free"))
        ddi.ExFreePoolWithTag(ddi.ExAllocatePoolWithTag(0, 100, b"free"), 0)
        protected = PoolTag(int(PoolTag(b"prot")) | ddi.PROTECTED_POOL)
        address = ddi.ExAllocatePoolWithTag(0, 100, protected)
        with pytest.raises(BugCheck) as stop:
            ddi.ExFreePoolWithTag(address, b"prot")
    assert stop.value.parameters[0] == 0xA


def test_freeing_null_stops(kernel: Kernel) -> None:
    with kernel, pytest.raises(BugCheck) as stop:
        ddi.ExFreePool(0)
    assert stop.value.code is BugCheckCode.BAD_POOL_CALLER


@pytest.mark.parametrize(
    ("flags", "pool_type"),
    [
        (ddi.POOL_FLAG_NON_PAGED, PoolType.NonPagedPoolNx),
        (ddi.POOL_FLAG_NON_PAGED_EXECUTE, PoolType.NonPagedPool),
        (ddi.POOL_FLAG_PAGED, PoolType.PagedPool),
        (ddi.POOL_FLAG_PAGED | ddi.POOL_FLAG_USE_QUOTA, PoolType.PagedPool),
        (ddi.POOL_FLAG_PAGED | ddi.POOL_FLAG_CACHE_ALIGNED, PoolType.PagedPoolCacheAligned),
        (
            ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_CACHE_ALIGNED,
            PoolType.NonPagedPoolNxCacheAligned,
        ),
        (ddi.POOL_FLAG_PAGED | ddi.POOL_FLAG_SESSION, PoolType.PagedPoolSession),
        (ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SESSION, PoolType.NonPagedPoolSessionNx),
        (ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL, PoolType.NonPagedPoolNx),
        (ddi.POOL_FLAG_PAGED | 0x8000_0000_0000_0000, PoolType.PagedPool),
        (ddi.POOL_FLAG_PAGED | ddi.POOL_FLAG_RAISE_ON_FAILURE, PoolType.PagedPool),
    ],
)
@pytest.mark.parametrize("uninitialized", [False, True])
def test_the_flags_of_ex_allocate_pool2(
    kernel: Kernel, flags: int, pool_type: PoolType, uninitialized: bool
) -> None:
    flags |= ddi.POOL_FLAG_UNINITIALIZED if uninitialized else 0
    with kernel:
        address = ddi.ExAllocatePool2(flags, 100, b"two ")
    block = kernel.pool.query(address)
    assert block is not None
    assert (block.pool_type, block.size, block.tag) == (pool_type, 100, PoolTag(b"two "))
    assert (kernel.read(address, 100) == bytes(100)) is not uninitialized


INVALID_REQUESTS = [
    *((ddi.POOL_FLAG_PAGED | 1 << bit, 100, b"two ") for bit in (4, *range(9, 32))),
    (0, 100, b"two "),
    (ddi.POOL_FLAG_UNINITIALIZED, 100, b"two "),
    (ddi.POOL_FLAG_PAGED | ddi.POOL_FLAG_NON_PAGED, 100, b"two "),
    (ddi.POOL_FLAG_NON_PAGED_EXECUTE | ddi.POOL_FLAG_NON_PAGED, 100, b"two "),
    (ddi.POOL_FLAG_PAGED, 0, b"two "),
    (ddi.POOL_FLAG_PAGED, 100, 0),
]


@pytest.mark.parametrize(("flags", "size", "tag"), INVALID_REQUESTS)
def test_an_invalid_request_of_ex_allocate_pool2_is_null_or_raises(
    kernel: Kernel, flags: int, size: int, tag: bytes | int
) -> None:
    with kernel:
        assert ddi.ExAllocatePool2(flags, size, tag) == 0
        with pytest.raises(NtStatusError) as error:
            ddi.ExAllocatePool2(flags | ddi.POOL_FLAG_RAISE_ON_FAILURE, size, tag)
    assert error.value.status is NtStatus.STATUS_INVALID_PARAMETER
    assert kernel.bugcheck is None
    assert kernel.pool.usage(b"two ").outstanding == 0


def test_ex_allocate_pool2_raises_when_exhausted_and_asked_to(arch: str) -> None:
    with Kernel(arch, paged_pool_bytes=0):
        assert ddi.ExAllocatePool2(ddi.POOL_FLAG_PAGED, 100, b"two ") == 0
        with pytest.raises(NtStatusError) as error:
            ddi.ExAllocatePool2(
                ddi.POOL_FLAG_PAGED | ddi.POOL_FLAG_RAISE_ON_FAILURE, 100, b"two "
            )
    assert error.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES


@pytest.mark.parametrize(
    "call",
    [
        lambda: ddi.ExAllocatePool(0, 1),
        lambda: ddi.ExAllocatePoolWithTag(0, 1, b"none"),
        lambda: ddi.ExAllocatePoolZero(0, 1, b"none"),
        lambda: ddi.ExAllocatePool2(ddi.POOL_FLAG_PAGED, 1, b"none"),
        lambda: ddi.ExAllocatePool2(0, 1, b"none"),
        lambda: ddi.ExFreePool(0),
        lambda: ddi.ExFreePoolWithTag(0, b"none"),
    ],
)
def test_pool_routines_need_a_current_kernel(call: Callable[[], object]) -> None:
    with pytest.raises(LookupError, match="no kernel is current"):
        call()


@pytest.mark.parametrize(
    ("flags", "size", "tag"),
    [
        (0x40 | 0x10, 8, b"Test"),
        (0x40 | 0x200, 8, b"Test"),
        (0x40 | 0x400, 8, b"Test"),
        (0x40 | 0x80000000, 8, b"Test"),
        (0, 8, b"Test"),
        (0x40 | 0x100, 8, b"Test"),
        (0x40, 0, b"Test"),
        (0x40, 8, bytes(4)),
    ],
)
def test_bad_flags_are_null_or_raise(flags: int, size: int, tag: bytes) -> None:
    with Kernel():
        assert ddi.ExAllocatePool2(flags, size, tag) == 0
        with pytest.raises(NtStatusError):
            ddi.ExAllocatePool2(flags | ddi.POOL_FLAG_RAISE_ON_FAILURE, size, tag)


def test_optional_flags_are_ignored_and_memory_is_zeroed() -> None:
    kernel = Kernel()
    with kernel:
        unknown = ddi.POOL_FLAG_OPTIONAL_END | ddi.POOL_FLAG_SPECIAL_POOL
        address = ddi.ExAllocatePool2(ddi.POOL_FLAG_PAGED | unknown, 40, b"Test")
        assert kernel.read(address, 40) == bytes(40)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_UNINITIALIZED
        plain = ddi.ExAllocatePool2(flags | ddi.POOL_FLAG_CACHE_ALIGNED, 40, b"Test")
        assert kernel.read(plain, 40) != bytes(40)
        ddi.ExFreePool2(plain, b"Test", 0, 0)
        stop = stop_of(lambda: ddi.ExFreePool2(address, b"Test", None, 1))
    assert stop.parameters == (0x99, address, 0, 0)


@pytest.mark.parametrize(
    ("arch", "size", "room"),
    [
        ("x64", 1, 16),
        ("x64", 100, 112),
        ("x64", 5000, 8192),
        ("x86", 1, 8),
        ("x86", 100, 104),
        ("x86", 5000, 8192),
    ],
)
def test_ex_query_pool_block_size(arch: str, size: int, room: int) -> None:
    kernel = Kernel(arch)
    charged = ddi.Ref(7)
    with kernel:
        address = ddi.ExAllocatePoolWithTag(0, size, b"Test")
        assert ddi.ExQueryPoolBlockSize(address, charged) == room
        assert charged.value == 0
        assert ddi.ExQueryPoolBlockSize(address + 1, charged) == 0


def test_ex_query_pool_block_size_says_who_pays() -> None:
    kernel = Kernel()
    charged = ddi.Ref()
    with kernel, kernel.processes.running(kernel.processes.create("app.exe")):
        address = ddi.ExAllocatePoolWithQuotaTag(0, 100, b"Test")
        assert ddi.ExQueryPoolBlockSize(address, charged) == 112
    assert charged.value == 1


def test_the_file_systems_routines_raise() -> None:
    with Kernel(paged_pool_bytes=1 << 16) as kernel:
        before = kernel.pool.usage(b"None").paged_allocs
        assert ddi.FsRtlAllocatePool(1, 100)
        assert ddi.FsRtlAllocatePoolWithQuota(1, 100)
        assert ddi.FsRtlAllocatePoolWithQuotaTag(1, 100, b"Test")
        assert kernel.pool.usage(b"None").paged_allocs == before + 2
        for call in (ddi.FsRtlAllocatePool, ddi.FsRtlAllocatePoolWithQuota):
            with pytest.raises(NtStatusError, match="STATUS_INSUFFICIENT_RESOURCES"):
                call(1, 1 << 17)


def test_fs_rtl_allocate_pool_with_tag_raises() -> None:
    with Kernel(paged_pool_bytes=1 << 16):
        assert ddi.FsRtlAllocatePoolWithTag(1, 100, b"Test")
        with pytest.raises(NtStatusError) as raised:
            ddi.FsRtlAllocatePoolWithTag(1, 1 << 17, b"Test")
    assert raised.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES

"""The documented routines, positional, as C calls them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Kernel,
    LookasideList,
    NtStatus,
    NtStatusError,
    PoolTag,
    PoolType,
    ddi,
)

OlderInitialize = Callable[..., None]
OLDER: list[tuple[str, int]] = [("NPaged", 0), ("Paged", 1)]


def routine(name: str) -> Callable[..., object]:
    found = getattr(ddi, name)
    assert callable(found)
    return found  # type: ignore[no-any-return]


def test_everything_announced_exists() -> None:
    assert all(hasattr(ddi, name) for name in ddi.__all__)
    assert ddi.EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL == 1
    assert ddi.EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE == 2
    assert ddi.EX_MAXIMUM_LOOKASIDE_DEPTH_BASE == 256
    assert ddi.EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT == 1024
    assert ddi.PROTECTED_POOL == 0x8000_0000


# --- LOOKASIDE_LIST_EX -------------------------------------------------------------------


@pytest.mark.parametrize("null", [0, None])
def test_the_ex_family(kernel: Kernel, blank: LookasideList, null: int | None) -> None:
    status = ddi.ExInitializeLookasideListEx(
        blank, null, null, PoolType.NonPagedPoolNx, 1, 40, PoolTag.from_literal("LLst"), 512
    )
    assert status is NtStatus.STATUS_SUCCESS
    assert (blank.type, blank.size, blank.maximum_depth) == (0x210, 40, 512)
    assert str(blank.tag) == "tsLL"
    entry = ddi.ExAllocateFromLookasideListEx(blank)
    assert kernel.pool.query(entry) is not None
    ddi.ExFreeToLookasideListEx(blank, entry)
    assert ddi.ExAllocateFromLookasideListEx(blank) == entry
    ddi.ExFreeToLookasideListEx(blank, entry)
    ddi.ExFlushLookasideListEx(blank)
    assert blank.current_depth == 0
    assert kernel.pool.query(entry) is None
    ddi.ExDeleteLookasideListEx(blank)
    assert not blank.is_active
    assert (blank.total_allocates, blank.total_frees) == (2, 2)


@pytest.mark.parametrize(
    ("pool_type", "flags", "depth", "status"),
    [(3, 3, 1, 0xC00000F6), (3, 3, 0, 0xC00000F3), (3, 0, 0, 0xC00000F2), (0, 0, 0, 0)],
)
def test_the_parameters_are_numbered_as_the_statuses_say(
    kernel: Kernel, pool_type: int, flags: int, depth: int, status: int
) -> None:
    lookaside = LookasideList(kernel)
    found = ddi.ExInitializeLookasideListEx(
        lookaside, 0, 0, pool_type, flags, 32, b"ddi ", depth
    )
    assert found == status
    assert isinstance(found, NtStatus)


def test_null_is_0(arch: str) -> None:
    kernel = Kernel(arch, nonpaged_pool_bytes=0)
    lookaside = LookasideList(kernel)
    ddi.ExInitializeLookasideListEx(lookaside, 0, 0, 0, 0, 32, b"ddi ", 0)
    assert ddi.ExAllocateFromLookasideListEx(lookaside) == 0
    with kernel:
        assert ddi.ExAllocatePool(0, 32) == 0
        assert ddi.ExAllocatePoolWithTag(0, 32, b"ddi ") == 0
        assert ddi.ExAllocatePoolZero(0, 32, b"ddi ") == 0
        assert ddi.ExAllocatePool2(ddi.POOL_FLAG_NON_PAGED, 32, b"ddi ") == 0


def test_ex_routines_get_the_list(kernel: Kernel, blank: LookasideList) -> None:
    calls: list[tuple[object, ...]] = []

    def allocate(pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList) -> int:
        calls.append((pool_type, size, tag, lookaside))
        return ddi.ExAllocatePoolWithTag(pool_type, size, tag)

    def free(buffer: int, lookaside: LookasideList) -> None:
        calls.append((buffer, lookaside))
        ddi.ExFreePool(buffer)

    ddi.ExInitializeLookasideListEx(blank, allocate, free, 0, 0, 32, b"ddi ", 0)
    with kernel:
        entry = ddi.ExAllocateFromLookasideListEx(blank)
        ddi.ExFreeToLookasideListEx(blank, entry)
        ddi.ExDeleteLookasideListEx(blank)
    assert calls == [(0, 32, PoolTag(b"ddi "), blank), (entry, blank)]
    assert kernel.pool.usage(b"ddi ").outstanding == 0


@pytest.mark.parametrize("wrong", [1, 0x1234, -1, True, "routine"])
@pytest.mark.parametrize("position", [1, 2])
def test_a_routine_is_callable_or_null(kernel: Kernel, wrong: object, position: int) -> None:
    lookaside = LookasideList(kernel)
    before = bytes(lookaside)
    for name, arguments in (
        ("ExInitializeLookasideListEx", [lookaside, 0, 0, 0, 0, 32, b"ddi ", 0]),
        ("ExInitializeNPagedLookasideList", [lookaside, 0, 0, 0, 32, b"ddi ", 0]),
        ("ExInitializePagedLookasideList", [lookaside, 0, 0, 0, 32, b"ddi ", 0]),
    ):
        arguments[position] = wrong
        with pytest.raises(TypeError, match="callable"):
            routine(name)(*arguments)
        assert bytes(lookaside) == before
        assert not lookaside.is_active


def test_the_destroy_then_drop_of_the_crate(kernel: Kernel, blank: LookasideList) -> None:
    # destroy() deletes the list and leaves its init flag set, so drop deletes it again.
    status = ddi.ExInitializeLookasideListEx(
        blank, 0, 0, PoolType.NonPagedPool, 0, 16, PoolTag.from_literal("LLrs"), 0
    )
    assert status.is_success
    context = ddi.ExAllocateFromLookasideListEx(blank)
    ddi.ExFreeToLookasideListEx(blank, context)
    ddi.ExDeleteLookasideListEx(blank)  # destroy
    with pytest.raises(BugCheck) as stop:
        ddi.ExDeleteLookasideListEx(blank)  # drop
    assert stop.value.code is BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE
    assert stop.value.parameters[0] == 3


# --- the older families ------------------------------------------------------------------


@pytest.mark.parametrize(("family", "pool_type"), OLDER)
def test_an_older_family(
    kernel: Kernel, blank: LookasideList, family: str, pool_type: int
) -> None:
    initialize = routine(f"ExInitialize{family}LookasideList")
    allocate = routine(f"ExAllocateFrom{family}LookasideList")
    free = routine(f"ExFreeTo{family}LookasideList")
    delete = routine(f"ExDelete{family}LookasideList")
    assert initialize(blank, 0, None, 0, 32, b"oldr", 20) is None
    assert (blank.depth, blank.maximum_depth, blank.type) == (4, 256, pool_type)
    assert kernel.lookaside_lists == [blank]
    entry = allocate(blank)
    assert isinstance(entry, int)
    block = kernel.pool.query(entry)
    assert block is not None
    assert (block.pool_type, block.size) == (pool_type, 32)
    free(blank, entry)
    assert allocate(blank) == entry
    free(blank, entry)
    before = (blank.total_allocates, blank.allocate_misses)
    delete(blank)
    assert (blank.total_allocates, blank.allocate_misses) == before  # flushed, not drained
    assert kernel.lookaside_lists == []
    assert kernel.pool.usage(b"oldr").outstanding == 0


@pytest.mark.parametrize("size", range(10))
@pytest.mark.parametrize(("family", "pool_type"), OLDER)
def test_the_older_families_have_no_minimum_size(
    kernel: Kernel, family: str, pool_type: int, size: int
) -> None:
    lookaside = LookasideList(kernel)
    routine(f"ExInitialize{family}LookasideList")(lookaside, 0, 0, 0, size, b"smal", 0)
    assert lookaside.size == size
    entry = lookaside.allocate()
    lookaside.free(entry)
    assert lookaside.allocate() == entry
    assert lookaside.type == pool_type


@pytest.mark.parametrize("depth", [0, 1, 20, 255, 256, 1024, 1025, 0xFFFF, 1 << 20, -1])
def test_the_older_families_ignore_the_depth(kernel: Kernel, depth: int) -> None:
    for family, _ in OLDER:
        lookaside = LookasideList(kernel)
        routine(f"ExInitialize{family}LookasideList")(lookaside, 0, 0, 0, 32, b"dept", depth)
        assert (lookaside.depth, lookaside.maximum_depth) == (4, 256)


@pytest.mark.parametrize("flags", [0x8, 0x10, 0x200, 0x210, 0x2])
@pytest.mark.parametrize(("family", "pool_type"), OLDER)
def test_the_older_families_or_the_flags_in(
    kernel: Kernel, family: str, pool_type: int, flags: int
) -> None:
    lookaside = LookasideList(kernel)
    routine(f"ExInitialize{family}LookasideList")(lookaside, 0, 0, flags, 32, b"flag", 0)
    assert lookaside.type == pool_type | flags


def test_the_older_families_raise_with_the_pools_bit(arch: str) -> None:
    kernel = Kernel(arch, nonpaged_pool_bytes=0)
    lookaside = LookasideList(kernel)
    ddi.ExInitializeNPagedLookasideList(
        lookaside, 0, 0, PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE, 32, b"rais", 0
    )
    with pytest.raises(NtStatusError) as error:
        ddi.ExAllocateFromNPagedLookasideList(lookaside)
    assert error.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES
    assert (lookaside.total_allocates, lookaside.allocate_misses) == (1, 1)


@pytest.mark.parametrize(("family", "pool_type"), OLDER)
def test_older_routines_do_not_get_the_list(
    kernel: Kernel, blank: LookasideList, family: str, pool_type: int
) -> None:
    calls: list[tuple[object, ...]] = []

    def allocate(*arguments: object) -> int:
        calls.append(arguments)
        return ddi.ExAllocatePoolWithTag(pool_type, 32, b"oldr")

    def free(*arguments: object) -> None:
        calls.append(arguments)
        assert isinstance(arguments[0], int)
        ddi.ExFreePool(arguments[0])

    routine(f"ExInitialize{family}LookasideList")(blank, allocate, free, 8, 32, b"oldr", 0)
    with kernel:
        entry = ddi.ExAllocateFromPagedLookasideList(blank)
        ddi.ExFreeToPagedLookasideList(blank, entry)
        ddi.ExDeletePagedLookasideList(blank)
    assert calls == [(pool_type | 8, 32, PoolTag(b"oldr")), (entry,)]


@pytest.mark.parametrize(
    ("flags", "size", "tag", "error"),
    [
        (-1, 32, b"args", ValueError),
        (1 << 32, 32, b"args", ValueError),
        ("1", 32, b"args", TypeError),
        (0, -1, b"args", ValueError),
        (0, 1.5, b"args", TypeError),
        (0, 32, b"toolong", ValueError),
        (0, 32, None, TypeError),
    ],
)
def test_wrong_arguments_of_the_older_families(
    kernel: Kernel, flags: object, size: object, tag: object, error: type[Exception]
) -> None:
    lookaside = LookasideList(kernel)
    before = bytes(lookaside)
    for family, _ in OLDER:
        with pytest.raises(error):
            routine(f"ExInitialize{family}LookasideList")(lookaside, 0, 0, flags, size, tag, 0)
    assert bytes(lookaside) == before
    assert not lookaside.is_active


# --- the pool ----------------------------------------------------------------------------


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

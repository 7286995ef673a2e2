"""The documented routines of lookaside lists, positional, as C calls them."""

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
from tests.helpers import SIZES, allocated, both_machines

OLDER: list[tuple[str, int]] = [("NPaged", 0), ("Paged", 1)]


def routine(name: str) -> Callable[..., object]:
    found = getattr(ddi, name)
    assert callable(found)
    return found  # type: ignore[no-any-return]


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


# --- the older families ------------------------------------------------------------------

OLDER_SIZES = {"x64": 0x80, "x86": 0xC0}


@both_machines
@pytest.mark.parametrize("sanitizer", [False, True])
def test_a_list_of_an_older_family_has_a_size_of_its_own(arch: str, sanitizer: bool) -> None:
    with Kernel(arch, sanitizer=sanitizer) as kernel:
        first, second = ddi.NPAGED_LOOKASIDE_LIST("one"), ddi.PAGED_LOOKASIDE_LIST("two")
        size = OLDER_SIZES[arch]
        assert second.address - first.address == size
        assert first.address % 64 == 0
        assert (len(bytes(first)), first.image_size) == (size, size)
        ddi.ExInitializeNPagedLookasideList(first, 0, 0, 0, 48, b"Old1", 0)
        ddi.ExInitializePagedLookasideList(second, 0, 0, 0, 48, b"Old2", 0)
        assert kernel.read(first.address, size)[SIZES[arch] :] == bytes(size - SIZES[arch])
        kernel.write(first.address + size - 4, b"mine")
        entry = ddi.ExAllocateFromNPagedLookasideList(first)
        ddi.ExFreeToNPagedLookasideList(first, entry)
        assert bytes(first)[-4:] == b"mine"
        assert kernel.read(first.address, size) == bytes(first)
        ddi.ExDeletePagedLookasideList(second)
        ddi.ExDeleteNPagedLookasideList(first)
        assert len(bytes(ddi.LOOKASIDE_LIST_EX())) == SIZES[arch]


@both_machines
def test_an_older_list_in_a_block_needs_all_of_its_bytes(arch: str) -> None:
    with Kernel(arch) as kernel:
        size = OLDER_SIZES[arch]
        block = allocated(kernel, size - 8)
        with pytest.raises(ValueError, match=f"the {size:#x} bytes there"):
            ddi.NPAGED_LOOKASIDE_LIST(address=block)
        assert LookasideList(kernel, address=block).image_size == SIZES[arch]
        block = allocated(kernel, size)
        lookaside = ddi.NPAGED_LOOKASIDE_LIST("mine", block)
        kernel.write(block, b"\xaa" * size)
        ddi.ExInitializeNPagedLookasideList(lookaside, 0, 0, 0, 48, b"Old1", 0)
        image = bytes(lookaside)
        assert len(image) == size
        # Initializing writes the fields and, on x86, the lock; the padding keeps its bytes.
        lock = image[0x80:0x84]
        assert lock == (bytes(4) if arch == "x86" else b"")
        assert image[SIZES[arch] : 0x80] == b"\xaa" * (0x80 - SIZES[arch])
        ddi.ExDeleteNPagedLookasideList(lookaside)
        kernel.pool.free(block)


def test_an_older_list_is_not_made_where_a_smaller_one_was() -> None:
    with Kernel() as kernel:
        small = LookasideList(kernel)
        with pytest.raises(ValueError, match="has 0x60 bytes, and 0x80 are needed"):
            ddi.NPAGED_LOOKASIDE_LIST(address=small.address)
        large = ddi.NPAGED_LOOKASIDE_LIST()
        kernel.write(large.address + 0x70, b"kept")
        again = LookasideList(kernel, address=large.address)
        assert bytes(again)[0x70:0x74] == b"kept"
        assert kernel.read(large.address, 0x80) == bytes(again)


def test_an_older_list_in_a_driver_goes_with_it() -> None:
    with Kernel() as kernel:
        driver = kernel.load_driver("old.sys")
        with driver:
            lookaside = ddi.NPAGED_LOOKASIDE_LIST("old!List")
        assert driver.holds(lookaside.address)
        driver.unload()
        assert "not mapped" in repr(lookaside)
        assert lookaside.image_size == 0x80


@both_machines
@pytest.mark.parametrize("declare", [ddi.LOOKASIDE_LIST_EX, ddi.NPAGED_LOOKASIDE_LIST])
def test_a_misaligned_list(declare: Callable[..., LookasideList], arch: str) -> None:
    kernel = Kernel(arch)
    with kernel:
        block = ddi.ExAllocatePoolWithTag(0, 0x100, b"Test")
        if arch == "x64":
            with pytest.raises(NtStatusError) as raised:
                declare("", block + 8)
            assert raised.value.status is NtStatus.STATUS_DATATYPE_MISALIGNMENT
            return
        lookaside = declare("", block + 3)
        ddi.ExInitializeNPagedLookasideList(lookaside, 0, 0, 0, 32, b"Test", 0)
        entry = ddi.ExAllocateFromNPagedLookasideList(lookaside)
        ddi.ExFreeToNPagedLookasideList(lookaside, entry)
        assert lookaside.current_depth == 1
        assert ddi.ExAllocateFromNPagedLookasideList(lookaside) == entry
        ddi.ExFreeToNPagedLookasideList(lookaside, entry)
        kernel.check()
        ddi.ExDeleteNPagedLookasideList(lookaside)

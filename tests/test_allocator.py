"""The allocator front end: one layout, and refusals that touch nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from lookaside_sim import (
    Allocation,
    AllocError,
    BugCheck,
    InitError,
    Kernel,
    Layout,
    LayoutError,
    LookasideAllocator,
    LookasideSimError,
    NotSupportedError,
    NtStatus,
    PoolTag,
    PoolType,
)
from tests.helpers import counters, nowhere

MAXIMUM_ALIGNMENT = {"x64": 16, "x86": 8}


# --- layouts -----------------------------------------------------------------------------


def test_a_layout_is_size_and_alignment() -> None:
    assert Layout(24) == Layout(24, 1) == Layout(size=24, align=1)
    assert Layout(24, 8) != Layout(24, 4)
    assert (Layout(0).size, Layout(16, 16).align) == (0, 16)
    assert len({Layout(1), Layout(1), Layout(1, 2)}) == 2


@pytest.mark.parametrize(("size", "align"), [(-1, 1), (8, 0), (8, -1), (8, 3), (8, 6), (8, 24)])
def test_what_is_no_layout_is_refused(size: int, align: int) -> None:
    with pytest.raises(LayoutError, match=str(size if size < 0 else align)):
        Layout(size, align)


@pytest.mark.parametrize(("size", "align"), [("8", 1), (1.5, 1), (8, 1.0), (None, 1)])
def test_a_layout_of_other_types_is_refused(size: object, align: object) -> None:
    with pytest.raises(TypeError):
        Layout(size, align)  # type: ignore[arg-type]


class Pair(ctypes.Structure):
    """Two fields and the padding between them."""

    _fields_ = (("flag", ctypes.c_uint8), ("value", ctypes.c_uint32))


@pytest.mark.parametrize(
    ("ctype", "size", "align"),
    [
        (ctypes.c_uint8, 1, 1),
        (ctypes.c_uint32, 4, 4),
        (ctypes.c_uint64, 8, 8),
        (ctypes.c_uint16 * 5, 10, 2),
        (Pair, 8, 4),
    ],
)
def test_the_layout_of_a_ctypes_type(ctype: object, size: int, align: int) -> None:
    assert Layout.for_type(ctype) == Layout(size, align)


@pytest.mark.parametrize("other", [int, 5, "c_uint8", None])
def test_other_types_have_no_layout(other: object) -> None:
    with pytest.raises(TypeError):
        Layout.for_type(other)


# --- init --------------------------------------------------------------------------------


def test_the_defaults_of_init(kernel: Kernel) -> None:
    allocator = LookasideAllocator(kernel)
    assert not allocator.lookaside.is_active
    allocator.init(24, PoolType.PagedPool)
    lookaside = allocator.lookaside
    assert lookaside.is_active
    assert str(lookaside.tag) == "srLL"
    assert lookaside.tag == PoolTag.from_literal("LLrs")
    assert (lookaside.size, lookaside.type) == (24, PoolType.PagedPool)
    assert (lookaside.depth, lookaside.maximum_depth) == (4, 256)
    assert kernel.lookaside_lists == [lookaside]
    assert allocator.kernel is kernel
    assert allocator.layout == Layout(24, MAXIMUM_ALIGNMENT[kernel.arch.name])


def test_its_list_has_the_name_and_address_given(kernel: Kernel) -> None:
    address = kernel.arch.image_data_start + 0x1000
    allocator = LookasideAllocator(kernel, name="drv!Contexts", address=address)
    assert (allocator.lookaside.name, allocator.lookaside.address) == ("drv!Contexts", address)


def test_init_passes_everything_on(kernel: Kernel) -> None:
    block = kernel.pool.allocate(0, 64, b"blck")
    freed: list[int] = []
    allocator = LookasideAllocator(kernel)
    allocator.init(
        24,
        PoolType.NonPagedPoolNx,
        b"mine",
        1,
        lambda *_: block,
        lambda entry, _: freed.append(entry),
    )
    assert allocator.lookaside.type == 0x210
    assert allocator.lookaside.tag == PoolTag(b"mine")
    assert allocator.alloc() == block
    allocator.free(block)
    allocator.destroy()
    assert freed == [block]


@pytest.mark.parametrize(
    ("pool_type", "flags", "status"),
    [
        (3, None, NtStatus.STATUS_INVALID_PARAMETER_4),
        (0x400, 0, NtStatus.STATUS_INVALID_PARAMETER_4),
        (0, 3, NtStatus.STATUS_INVALID_PARAMETER_5),
        (3, 8, NtStatus.STATUS_INVALID_PARAMETER_5),
    ],
)
def test_a_failing_init_carries_the_status(
    kernel: Kernel, pool_type: int, flags: int | None, status: NtStatus
) -> None:
    allocator = LookasideAllocator(kernel)
    before = bytes(allocator.lookaside)
    with pytest.raises(InitError, match=status.name) as error:
        allocator.init(24, pool_type, flags=flags)
    assert error.value.status is status
    assert bytes(allocator.lookaside) == before
    with pytest.raises(LookasideSimError):
        allocator.alloc()
    allocator.init(24, 0)  # a second try may succeed
    assert allocator.alloc() is not None


def test_init_twice_is_refused_and_changes_nothing(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    before = bytes(allocator.lookaside)
    with pytest.raises(InitError) as error:
        allocator.init(48, PoolType.PagedPool)
    assert error.value.status is NtStatus.STATUS_ALREADY_INITIALIZED
    assert bytes(allocator.lookaside) == before
    assert kernel.lookaside_lists == [allocator.lookaside]
    assert allocator.layout.size == 24


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((-1, 0), ValueError),
        ((1.5, 0), TypeError),
        (("24", 0), TypeError),
        ((24, 0, b"toolong"), ValueError),
        ((24, 0, b"okay", -1), ValueError),
        ((24, 0, b"okay", 0, 7), TypeError),
    ],
)
def test_wrong_arguments_of_init_leave_it_uninitialized(
    kernel: Kernel, arguments: tuple[object, ...], error: type[Exception]
) -> None:
    allocator = LookasideAllocator(kernel)
    with pytest.raises(error):
        allocator.init(*arguments)  # type: ignore[arg-type]
    assert not allocator.lookaside.is_active
    with pytest.raises(LookasideSimError):
        allocator.alloc()


def test_a_size_that_the_field_cannot_keep_is_refused() -> None:
    # NT would keep 32 bits of it, and every allocation would be too small for its layout.
    allocator = LookasideAllocator(Kernel("x64"))
    with pytest.raises((ValueError, LookasideSimError)):
        allocator.init((1 << 32) + 16, 0)
    assert not allocator.lookaside.is_active


# --- allocate and deallocate -------------------------------------------------------------


def test_alloc_and_free(kernel: Kernel, allocator: LookasideAllocator) -> None:
    pointer = allocator.alloc()
    assert pointer is not None
    assert pointer % MAXIMUM_ALIGNMENT[kernel.arch.name] == 0
    allocator.free(pointer)
    assert allocator.alloc() == pointer
    assert counters(allocator.lookaside) == (2, 1, 1, 0)


def test_allocate_and_deallocate(kernel: Kernel, allocator: LookasideAllocator) -> None:
    layout = Layout(24, MAXIMUM_ALIGNMENT[kernel.arch.name])
    allocation = allocator.allocate(layout)
    assert allocation == Allocation(allocation.pointer, layout)
    block = kernel.pool.query(allocation.pointer)
    assert block is not None
    assert (block.size, block.tag) == (24, PoolTag(b"allc"))
    allocator.deallocate(allocation.pointer, layout)
    assert allocator.allocate(Layout(24)).pointer == allocation.pointer
    assert counters(allocator.lookaside) == (2, 1, 1, 0)


@pytest.mark.parametrize("size", [0, 1, 8, 23, 25, 32, 48, 1 << 20])
def test_another_size_is_refused_before_anything_is_touched(
    kernel: Kernel, allocator: LookasideAllocator, size: int
) -> None:
    pointer = allocator.allocate(Layout(24)).pointer
    contents, image = kernel.read(pointer, 24), bytes(allocator.lookaside)
    tags = dict(kernel.pool.tags())
    with pytest.raises(LayoutError, match=str(size)):
        allocator.allocate(Layout(size))
    with pytest.raises(LayoutError, match=str(size)):
        allocator.deallocate(pointer, Layout(size))
    assert bytes(allocator.lookaside) == image
    assert kernel.read(pointer, 24) == contents
    assert dict(kernel.pool.tags()) == tags


@pytest.mark.parametrize("factor", [1, 2, 4, 512])
def test_a_larger_alignment_is_refused_before_anything_is_touched(
    allocator: LookasideAllocator, arch: str, factor: int
) -> None:
    align = MAXIMUM_ALIGNMENT[arch] * factor
    image = bytes(allocator.lookaside)
    if factor == 1:
        assert allocator.allocate(Layout(24, align)).pointer % align == 0
        return
    with pytest.raises(LayoutError, match=f"alignment {align}"):
        allocator.allocate(Layout(24, align))
    with pytest.raises(LayoutError, match=f"alignment {align}"):
        allocator.deallocate(0, Layout(24, align))
    assert bytes(allocator.lookaside) == image


def test_size_0_is_served(kernel: Kernel) -> None:
    allocator = LookasideAllocator(kernel)
    allocator.init(0, 0)
    first, second = (allocator.allocate(Layout(0)).pointer for _ in range(2))
    assert first != second
    assert allocator.lookaside.size == kernel.arch.pointer_size
    with pytest.raises(LayoutError):
        allocator.allocate(Layout(kernel.arch.pointer_size))
    allocator.deallocate(first, Layout(0))
    with allocator.box(b"") as box:
        assert (box.pointer, box.value) == (first, b"")


def test_the_size_asked_for_is_the_layout_not_the_raised_one(kernel: Kernel) -> None:
    allocator = LookasideAllocator(kernel)
    allocator.init(2, 0)
    assert allocator.layout.size == 2
    assert allocator.allocate(Layout(2, 2)).layout == Layout(2, 2)


def test_exhaustion_is_an_alloc_error(arch: str) -> None:
    allocator = LookasideAllocator(Kernel(arch, nonpaged_pool_bytes=4096))
    allocator.init(4000, 0)
    pointer = allocator.alloc()
    assert pointer is not None
    assert allocator.alloc() is None
    with pytest.raises(AllocError, match="4000"):
        allocator.allocate(Layout(4000))
    with pytest.raises(AllocError):
        allocator.box(bytes(4000))
    assert counters(allocator.lookaside) == (4, 4, 0, 0)
    allocator.free(pointer)
    assert allocator.allocate(Layout(4000)).pointer == pointer


@pytest.mark.parametrize("name", ["grow", "grow_zeroed", "shrink"])
@pytest.mark.parametrize("new_size", [0, 16, 24, 48])
def test_an_allocation_cannot_change_its_size(
    kernel: Kernel, allocator: LookasideAllocator, name: str, new_size: int
) -> None:
    pointer = allocator.allocate(Layout(24)).pointer
    kernel.write(pointer, bytes(range(24)))
    image = bytes(allocator.lookaside)
    with pytest.raises(NotSupportedError) as error:
        getattr(allocator, name)(pointer, Layout(24), Layout(new_size))
    assert str(error.value) == "Not supported"
    assert kernel.read(pointer, 24) == bytes(range(24))
    assert bytes(allocator.lookaside) == image


# --- before init, after destroy ----------------------------------------------------------


USES: dict[str, Callable[[LookasideAllocator], object]] = {
    "alloc": lambda a: a.alloc(),
    "free": lambda a: a.free(0x1000),
    "allocate": lambda a: a.allocate(Layout(24)),
    "deallocate": lambda a: a.deallocate(0x1000, Layout(24)),
    "box": lambda a: a.box(bytes(24)),
    "layout": lambda a: a.layout,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("destroyed", [False, True])
def test_without_init_nothing_can_be_used(kernel: Kernel, use: str, destroyed: bool) -> None:
    allocator = LookasideAllocator(kernel)
    if destroyed:
        allocator.init(24, 0)
        allocator.destroy()
    image = bytes(allocator.lookaside)
    with pytest.raises(LookasideSimError, match=r"not initialized|was destroyed"):
        USES[use](allocator)
    assert bytes(allocator.lookaside) == image
    assert kernel.bugcheck is None


def test_destroy_deletes_and_may_be_repeated(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    allocator.free(allocator.alloc())
    allocator.destroy()
    assert not allocator.lookaside.is_active
    assert kernel.lookaside_lists == []
    assert kernel.pool.usage(b"allc").outstanding == 0
    allocator.destroy()
    assert kernel.bugcheck is None


def test_destroy_before_init_does_nothing(kernel: Kernel) -> None:
    LookasideAllocator(kernel).destroy()
    assert kernel.bugcheck is None


def test_a_destroyed_allocator_can_be_initialized_again(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    allocator.destroy()
    allocator.init(100, PoolType.PagedPool, b"agin")
    assert allocator.allocate(Layout(100)).layout.size == 100
    assert kernel.lookaside_lists == [allocator.lookaside]


def test_leaving_the_context_destroys(kernel: Kernel) -> None:
    with LookasideAllocator(kernel) as allocator:
        allocator.init(24, 0, b"with")
        allocator.free(allocator.alloc())
    assert kernel.pool.usage(b"with").outstanding == 0
    assert kernel.lookaside_lists == []


def test_leaving_after_an_explicit_destroy_is_safe(kernel: Kernel) -> None:
    with LookasideAllocator(kernel) as allocator:
        allocator.init(24, 0)
        allocator.destroy()
    assert kernel.bugcheck is None


def test_leaving_after_a_stop_keeps_the_stop(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    with pytest.raises(BugCheck) as stop, allocator:
        kernel.read(nowhere(kernel), 1)
    assert stop.value is kernel.bugcheck
    assert allocator.lookaside.is_active


def test_two_allocators_are_two_lists(kernel: Kernel) -> None:
    first, second = LookasideAllocator(kernel), LookasideAllocator(kernel)
    first.init(24, 0)
    second.init(24, 0)
    pointer = first.alloc()
    first.free(pointer)
    assert second.alloc() != pointer
    assert kernel.lookaside_lists == [first.lookaside, second.lookaside]

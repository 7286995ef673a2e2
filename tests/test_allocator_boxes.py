"""Boxes: values in the memory of an allocator."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    Box,
    BugCheck,
    Kernel,
    LayoutError,
    LookasideAllocator,
    LookasideSimError,
)
from tests.helpers import counters, nowhere

VALUE = bytes(range(24))


def test_a_box_holds_its_value_and_gives_it_back(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    with allocator.box(VALUE) as box:
        pointer = box.pointer
        assert box.value == kernel.read(pointer, 24) == VALUE
        kernel.write(pointer, b"new")
        assert box.value == b"new" + VALUE[3:]
    assert counters(allocator.lookaside) == (1, 1, 1, 0)
    assert allocator.alloc() == pointer


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_box_takes_any_bytes(
    allocator: LookasideAllocator, kind: Callable[[bytes], bytes]
) -> None:
    assert allocator.box(kind(VALUE)).value == VALUE


@pytest.mark.parametrize("value", [b"", VALUE[:-1], VALUE + b"x"])
def test_a_value_of_another_size_is_refused(
    allocator: LookasideAllocator, value: bytes
) -> None:
    image = bytes(allocator.lookaside)
    with pytest.raises(LayoutError):
        allocator.box(value)
    assert bytes(allocator.lookaside) == image


@pytest.mark.parametrize("value", ["text", 24, None])
def test_a_value_of_another_type_is_refused(
    allocator: LookasideAllocator, value: object
) -> None:
    image = bytes(allocator.lookaside)
    with pytest.raises(TypeError):
        allocator.box(value)  # type: ignore[arg-type]
    assert bytes(allocator.lookaside) == image


def test_closing_twice_frees_once(allocator: LookasideAllocator) -> None:
    box = allocator.box(VALUE)
    box.close()
    box.close()
    assert allocator.lookaside.total_frees == 1


def test_into_raw_lets_go_and_from_raw_takes_over(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    with allocator.box(VALUE) as box:
        pointer = box.into_raw()
    assert allocator.lookaside.total_frees == 0
    assert kernel.read(pointer, 24) == VALUE
    with Box.from_raw(pointer, allocator) as again:
        assert (again.pointer, again.value) == (pointer, VALUE)
    assert allocator.lookaside.total_frees == 1


@pytest.mark.parametrize("emptied_by", ["close", "into_raw"])
def test_an_empty_box_has_nothing(allocator: LookasideAllocator, emptied_by: str) -> None:
    box = allocator.box(VALUE)
    getattr(box, emptied_by)()
    for use in (lambda: box.pointer, lambda: box.value, box.into_raw):
        with pytest.raises(LookasideSimError, match="empty"):
            use()


def test_an_exception_in_the_body_gives_the_memory_back(
    allocator: LookasideAllocator,
) -> None:
    with pytest.raises(KeyError), allocator.box(VALUE):
        raise KeyError("body")
    assert allocator.lookaside.total_frees == 1


def test_leaving_a_box_after_a_stop_keeps_the_stop(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    with pytest.raises(BugCheck) as stop, allocator.box(VALUE):
        kernel.read(nowhere(kernel), 1)
    assert stop.value is kernel.bugcheck
    assert allocator.lookaside.total_frees == 0


def test_a_box_outliving_its_allocator_keeps_its_memory(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    box = allocator.box(VALUE)
    allocator.destroy()
    with pytest.raises(LookasideSimError, match=r"not initialized|was destroyed"):
        box.close()
    assert kernel.pool.usage(b"allc").outstanding == 1
    assert kernel.read(box.pointer, 24) == VALUE


def test_the_memory_of_a_value_is_overwritten_by_the_link(
    kernel: Kernel, allocator: LookasideAllocator
) -> None:
    box = allocator.box(VALUE)
    pointer = box.pointer
    box.close()
    width = kernel.arch.pointer_size
    assert kernel.read(pointer, 24) == bytes(width) + VALUE[width:]

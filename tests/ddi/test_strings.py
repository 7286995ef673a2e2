"""Counted strings and object attributes."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, Kernel, ddi
from tests.ddi.helpers import memory


def string(text: str | int = 0) -> object:
    made = ddi.variable(ddi.UNICODE_STRING)
    ddi.RtlInitUnicodeString(made, text)
    return made


def with_room(kernel: Kernel, size: int) -> object:
    made = ddi.variable(ddi.UNICODE_STRING)
    ddi.RtlInitEmptyUnicodeString(made, memory(kernel), size)
    return made


def test_a_literal_and_a_text_in_memory(current: Kernel) -> None:
    made = ddi.variable(ddi.UNICODE_STRING)
    ddi.RtlInitUnicodeString(made, "\\Device\\Null")
    assert (made.Length, made.MaximumLength) == (24, 26)
    assert ddi.text_of(made) == "\\Device\\Null"
    block = memory(current, contents=b"a\0b\0\0\0c\0")
    ddi.RtlInitUnicodeString(made, block)
    assert (made.Buffer, ddi.text_of(made)) == (block, "ab")
    ddi.RtlInitUnicodeString(made, 0)
    assert (made.Length, made.MaximumLength, made.Buffer) == (0, 0, 0)


def test_copying_and_appending(current: Kernel) -> None:
    target = with_room(current, 10)
    ddi.RtlCopyUnicodeString(target, string("abc"))
    assert ddi.RtlAppendUnicodeStringToString(target, string("de")) == 0
    assert ddi.RtlAppendUnicodeToString(target, "f") == ddi.STATUS_BUFFER_TOO_SMALL
    assert ddi.text_of(target) == "abcde"
    ddi.RtlCopyUnicodeString(target, 0)
    assert ddi.RtlAppendUnicodeToString(target, memory(current, contents=b"x\0")) == 0
    assert ddi.RtlAppendUnicodeToString(target, 0) == 0
    assert ddi.text_of(target) == "x"
    ddi.RtlCopyUnicodeString(target, string("longer than it"))
    assert ddi.text_of(target) == "longe"


def test_comparing(current: Kernel) -> None:
    one, other = string("Abc"), string("aBcd")
    assert ddi.RtlCompareUnicodeString(one, other, True) < 0
    assert ddi.RtlCompareUnicodeString(other, one, False) == 32
    assert ddi.RtlPrefixUnicodeString(one, other, True)
    assert not ddi.RtlPrefixUnicodeString(one, other, False)
    assert not ddi.RtlEqualUnicodeString(one, other, True)
    assert ddi.RtlEqualUnicodeString(one, string("aBC"), True)


def test_allocated_strings_are_freed(current: Kernel) -> None:
    copy = ddi.variable(ddi.UNICODE_STRING)
    before = current.pool.rows()
    assert ddi.RtlDuplicateUnicodeString(1, string("name"), copy) == 0
    assert (ddi.text_of(copy), copy.MaximumLength) == ("name", 10)
    ddi.RtlFreeUnicodeString(copy)
    ddi.RtlFreeUnicodeString(copy)
    assert ddi.RtlUpcaseUnicodeString(copy, string("näme"), True) == 0
    assert ddi.text_of(copy) == "NÄME"
    ddi.RtlFreeUnicodeString(copy)
    narrow = ddi.variable(ddi.ANSI_STRING)
    ddi.RtlInitAnsiString(narrow, "plain")
    assert ddi.RtlAnsiStringToUnicodeString(copy, narrow, True) == 0
    assert (ddi.text_of(copy), copy.MaximumLength) == ("plain", 12)
    assert ddi.RtlUnicodeStringToAnsiString(narrow, copy, True) == 0
    assert current.read(narrow.Buffer, 6) == b"plain\0"
    ddi.RtlFreeAnsiString(narrow)
    ddi.RtlFreeUnicodeString(copy)
    (row,) = (row for tag, row in current.pool.rows().items() if tag not in before)
    assert (row.paged_allocs, row.paged_frees) == (4, 4)


def test_no_room_and_no_memory() -> None:
    with Kernel(paged_pool_bytes=0) as kernel:
        copy = with_room(kernel, 4)
        assert ddi.RtlUpcaseUnicodeString(copy, string("abc"), False) == (
            ddi.STATUS_BUFFER_OVERFLOW
        )
        assert ddi.RtlUpcaseUnicodeString(copy, string("ab"), False) == 0
        assert ddi.text_of(copy) == "AB"
        assert ddi.RtlUpcaseUnicodeString(copy, string("ab"), True) == ddi.STATUS_NO_MEMORY
        assert ddi.RtlDuplicateUnicodeString(0, string("ab"), copy) == ddi.STATUS_NO_MEMORY


def test_object_attributes(current: Kernel) -> None:
    attributes, name = ddi.variable(ddi.OBJECT_ATTRIBUTES), string("\\Name")
    ddi.InitializeObjectAttributes(attributes, name, ddi.OBJ_KERNEL_HANDLE, 8, 0)
    assert attributes.Length == ddi.sizeof(ddi.OBJECT_ATTRIBUTES)
    assert (attributes.ObjectName, attributes.RootDirectory, attributes.Attributes) == (
        name,
        8,
        0x200,
    )


def test_case_is_looked_up_at_passive_level(current: Kernel) -> None:
    one = string("a")
    with current.raise_irql(1), pytest.raises(BugCheck, match="PASSIVE_LEVEL"):
        ddi.RtlEqualUnicodeString(one, one, True)


def test_variables_lie_in_the_data_of_the_running_driver(current: Kernel) -> None:
    driver = current.load_driver("a.sys")
    with driver:
        count = ddi.variable(ddi.ULONG, b"\x07")
        items = ddi.variable(ddi.USHORT * 3)
    assert driver.holds(count)
    assert ddi.InterlockedIncrement(count) == 8
    items[2] = 5
    assert list(items) == [0, 0, 5]
    assert not driver.holds(ddi.variable(ddi.ULONG))
    with pytest.raises(TypeError, match="give a type"):
        ddi.variable(4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give at most 4"):
        ddi.variable(ddi.ULONG, b"12345")
    driver.unload()
    with pytest.raises(BugCheck):
        ddi.InterlockedIncrement(count)

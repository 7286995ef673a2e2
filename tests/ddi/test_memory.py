"""Filling, copying and comparing memory."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, ddi
from tests.ddi.helpers import memory


def test_filling_copying_and_comparing(current: Kernel) -> None:
    one, other = memory(current), memory(current)
    ddi.RtlFillMemory(one, 8, 0x1AB)
    ddi.RtlCopyMemory(other, one, 6)
    assert current.read(other, 8) == b"\xab" * 6 + b"\0\0"
    assert ddi.RtlCompareMemory(one, other, 8) == 6
    assert ddi.RtlCompareMemory(one, other, 6) == 6
    assert ddi.RtlEqualMemory(one, other, 6)
    assert not ddi.RtlEqualMemory(one, other, 7)
    ddi.RtlZeroMemory(one, 4)
    assert current.read(one, 8) == b"\0" * 4 + b"\xab" * 4


def test_overlapping_ranges(current: Kernel) -> None:
    block = memory(current, contents=b"abcdef")
    ddi.RtlMoveMemory(block + 1, block, 5)
    assert current.read(block, 6) == b"aabcde"


def test_constants_of_the_program(current: Kernel) -> None:
    block = memory(current)
    ddi.RtlCopyMemory(block, b"word", 4)
    assert ddi.RtlEqualMemory(block, b"word", 4)
    with pytest.raises(ValueError, match="a constant of 4 bytes: give 5 or more"):
        ddi.RtlCopyMemory(block, b"word", 5)


def test_nothing_is_no_touch(current: Kernel) -> None:
    ddi.RtlZeroMemory(0, 0)
    ddi.RtlCopyMemory(0, 0, 0)
    assert ddi.RtlCompareMemory(0, 0, 0) == 0
    assert current.bugcheck is None


def test_a_fault_is_the_drivers_own(current: Kernel) -> None:
    block = memory(current)
    with current.raise_irql(2), pytest.raises(BugCheck) as stop:
        ddi.RtlCopyMemory(block, 0x10, 4)
    assert stop.value.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL

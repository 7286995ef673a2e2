"""Interlocked operations, on memory and on references, with their signs."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, ddi
from tests.ddi.helpers import memory


def test_longs_go_round(current: Kernel) -> None:
    place = memory(current, contents=b"\xff\xff\xff\x7f")
    assert ddi.InterlockedIncrement(place) == -(1 << 31)
    assert ddi.InterlockedDecrement(place) == (1 << 31) - 1
    assert ddi.InterlockedAdd(place, 2) == 1 - (1 << 31)
    assert ddi.InterlockedExchangeAdd(place, -1) == 1 - (1 << 31)
    assert ddi.InterlockedExchange(place, 0xFFFF_FFFF) == -(1 << 31)
    assert current.read(place, 8) == b"\xff\xff\xff\xff\0\0\0\0"


def test_a_reference_is_a_variable_too(current: Kernel) -> None:
    count = ddi.Ref()
    assert ddi.InterlockedIncrement(count) == 1
    assert ddi.InterlockedDecrement(count) == 0
    assert ddi.InterlockedDecrement(count) == -1 == count.value
    assert ddi.InterlockedCompareExchange(count, 7, -1) == -1
    assert ddi.InterlockedCompareExchange(count, 8, -1) == 7 == count.value


def test_bits(current: Kernel) -> None:
    flags = ddi.Ref(0b1100)
    assert ddi.InterlockedAnd(flags, 0b0110) == 0b1100
    assert ddi.InterlockedOr(flags, 1) == 0b0100
    assert ddi.InterlockedXor(flags, 0b0001) == 0b0101
    assert ddi.InterlockedBitTestAndSet(flags, 0) == 0
    assert ddi.InterlockedBitTestAndSet(flags, 0) == 1
    assert ddi.InterlockedBitTestAndReset(flags, 31) == 0
    assert ddi.InterlockedBitTestAndReset(flags, 2) == 1
    assert flags.value == 1


def test_64_bits_and_pointers(current: Kernel) -> None:
    place = memory(current)
    assert ddi.InterlockedDecrement64(place) == -1
    assert ddi.InterlockedIncrement64(place) == 0
    assert ddi.InterlockedAdd64(place, 1 << 40) == 1 << 40
    assert ddi.InterlockedExchangeAdd64(place, 1) == 1 << 40
    assert ddi.InterlockedCompareExchange64(place, 5, (1 << 40) + 1) == (1 << 40) + 1
    assert ddi.InterlockedExchange64(place, 0) == 5
    assert ddi.InterlockedExchangePointer(place, place) == 0
    assert ddi.InterlockedCompareExchangePointer(place, 0, 1) == place
    assert ddi.InterlockedCompareExchangePointer(place, 0, place) == place
    assert current.read(place, 8) == bytes(8)


def test_more_than_a_long_holds(current: Kernel) -> None:
    count = ddi.Ref(3)
    with pytest.raises(ValueError, match="Value 4294967296: give 32 bits"):
        ddi.InterlockedAdd(count, 1 << 32)
    assert count.value == 3

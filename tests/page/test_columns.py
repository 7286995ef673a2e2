"""Columns of numbers come back as they were put in."""

from __future__ import annotations

import base64
import zlib

from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim.page.columns import Column, pack


def numbers(data: bytes) -> list[int]:
    """What a column says."""
    found, whole, shift = [], 0, 0
    for byte in data:
        whole |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            found.append(-(whole + 1) // 2 if whole & 1 else whole // 2)
            whole = shift = 0
    return found


@given(st.lists(st.integers(-(1 << 52), 1 << 52)))
def test_numbers_come_back(values: list[int]) -> None:
    plain, steps = Column(), Column()
    for value in values:
        plain.put(value)
        steps.put_step_to(value)
    assert numbers(bytes(plain)) == values
    told = numbers(bytes(steps))
    assert [sum(told[: end + 1]) for end in range(len(told))] == values
    assert zlib.decompress(base64.b64decode(plain.packed()), -15) == bytes(plain)


def test_small_numbers_take_a_byte_and_packing_is_shorter() -> None:
    column = Column()
    for value in (0, -1, 63, -64):
        column.put(value)
    assert len(bytes(column)) == 4
    assert len(pack(bytes(10_000))) < 100

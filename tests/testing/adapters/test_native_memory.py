from __future__ import annotations

import ctypes

import pytest

from lookaside_sim.testing import Backend
from lookaside_sim.testing.adapters.native_memory import NativeMemory


def given(memory: NativeMemory, size: int) -> int:
    native = memory.give(size)
    assert native is not None
    return native


def test_addresses_are_translated_both_ways_and_aligned_alike() -> None:
    backend = Backend(32)
    memory = NativeMemory(backend)
    for size in (1, 32, 300, 5000):
        native = given(memory, size)
        address = memory.to_backend(native)
        assert memory.to_native(address) == native
        assert memory.to_backend(native + size - 1) == address + size - 1
        assert memory.to_native(address + size - 1) == native + size - 1
        assert native % 256 == address % 256
    assert backend.violation is None


def test_memory_elsewhere_has_addresses_that_are_the_same_in_every_run() -> None:
    memory = NativeMemory(Backend(32))
    first = memory.to_backend(0x7FFF_1234_5678)
    assert first == NativeMemory(Backend(32)).to_backend(0x7AAA_1234_5678)
    assert memory.to_backend(0x7FFF_1234_5688) == first + 16
    assert memory.to_native(first + 16) == 0x7FFF_1234_5688
    assert memory.to_backend(0xDDDD_DDDD_DDDD_DDDD) == 0x7DAD_0000_0DDD


@pytest.mark.parametrize(
    ("offset", "released", "message"),
    [
        (-1, False, "wrote into memory beside a block of 32 bytes"),
        (32, False, "wrote into memory beside a block of 32 bytes"),
        (5, True, "wrote into a block of 32 bytes after it gave it back, in byte 5"),
        (40, True, "wrote into memory beside a block of 32 bytes that it gave back"),
    ],
)
def test_what_is_written_wrongly_is_seen_at_the_next_look(
    offset: int, released: bool, message: str
) -> None:
    backend = Backend(32)
    memory = NativeMemory(backend)
    native = given(memory, 32)
    if released:
        memory.take(native)
        assert ctypes.string_at(native, 32) == b"\xdd" * 32
    ctypes.memset(native + offset, 1, 1)
    memory.look()
    assert backend.violation == message


def test_the_quarantine_lets_the_oldest_go_and_looks_at_it_once_more() -> None:
    backend = Backend(32)
    memory = NativeMemory(backend)
    first = given(memory, 8)
    memory.take(first)
    blocks = [given(memory, 8) for _ in range(300)]
    ctypes.memset(first, 0, 1)
    for native in blocks:
        memory.take(native)
    memory.look()
    assert backend.violation == "wrote into a block of 8 bytes after it gave it back, in byte 0"


def test_null_may_be_released_and_anything_else_may_not() -> None:
    backend = Backend(32)
    memory = NativeMemory(backend)
    memory.take(None)
    assert backend.violation is None
    memory.take(12345)
    assert backend.violation is not None
    assert "no live block" in backend.violation
    memory.close()

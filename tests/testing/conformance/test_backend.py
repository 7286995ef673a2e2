from __future__ import annotations

import pytest

from lookaside_sim.testing import Backend
from lookaside_sim.testing.conformance.blocks import pattern


def allocated(backend: Backend, size: int) -> int:
    address = backend.allocate(size)
    assert address is not None
    return address


def test_blocks_are_aligned_and_apart() -> None:
    backend = Backend(32)
    addresses = [allocated(backend, size) for size in (1, 32, 70_000, 32)]
    assert [address % 32 for address in addresses] == [16] * 4
    assert addresses[3] - addresses[2] > 70_000
    assert backend.read(addresses[2] + 69_999, 1)
    assert backend.violation is None


def test_addresses_are_used_again_only_on_request() -> None:
    for reuse in (False, True):
        backend = Backend(32, reuse=reuse)
        first = allocated(backend, 32)
        backend.free(first)
        assert (allocated(backend, 16) == first) is reuse


def test_requests_are_refused_as_often_as_asked() -> None:
    backend = Backend(32)
    backend.refuse.plan(2)
    assert [backend.allocate(8) is None for _ in range(3)] == [True, True, False]
    assert (backend.requests, backend.refusals) == (3, 2)


@pytest.mark.parametrize("size", [0, -1, "8"])
def test_a_size_that_is_none_is_a_violation(size: int) -> None:
    backend = Backend(32)
    assert backend.allocate(size) is None
    assert backend.violation is not None
    assert backend.violation.startswith("asked the backend for")


def test_the_first_violation_is_kept() -> None:
    backend = Backend(32)
    backend.free(3)
    backend.free(5)
    assert backend.violation == "gave 0x3 to the backend, which is no live block of it"


def test_what_is_no_address_is_a_violation() -> None:
    backend = Backend(32)
    backend.free("3")  # type: ignore[arg-type]
    assert backend.violation == "gave '3' to the backend, which is no live block of it"


@pytest.mark.parametrize("offset", [-1, 30, 100_000])
def test_touching_what_is_not_owned_is_a_violation(offset: int) -> None:
    reading, writing = Backend(32), Backend(32)
    reading.read(allocated(reading, 32) + offset, 4)
    writing.write(allocated(writing, 32) + offset, b"four")
    for backend in (reading, writing):
        assert backend.violation is not None
        assert "outside of its memory" in backend.violation


def test_a_live_entry_has_its_owners_bytes_and_may_not_be_written() -> None:
    backend = Backend(8)
    block = allocated(backend, 32)
    backend.write(block + 8, b"12345678")
    for entry in (block + 8, block + 16):
        assert not isinstance(backend.hand_out(entry, 8), str)
    assert backend.read(block + 8, 8) == pattern(block + 8, 8)
    backend.write(block + 24, b"x")
    assert backend.violation is None
    backend.write(block + 15, b"ab")
    assert backend.violation is not None
    assert "into the live entry" in backend.violation


def test_entries_must_lie_in_a_block_apart_and_aligned() -> None:
    backend = Backend(8)
    block = allocated(backend, 20)
    found = backend.hand_out(block, 8)
    assert not isinstance(found, str)
    for entry, problem in (
        (block + 1, "not aligned"),
        (block, "although it is live"),
        (block + 16, "runs over the end"),
        (block + 1024, "in no live block"),
    ):
        answer = backend.hand_out(entry, 8)
        assert isinstance(answer, str)
        assert problem in answer
    overlapping = backend.hand_out(block + 4, 4)
    assert isinstance(overlapping, str)
    assert "overlaps" in overlapping
    backend.take_back(found, block)
    assert not isinstance(backend.hand_out(block + 4, 4), str)


def test_a_block_may_not_go_while_an_entry_lives() -> None:
    backend = Backend(8)
    block = allocated(backend, 8)
    backend.hand_out(block, 8)
    backend.free(block)
    assert backend.violation is not None
    assert "is live" in backend.violation

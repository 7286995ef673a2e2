"""The one door into the pools: who is heard, priorities, and what is not there until wanted."""

from __future__ import annotations

from typing import cast

import pytest

from lookaside_sim import (
    Kernel,
    NtStatusError,
    PoolManager,
    PoolType,
    Verifier,
    VerifierFlags,
    ddi,
)
from lookaside_sim.machine.calls import Observer
from lookaside_sim.nt.layouts import PAGE_SIZE
from tests.helpers import allocated
from tests.pool.helpers import RAISE, TAG

NONPAGED = PoolType.NonPagedPool


class Recorder:
    """Hears of pool calls; whatever else happens is no concern of these tests."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def pool_allocated(
        self, address: int | None, pool_type: PoolType, size: int, tag: object
    ) -> None:
        self.heard.append((address, pool_type, size, tag))

    def pool_freed(self, address: int) -> None:
        self.heard.append(address)


def test_the_plain_pool_stays_until_somebody_wants_more() -> None:
    kernel = Kernel()
    assert type(kernel.pool) is PoolManager

    assert kernel.manage_pool() is kernel.pool


def test_low_priority_fails_first() -> None:
    kernel = Kernel(nonpaged_pool_bytes=32 * 4096)
    with kernel:
        for _ in range(31):
            assert ddi.ExAllocatePoolWithTag(NONPAGED, 4096, b"Fill")
        low, high = ddi.LowPoolPriority, ddi.HighPoolPriority
        assert ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", low) == 0
        assert ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", high)
        with pytest.raises(ValueError, match="priority"):
            ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", 3)


class Heard:
    """An observer's notes of pool calls."""

    def __init__(self) -> None:
        self.calls: list[int | None] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append(arguments[0])


def test_observers_hear_of_priority_and_special_requests() -> None:
    kernel = Kernel()
    heard = Heard()
    kernel.observe(heard)  # type: ignore[arg-type]
    with kernel:
        one = ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", ddi.HighPoolPriority)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL
        two = ddi.ExAllocatePool2(flags, 100, b"Test")
    assert heard.calls == [one, two]


def test_an_observer_of_a_machine_with_a_verifier() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["my.sys"]), nonpaged_pool_bytes=1 << 20)
    heard = Heard()
    kernel.observe(heard)  # type: ignore[arg-type]
    with kernel:
        one = ddi.ExAllocatePoolWithTagPriority(NONPAGED, 9, b"Test", ddi.LowPoolPriority)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL
        two = ddi.ExAllocatePool2(flags, 100, b"Test")
        assert heard.calls == [one, two]
        kernel.observe(None)
        ddi.ExFreePool(one)
        ddi.ExFreePool(two)
        for _ in range(300):
            last = ddi.ExAllocatePoolWithTag(NONPAGED, 4096, b"Test")
    assert last == 0
    plain = Kernel(verifier=Verifier(VerifierFlags.AUTOMATIC_CHECKS, drivers=["my.sys"]))
    with plain:
        assert ddi.ExAllocatePool2(flags, 100, b"Test")
    with pytest.raises(TypeError):
        plain.pool.free_block("x")  # type: ignore[arg-type]


def test_an_observer_hears_each_call_that_returned() -> None:
    kernel = Kernel(nonpaged_pool_bytes=PAGE_SIZE)
    recorder = Recorder()
    kernel.observe(cast(Observer, recorder))
    address = allocated(kernel, 4064)
    assert kernel.pool.allocate(0, 1, b"More") is None
    with pytest.raises(NtStatusError):
        kernel.pool.allocate(RAISE, 1, b"More")
    kernel.pool.free(address)
    kernel.observe(None)
    kernel.pool.free(allocated(kernel, 1))
    assert recorder.heard == [
        (address, PoolType.NonPagedPool, 4064, TAG),
        (None, PoolType.NonPagedPool, 1, b"More"),
        (None, RAISE, 1, b"More"),
        address,
    ]

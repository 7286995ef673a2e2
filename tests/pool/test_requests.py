"""The one door into the pools: who is heard, priorities, and what is not there until wanted."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Kernel,
    NtStatusError,
    PoolManager,
    PoolTag,
    PoolType,
    Verifier,
    VerifierFlags,
    ddi,
)
from lookaside_sim.machine.calls import Call, Outcome
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.calls import AllocateBlock, FreeBlock
from tests.helpers import allocated
from tests.pool.helpers import RAISE, TAG

NONPAGED = PoolType.NonPagedPool


def results(calls: list[Call]) -> list[object]:
    """What the allocations among some calls returned, and what the frees freed."""
    return [
        call.result if isinstance(call, AllocateBlock) else call.address
        for call in calls
        if isinstance(call, (AllocateBlock, FreeBlock)) and call.is_over
    ]


def test_the_plain_pool_stays_until_somebody_wants_more() -> None:
    kernel = Kernel()
    assert type(kernel.pool) is PoolManager

    assert kernel.pool is kernel.pool


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


def test_listeners_hear_of_priority_and_special_requests() -> None:
    kernel = Kernel()
    heard: list[Call] = []
    stop = kernel.listen(heard.append)
    with kernel:
        one = ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", ddi.HighPoolPriority)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL
        two = ddi.ExAllocatePool2(flags, 100, b"Test")
    assert results(heard[1::2]) == [one, two]
    stop()


def test_a_listener_of_a_machine_with_a_verifier() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["my.sys"]), nonpaged_pool_bytes=1 << 20)
    heard: list[Call] = []
    stop = kernel.listen(heard.append)
    with kernel:
        one = ddi.ExAllocatePoolWithTagPriority(NONPAGED, 9, b"Test", ddi.LowPoolPriority)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL
        two = ddi.ExAllocatePool2(flags, 100, b"Test")
        assert results(heard[1::2]) == [one, two]
        stop()
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


def test_a_listener_hears_each_call_and_how_it_ended() -> None:
    kernel = Kernel(nonpaged_pool_bytes=PAGE_SIZE)
    heard: list[Call] = []
    stop = kernel.listen(heard.append)
    address = allocated(kernel, 4064)
    assert kernel.pool.allocate(0, 1, b"More") is None
    with pytest.raises(NtStatusError):
        kernel.pool.allocate(RAISE, 1, b"More")
    kernel.pool.free(address)
    stop()
    kernel.pool.free(allocated(kernel, 1))
    allocations = [each for each in heard[1::2] if isinstance(each, AllocateBlock)]
    assert [(each.pool_type, each.size, each.tag) for each in allocations] == [
        (PoolType.NonPagedPool, 4064, PoolTag(TAG)),
        (PoolType.NonPagedPool, 1, PoolTag(b"More")),
        (RAISE, 1, PoolTag(b"More")),
    ]
    assert [each.outcome for each in allocations] == [
        Outcome.RETURNED,
        Outcome.REFUSED,
        Outcome.RAISED,
    ]
    assert results(heard[1::2]) == [address, None, None, address]

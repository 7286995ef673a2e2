"""The one door into the pools: who is heard, priorities, and what is not there until wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from lookaside_sim.pool.plans import PoolPlan
from lookaside_sim.pool.requests import Layer, Order
from tests.helpers import allocated, new_list
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


# --- the layers --------------------------------------------------------------------------


class Passed(Layer):
    """Takes note of what passes."""

    __slots__ = ("notes", "order")

    def __init__(self, order: Order, notes: list[Order]) -> None:
        self.order = order  # type: ignore[misc]
        self.notes = notes

    def allocate(self, plan: PoolPlan) -> int:
        """Take a note, and hand on."""
        self.notes.append(self.order)
        return self.below.allocate(plan)

    def free(self, address: int, tag: int = 0) -> None:
        """Take a note, and hand on."""
        self.notes.append(self.order)
        self.below.free(address, tag)


@given(st.lists(st.sampled_from(Order), max_size=30))
def test_layers_come_and_go_in_any_order(toggled: list[Order]) -> None:
    kernel = Kernel()
    requests = kernel.pool.requests
    plain = requests.top
    notes: list[Order] = []
    layers = {order: Passed(order, notes) for order in Order}
    there: set[Order] = set()
    for order in toggled:
        if order in there:
            requests.take_off(layers[order])
        else:
            requests.put(layers[order])
            with pytest.raises(ValueError, match="lies over the pool already"):
                requests.put(layers[order])
        there ^= {order}
        requests.take_off(Passed(order, notes))  # one that does not lie there
        notes.clear()
        address = requests.top.allocate(kernel.pool.plan(0, 16, TAG_NUMBER))
        assert notes == sorted(there)
        notes.clear()
        requests.top.free(address)
        assert notes == sorted(there)
        assert (requests.top is plain) == (not there)
    kernel.check()


TAG_NUMBER = int.from_bytes(TAG, "little")


def miss(kernel: Kernel, **settings: Any) -> int:
    """Allocate from an empty list; the second time the list has planned the request."""
    lookaside = new_list(kernel, **settings)
    first = lookaside.allocate()
    lookaside.allocate()
    return first or 0


EVERY_REQUEST: dict[str, tuple[Callable[[Kernel], int | None], int]] = {
    "plain": (lambda kernel: kernel.pool.allocate(0, 16, TAG), 1),
    "repeated": (lambda kernel: [kernel.pool.allocate(0, 16, TAG) for _ in "ab"].pop(), 2),
    "big": (lambda kernel: kernel.pool.allocate(1, 9000, TAG), 1),
    "priority": (lambda kernel: kernel.pool.allocate_with_priority(0, 16, TAG, 16), 1),
    "guarded": (lambda kernel: kernel.pool.allocate_with_priority(0, 16, TAG, 32 + 9), 1),
    "special": (lambda kernel: kernel.pool.allocate_special(0, 16, TAG), 1),
    "quota": (lambda kernel: kernel.quota.allocate(8, 16, TAG), 1),
    "ExAllocatePool": (lambda kernel: ddi.ExAllocatePool(0, 16), 1),
    "ExAllocatePool2": (lambda kernel: ddi.ExAllocatePool2(ddi.POOL_FLAG_PAGED, 16, TAG), 1),
    "ExAllocatePool2, quota": (
        lambda kernel: ddi.ExAllocatePool2(
            ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_USE_QUOTA, 16, TAG
        ),
        1,
    ),
    "ExAllocatePool2, special": (
        lambda kernel: ddi.ExAllocatePool2(
            ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL, 16, TAG
        ),
        1,
    ),
    "a list's misses": (miss, 2),
    "a list in a block": (lambda kernel: miss(kernel, address=allocated(kernel, 0x100)), 3),
    "IRP": (lambda kernel: ddi.IoAllocateIrp(1, False), 1),
    "MDL": (lambda kernel: ddi.IoAllocateMdl(0x1000, 0x1000), 1),
    "a driver's": (lambda kernel: kernel.load_driver("my.sys").allocate(0, 16, TAG), 1),
}


@pytest.mark.parametrize("listened_to", [False, True])
@pytest.mark.parametrize("kind", EVERY_REQUEST)
@pytest.mark.parametrize(
    "machine", [{}, {"verifier": Verifier.standard()}, {"sanitizer": True, "track_pool": True}]
)
def test_every_kind_of_request_passes_every_layer(
    machine: dict[str, Any], kind: str, listened_to: bool
) -> None:
    ask, expected = EVERY_REQUEST[kind]
    with Kernel(**machine) as kernel:
        if listened_to:
            kernel.listen(lambda call: None)
        notes: list[Order] = []
        # What the verifier's special pool serves goes no further.
        last = Order.LEDGER if "verifier" in machine else Order.PARKING
        passed = [order for order in Order if order <= last]
        for order in passed:
            kernel.pool.requests.put(Passed(order, notes))
        assert ask(kernel)
    assert notes == passed * expected

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import (
    Kernel,
    LookasideList,
    NtStatusError,
    PoolType,
    Verifier,
)
from lookaside_sim.testing import (
    FaultInjector,
)

TAG = b"tset"


def allocations(kernel: Kernel, count: int) -> list[bool]:
    return [
        kernel.pool.allocate(PoolType.NonPagedPool, 16, TAG) is not None for _ in range(count)
    ]


def test_the_chosen_request_is_refused() -> None:
    kernel = Kernel()
    faults = FaultInjector(kernel)
    allocations(kernel, 1)
    faults.fail(2)
    assert allocations(kernel, 3) == [True, False, True]
    assert (faults.requests, faults.refused) == (4, 1)


def test_the_next_requests_or_all_are_refused_until_cleared() -> None:
    kernel = Kernel()
    faults = FaultInjector(kernel)
    faults.fail_next(2)
    assert allocations(kernel, 3) == [False, False, True]
    faults.fail_all()
    assert allocations(kernel, 2) == [False, False]
    faults.clear()
    assert allocations(kernel, 1) == [True]


def test_suspending_nests_and_does_not_count() -> None:
    kernel = Kernel()
    faults = FaultInjector(kernel)
    faults.fail(1)
    with faults.suspend():
        with faults.suspend():
            assert allocations(kernel, 2) == [True, True]
        assert allocations(kernel, 1) == [True]
    assert faults.requests == 0
    assert allocations(kernel, 2) == [False, True]


def test_a_type_that_raises_raises() -> None:
    kernel = Kernel()
    FaultInjector(kernel).fail_all()
    with pytest.raises(NtStatusError, match="INSUFFICIENT_RESOURCES"):
        kernel.pool.allocate(PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE, 16, TAG)


def test_a_list_miss_is_refused_and_a_hit_is_not() -> None:
    kernel = Kernel()
    lookaside = LookasideList(kernel)
    lookaside.initialize(size=32, tag=TAG)
    entry = lookaside.allocate()
    lookaside.free(entry)
    faults = FaultInjector(kernel)
    faults.fail_all()
    assert lookaside.allocate() == entry
    assert lookaside.allocate() is None
    assert (lookaside.total_allocates, lookaside.allocate_misses) == (3, 2)
    assert faults.requests == 1


def test_removing_leaves_the_kernel_as_it_was() -> None:
    kernel = Kernel()
    kind = type(kernel.pool)
    faults = FaultInjector(kernel)
    faults.fail_all()
    faults.remove()
    assert type(kernel.pool) is kind
    assert allocations(kernel, 1) == [True]


@pytest.mark.parametrize("method", ["fail", "fail_next"])
def test_requests_count_from_one(method: str) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        getattr(FaultInjector(Kernel()), method)(0)


def load(kernel: Kernel) -> None:
    kernel.load_driver(f"driver{len(kernel.drivers.all)}.sys")


def verify(kernel: Kernel) -> None:
    if kernel.verification is None:
        kernel.enable_verifier(Verifier.standard())


def charge(kernel: Kernel) -> None:
    address = kernel.quota.allocate(int(PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE), 8, TAG)
    if address is not None:
        kernel.pool.free(address)


@settings(max_examples=60, deadline=None)
@given(
    arch=st.sampled_from(["x64", "x86"]),
    parked=st.booleans(),
    switches=st.lists(st.sampled_from([load, verify, charge, "off", "on"]), max_size=12),
)
def test_faults_outlive_every_other_switch(
    arch: str, parked: bool, switches: list[Callable[[Kernel], None] | str]
) -> None:
    kernel = Kernel(arch, small_pool_lists=parked, delayed_free=parked)
    faults: FaultInjector | None = FaultInjector(kernel)
    for switch in switches:
        if callable(switch):
            switch(kernel)
        elif faults is not None:
            faults.remove()
            faults = None
        else:
            faults = FaultInjector(kernel)
        if faults is not None:
            faults.fail_all()
        assert allocations(kernel, 2) == [faults is None] * 2
        if faults is not None:
            faults.clear()
            before = faults.requests
            assert allocations(kernel, 2) == [True, True]
            assert faults.requests == before + 2
    # Taking it off has taken nothing else off: blocks are known to whoever wants to know.
    if faults is not None:
        faults.remove()
    address = kernel.pool.allocate(0, 24, TAG)
    assert address is not None
    assert (kernel.ledger is not None) == any(each in (load, verify) for each in switches)
    assert kernel.ledger is None or address in kernel.ledger.live
    if kernel.verification is not None:
        assert kernel.verification.counters.allocations_failed == 0
    kernel.check()


def test_faults_survive_a_driver_that_is_loaded() -> None:
    kernel = Kernel()
    faults = FaultInjector(kernel)
    faults.fail_all()
    driver = kernel.load_driver("my.sys")
    assert driver.allocate(PoolType.NonPagedPool, 16, TAG) is None
    faults.remove()
    address = driver.allocate(PoolType.NonPagedPool, 16, TAG)
    assert kernel.ledger is not None
    assert address in kernel.ledger.live

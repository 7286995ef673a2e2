from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideAllocator,
    LookasideList,
    LookasideSimError,
    NtStatusError,
    PoolType,
    Verifier,
)
from lookaside_sim.testing import (
    FaultInjector,
    LeakError,
    fail_each_allocation,
    with_each_fault,
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


def three_blocks(kernel: Kernel, faults: FaultInjector) -> None:
    with faults.suspend():
        set_up = kernel.pool.allocate(PoolType.NonPagedPool, 8, TAG)
    blocks = []
    try:
        for _ in range(3):
            block = kernel.pool.allocate(PoolType.NonPagedPool, 16, TAG)
            if block is None:
                return
            blocks.append(block)
    finally:
        for block in [*blocks, set_up]:
            kernel.pool.free(block)


def test_each_allocation_fails_once_and_then_none() -> None:
    refused: list[int] = []

    def test(kernel: Kernel, faults: FaultInjector) -> None:
        three_blocks(kernel, faults)
        refused.append(faults.refused)

    assert fail_each_allocation(test) == 3
    assert refused == [1, 1, 1, 0]


def leaks_on_second(kernel: Kernel, faults: FaultInjector) -> None:
    first = kernel.pool.allocate(PoolType.NonPagedPool, 16, TAG)
    second = kernel.pool.allocate(PoolType.NonPagedPool, 16, TAG)
    if first is None or second is None:
        return
    kernel.pool.free(second)
    kernel.pool.free(first)


def test_a_leak_after_a_failure_is_found_and_placed() -> None:
    with pytest.raises(LeakError, match=r"test_faults\.py") as caught:
        fail_each_allocation(leaks_on_second)
    assert caught.value.__notes__ == ["allocation 1 was refused"]


def test_misuse_after_a_failure_is_found_even_when_the_test_hides_it() -> None:
    def test(kernel: Kernel, faults: FaultInjector) -> None:
        blocks = [kernel.pool.allocate(PoolType.NonPagedPool, 16, TAG) for _ in range(2)]
        try:
            for block in blocks:
                kernel.pool.free(block or blocks[0])
        except BugCheck:
            pass

    with pytest.raises(BugCheck) as caught:
        fail_each_allocation(test)
    assert caught.value.__notes__[0].endswith("was refused")


def test_expected_exceptions_answer_a_failure_and_nothing_else() -> None:
    def test(kernel: Kernel, faults: FaultInjector) -> None:
        with LookasideAllocator(kernel) as allocator:
            allocator.init(32, PoolType.NonPagedPool)
            with allocator.box(bytes(32)), allocator.box(bytes(32)):
                pass

    assert fail_each_allocation(test) == 2

    def wrong(kernel: Kernel, faults: FaultInjector) -> None:
        raise MemoryError("whatever happens")

    with pytest.raises(MemoryError) as caught:
        fail_each_allocation(wrong)
    assert caught.value.__notes__ == ["none of the 0 allocations was refused"]


def test_a_test_that_never_ends_is_given_up() -> None:
    runs: list[int] = []

    def grows(kernel: Kernel, faults: FaultInjector) -> None:
        runs.append(1)
        allocated = [kernel.pool.allocate(0, 16, TAG) for _ in range(len(runs) + 1)]
        for block in allocated:
            if block is not None:
                kernel.pool.free(block)

    with pytest.raises(AssertionError, match="same each time"):
        fail_each_allocation(grows, most_runs=5)


@with_each_fault
def test_the_decorator_runs_a_test_function(
    kernel: Kernel, faults: FaultInjector, tmp_path: object
) -> None:
    assert tmp_path is not None
    three_blocks(kernel, faults)


def test_the_decorator_reports_failures() -> None:
    with pytest.raises(LeakError):
        with_each_fault(leaks_on_second)()


def test_the_decorator_takes_kernel_settings() -> None:
    seen: list[tuple[str, int, bool]] = []

    @with_each_fault(arch="x86", processors=2, track_pool=True, most_runs=4)
    def test(kernel: Kernel, faults: FaultInjector) -> None:
        seen.append((kernel.arch.name, kernel.processors, kernel.ledger is not None))
        three_blocks(kernel, faults)

    test()
    assert seen == [("x86", 2, True)] * 4


def test_the_decorator_takes_a_maker_of_kernels() -> None:
    made: list[Kernel] = []

    def make() -> Kernel:
        made.append(Kernel("x86"))
        return made[-1]

    with_each_fault(make_kernel=make)(three_blocks)()
    assert len(made) == 4


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"colour": 1}, "colour"),
        (
            {"make_kernel": Kernel, "arch": "x86"},
            "make_kernel makes the kernel: leave out arch",
        ),
    ],
)
def test_wrong_settings_are_named_at_once(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        with_each_fault(**settings)  # type: ignore[call-overload]


@pytest.mark.parametrize("suspended", [False, True])
def test_a_test_that_allocates_nothing_is_an_error(suspended: bool) -> None:
    def test(kernel: Kernel, faults: FaultInjector) -> None:
        if suspended:
            with faults.suspend():
                kernel.pool.free(kernel.pool.allocate(0, 8, TAG))
        else:
            three_blocks(Kernel(), FaultInjector(Kernel()))

    with pytest.raises(LookasideSimError, match="no allocation was counted"):
        fail_each_allocation(test)


# --- whatever else lies over the pool ------------------------------------------------------


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

"""Each allocation refused in turn: what is asked of a run, what is said of those that fail."""

from __future__ import annotations

import re

import pytest

from lookaside_sim import (
    BugCheck,
    Kernel,
    LookasideAllocator,
    LookasideSimError,
    PoolType,
    ddi,
)
from lookaside_sim.testing import (
    FaultInjector,
    LeakError,
    fail_each_allocation,
    with_each_fault,
)

TAG = b"tset"


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
    with pytest.raises(LeakError, match=r"test_each_fault\.py") as caught:
        fail_each_allocation(leaks_on_second)
    first, summary = caught.value.__notes__
    assert re.fullmatch(
        r"allocation 1 \(16 bytes, tag tset, NonPagedPool, in leaks_on_second"
        r" \(test_each_fault\.py:\d+\)\) was refused",
        first,
    )
    lines = summary.splitlines()
    assert lines[0] == "2 of 3 runs failed:"
    assert lines[1].startswith(f"  {first}: LeakError: NonPagedPool tset block 0x")
    assert "allocation 2 (16 bytes" in lines[2]


def test_the_first_failure_may_be_the_last_run() -> None:
    with pytest.raises(LeakError) as caught:
        fail_each_allocation(leaks_on_second, stop_at_first=True)
    assert len(caught.value.__notes__) == 1


def test_a_refusal_names_its_list_or_its_routine() -> None:
    def test(kernel: Kernel, faults: FaultInjector) -> None:
        lookaside = kernel.lookaside_list("Items")
        lookaside.initialize(size=40, tag=b"Item")
        with kernel:
            item = lookaside.allocate()
            device = ddi.Ref()
            status = ddi.IoCreateDevice(0, 0, 0, 0, 0, False, device)
            assert item is not None, "the list is not asked for twice"
            assert status.is_success, "no device"
            lookaside.free(item)
            lookaside.delete()
            ddi.IoDeleteDevice(device.value)

    with pytest.raises(AssertionError) as caught:
        fail_each_allocation(test)
    summary = caught.value.__notes__[1]
    assert (
        "allocation 1 (40 bytes, tag Item, NonPagedPool, for the list 'Items' at 0x" in summary
    )
    assert "tag Devi, NonPagedPoolNx, for IoCreateDevice, in " in summary
    assert "AssertionError: no device" in summary


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

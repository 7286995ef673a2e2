from __future__ import annotations

import pytest

from lookaside_sim import Kernel, LookasideList, PoolTag, PoolType, ddi
from lookaside_sim.testing import LeakError, LeakTracker
from lookaside_sim.trace import record

TAG = b"tset"


def made(kernel: Kernel, name: str = "test!List") -> LookasideList:
    lookaside = LookasideList(kernel, name)
    lookaside.initialize(size=32, tag=TAG)
    return lookaside


def test_entries_blocks_and_lists_are_reported_with_their_place() -> None:
    kernel = Kernel()
    before = kernel.pool.allocate(PoolType.NonPagedPool, 8, TAG)
    with LeakTracker(kernel) as tracker:
        lookaside = made(kernel)
        entry = lookaside.allocate()
        block = kernel.pool.allocate(PoolType.PagedPool, 48, TAG)
        leaks = tracker.leaks()
        assert [leak.address for leak in leaks] == [entry, block, None]
        assert all("test_leaks.py:" in leak.where for leak in leaks)
        with pytest.raises(LeakError) as caught:
            tracker.check()
        text = str(caught.value)
        assert f"entry {entry:#x} of <LookasideList test!List" in text
        assert "PagedPool tset block" in text
        assert 'Lookaside "test!List" @' in text
        lookaside.free(entry)
        kernel.pool.free(block)
        lookaside.delete()
        tracker.check()
    kernel.pool.free(before)
    assert not kernel.machine.hooks.listening


def test_entries_left_on_a_list_deleted_unheard_are_found_by_the_pool() -> None:
    kernel = Kernel()
    tracker = LeakTracker(kernel)
    lookaside = made(kernel)
    assert lookaside.allocate() is not None
    lookaside.delete()
    (leak,) = tracker.leaks()
    assert str(leak) == "1 pool blocks were not freed"


def test_irps_and_mdls_that_were_freed_are_no_leaks_and_others_are() -> None:
    kernel = Kernel()
    with LeakTracker(kernel) as tracker, kernel:
        irp, mdl = ddi.IoAllocateIrp(2, False), ddi.IoAllocateMdl(0x1000, 0x2000)
        assert [leak.address for leak in tracker.leaks()] == [irp, mdl]
        assert "IRP" in str(tracker.leaks()[0])
        ddi.IoFreeIrp(irp)
        ddi.IoFreeMdl(mdl)
        tracker.check()
        lookaside = made(kernel)
        lookaside.free(lookaside.allocate())
        lookaside.delete()
        tracker.check()


def test_addresses_are_described_by_where_they_come_from() -> None:
    kernel = Kernel()
    with LeakTracker(kernel) as tracker:
        lookaside = made(kernel)
        entry = lookaside.allocate()
        assert entry is not None
        live = tracker.describe(entry)
        lookaside.free(entry)
        freed = tracker.describe(entry)
    assert live is not None
    assert "allocated at" in live
    assert "freed at" not in live
    assert freed is not None
    assert "freed at" in freed
    assert tracker.describe(1) is None
    assert tracker.lists == [lookaside]


def test_another_listener_hears_everything_too() -> None:
    def use(kernel: Kernel) -> None:
        lookaside = made(kernel)
        entry = lookaside.allocate()
        lookaside.free(entry)
        kernel.pool.free(kernel.pool.allocate(PoolType.NonPagedPool, 8, TAG))
        kernel.tick(2)
        kernel.raise_irql(2)
        lookaside.flush()
        lookaside.delete()

    alone, behind = Kernel(), Kernel()
    with record(alone) as expected:
        use(alone)
    with LeakTracker(behind), record(behind) as heard:
        use(behind)
    assert heard.events == expected.events


# --- memory that is gone -------------------------------------------------------------------


def test_lists_and_entries_of_an_unloaded_driver_are_reported() -> None:
    kernel = Kernel()
    with LeakTracker(kernel) as tracker:
        driver = kernel.load_driver("my.sys")
        lookaside = driver.lookaside_list("my!List")
        lookaside.initialize(size=32, tag=TAG)
        entry = lookaside.allocate()
        driver.unload()
        first, last = tracker.leaks()
    assert "not mapped> was not freed" in str(first)
    assert "not mapped> was not deleted, and its memory is gone, from" in str(last)
    assert entry is not None
    assert tracker.describe(entry) is not None
    text = tracker.report([first, last])
    assert f'Lookaside "my!List" @ 0x{lookaside.address:016x}  not mapped' in text
    assert kernel.bugcheck is None


@pytest.mark.parametrize("size", [0x100, 64 * 4096])
def test_a_list_in_a_freed_block_is_reported(size: int) -> None:
    kernel = Kernel()
    with LeakTracker(kernel) as tracker:
        block = kernel.pool.allocate(PoolType.NonPagedPool, size, b"DExt")
        lookaside = LookasideList(kernel, "my!List", block)
        lookaside.initialize(size=32, tag=TAG)
        lookaside.free(lookaside.allocate())
        kernel.pool.free(block)
        with pytest.raises(LeakError, match="my!List"):
            tracker.check()
    assert kernel.bugcheck is None


def test_a_list_whose_own_routine_frees_its_memory() -> None:
    kernel = Kernel()
    block = kernel.pool.allocate(PoolType.NonPagedPool, 64 * 4096, b"DExt")

    def allocate(pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList) -> int:
        kernel.pool.free(block)
        return kernel.pool.allocate(pool_type, size, tag) or 0

    with LeakTracker(kernel) as tracker:
        lookaside = LookasideList(kernel, "my!List", block)
        lookaside.initialize(size=32, tag=TAG, allocate=allocate)
        entry = lookaside.allocate()
        assert entry is not None
        assert "not mapped" in str(tracker.describe(entry))
        assert "bytes" not in str(tracker.describe(entry))

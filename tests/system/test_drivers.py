"""Drivers: what belongs to one, and what an unload leaves behind."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    LookasideList,
    LookasideSimError,
    PoolTag,
    PoolType,
    SpinLock,
    Verifier,
    VerifierFlags,
)
from lookaside_sim.pool.ledger import BlockRecord, leak_table
from tests.helpers import VIOLATION, new_list, stop_of

UNLOADED = BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS


SCAN = BugCheckCode.SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD


def test_what_is_made_inside_belongs_to_the_driver() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    with driver:
        lookaside = new_list(kernel)
        block = kernel.pool.allocate(0, 24, b"Mine")
    kernel.pool.allocate(0, 24, b"Else")
    assert driver.lists == [lookaside]
    assert driver.holds(lookaside.address)
    assert [leak.address for leak in driver.pool] == [block]
    assert driver.holds(driver.pool[0].call_site.address)
    lookaside.delete()
    assert driver.lists == []


def test_what_its_lists_allocate_belongs_to_it() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["my.sys"]))
    driver = kernel.load_driver("my.sys")
    lookaside = driver.lookaside_list()
    assert lookaside.initialize(size=32, tag=b"List").is_success
    entry = lookaside.allocate()
    assert driver.lists == [lookaside]
    assert [leak.address for leak in driver.pool] == [entry]
    lookaside.delete()
    (leak,) = stop_of(driver.unload).leaks
    assert isinstance(leak, BlockRecord)
    assert leak.verified


def test_what_is_made_through_it_belongs_to_it() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    lookaside = driver.lookaside_list("mine")
    assert driver.holds(lookaside.address)
    block = driver.allocate(PoolType.PagedPool, 24, b"Mine")
    assert [leak.address for leak in driver.pool] == [block]
    driver.free(block)
    assert driver.pool == ()


def test_routines_run_as_the_drivers_code_and_fault_after_its_unload() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")

    def allocate(pool_type: PoolType, size: int, tag: PoolTag, of: LookasideList) -> int | None:
        return kernel.pool.allocate(pool_type, size, tag)

    def free(entry: int, of: LookasideList) -> None:
        kernel.pool.free(entry)

    allocate_ex, free_ex = driver.routines(allocate, free)
    lookaside = new_list(kernel, size=32, tag=b"List", allocate=allocate_ex, free=free_ex)
    entry = lookaside.allocate()
    assert [leak.address for leak in driver.pool] == [entry]
    lookaside.free(entry)
    lookaside.flush()
    assert driver.pool == ()
    driver.unload()
    assert stop_of(lookaside.allocate).code is UNLOADED


def test_a_clean_unload_leaves_nothing() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    with driver:
        lookaside = new_list(kernel)
        lookaside.free(lookaside.allocate())
    driver.on_unload(lookaside.delete)
    driver.unload()
    assert not driver.loaded
    kernel.tick(3)
    kernel.check()
    with pytest.raises(LookasideSimError, match="unloaded already"):
        driver.unload()
    assert kernel.load_driver("my.sys").image_base != driver.image_base


def test_a_name_can_be_loaded_once() -> None:
    kernel = Kernel()
    kernel.load_driver("my.sys")
    for name in ("my.sys", ""):
        with pytest.raises(ValueError, match="driver"):
            kernel.load_driver(name)


@pytest.mark.parametrize("pool_type", [PoolType.NonPagedPool, PoolType.PagedPool])
def test_the_next_scan_finds_a_list_left_behind(pool_type: PoolType) -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    with driver:
        lookaside = new_list(kernel, pool_type=pool_type)
    driver.unload()
    assert kernel.lookaside_lists == [lookaside]  # looking at the links is no scan
    stop = stop_of(lambda: kernel.tick(3))
    assert (stop.code, stop.parameters) == (SCAN, (lookaside.address, 2, 0, 0))
    assert "was not deleted" in stop.message


def test_other_touches_depend_on_the_irql() -> None:
    for irql, code in ((0, UNLOADED), (2, SCAN)):
        kernel = Kernel()
        driver = kernel.load_driver("my.sys")
        with driver:
            lookaside = new_list(kernel)
        driver.unload()
        kernel.raise_irql(irql)
        assert stop_of(lookaside.allocate).code is code


def test_unfreed_pool_is_reported_with_the_verifier() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    with driver:
        first = kernel.pool.allocate(PoolType.PagedPool, 24, b"Mine")
        second = kernel.pool.allocate(PoolType.NonPagedPool, 5000, b"Big ")
    stop = stop_of(driver.unload)
    assert stop.code is VIOLATION
    assert stop.parameters == (0x62, driver.image_base + 0x200, 0, 2)
    assert [(leak.address, leak.size, str(leak.tag)) for leak in stop.leaks] == [
        (first, 24, "Mine"),
        (second, 5000, "Big "),
    ]
    assert isinstance(stop.leaks[0], BlockRecord)
    assert stop.leaks[0].call_site.function == "test_unfreed_pool_is_reported_with_the_verifier"
    table = leak_table(stop.leaks).splitlines()
    assert len(table) == 4
    assert "0x00001388  Big " in table[3]


def test_undeleted_lists_are_reported_with_the_verifier() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    with driver:
        lookaside = new_list(kernel)
    stop = stop_of(driver.unload)
    assert (stop.code, stop.parameters[0]) == (UNLOADED, lookaside.address)


def test_undeleted_lists_can_be_reported_as_the_other_page_says() -> None:
    kernel = Kernel(verifier=Verifier(undeleted_lists=0xC7))
    driver = kernel.load_driver("my.sys")
    with driver:
        lookaside = new_list(kernel)
    stop = stop_of(driver.unload)
    assert (stop.code, stop.parameters) == (
        0xC7,
        (0, lookaside.address, driver.image_base, driver.image_end),
    )
    with pytest.raises(ValueError, match="undeleted_lists=200"):
        Verifier(undeleted_lists=200)


def test_unfreed_pool_comes_before_undeleted_lists() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    with driver:
        entry = new_list(kernel).allocate()
    stop = stop_of(driver.unload)
    assert (stop.code, stop.parameters[0]) == (VIOLATION, 0x62)
    assert [leak.address for leak in stop.leaks] == [entry]


def test_pool_leaks_need_tracking_and_a_covered_driver() -> None:
    for settings in (
        Verifier(VerifierFlags.SPECIAL_POOL),
        Verifier.standard(drivers=["other.sys"]),
    ):
        kernel = Kernel(verifier=settings)
        driver = kernel.load_driver("my.sys")
        driver.allocate(0, 24, b"Mine")
        driver.unload()
        assert kernel.bugcheck is None


def test_allocating_after_the_unload() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.POOL_TRACKING))
    driver = kernel.load_driver("my.sys")
    driver.unload()
    stop = stop_of(lambda: driver.allocate(0, 24, b"Mine"))
    assert (stop.code, stop.parameters) == (VIOLATION, (0x61, 0, 0, 0))


def test_a_full_data_section_uses_other_memory() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    lists = [driver.lookaside_list() for _ in range(0x20000 // 0x60 + 1)]
    assert driver.holds(lists[0].address)
    assert not driver.holds(lists[-1].address)


def test_repr_and_other_structures_in_an_image() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    assert "my.sys" in repr(driver)
    assert " loaded" in repr(driver)
    with driver:
        lock = SpinLock(kernel, "lock")
    taken = driver.image_base + 0x20000 + 0x40
    LookasideList(kernel, address=taken)
    assert driver.lookaside_list().address == taken + 0x60
    driver.unload()
    assert stop_of(lambda: kernel.read(lock.address, 8)).code is UNLOADED


def test_a_structure_beside_an_image_stays() -> None:
    kernel = Kernel()
    driver = kernel.load_driver("my.sys")
    near = LookasideList(kernel, address=driver.image_end - 0x30 - 0x30 + 0x60)
    driver.unload()
    assert kernel.read(near.address, 8) == bytes(8)
    unlisted = kernel.load_driver("other.sys")
    unlisted.unload()
    stop = stop_of(lambda: kernel.read(unlisted.image_base, 1))
    assert "was not deleted" not in stop.message

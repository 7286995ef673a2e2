from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    LookasideList,
    LookasideSimError,
    NtStatus,
    NtStatusError,
    PoolType,
    Verifier,
    VerifierFlags,
    ddi,
)
from tests.misuse import VIOLATION, allocated, new_list, stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)
TRACKING = Verifier(VerifierFlags.POOL_TRACKING)
MISCELLANEOUS = Verifier(VerifierFlags.MISCELLANEOUS_CHECKS)
PAGED, NONPAGED = PoolType.PagedPool, PoolType.NonPagedPool


def test_standard_is_the_documented_set() -> None:
    assert Verifier.standard().flags == 0x209BB
    assert Verifier() == Verifier.standard()
    assert Verifier.standard(drivers=["a.sys"]).drivers == ("a.sys",)


@pytest.mark.parametrize(
    "bad", [{"probability": 10_001}, {"delay_seconds": -1}, {"special_pool_pages": -1}]
)
def test_settings_that_are_none_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Verifier(**bad)  # type: ignore[arg-type]


def test_it_can_be_switched_on_once() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with pytest.raises(LookasideSimError, match="on already"):
        kernel.enable_verifier(AUTOMATIC)


# --- the pool's checks -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("irql", "pool_type", "size", "parameters"),
    [
        (0, 0, 0, (0x00, 0, 0, 0)),
        (1, 1, 0, (0x00, 1, 1, 0)),
        (2, 1, 24, (0x01, 2, 1, 24)),
        (3, 0, 24, (0x02, 3, 0, 24)),
        (0, 2, 4097, (0x03, 0, 0, 0)),
    ],
)
def test_allocations_are_checked(
    irql: int, pool_type: int, size: int, parameters: tuple[int, int, int, int]
) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.raise_irql(irql)
    stop = stop_of(lambda: kernel.pool.allocate(pool_type, size, b"Test"))
    assert (stop.code, stop.parameters) == (VIOLATION, parameters)
    assert "Test" in stop.message


@pytest.mark.parametrize(("pool_type", "irql", "code"), [(1, 2, 0x11), (0, 3, 0x12)])
def test_frees_are_checked_for_their_irql(pool_type: int, irql: int, code: int) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    address = allocated(kernel, pool_type=pool_type)
    kernel.raise_irql(irql)
    stop = stop_of(lambda: kernel.pool.free(address))
    assert (stop.code, stop.parameters) == (VIOLATION, (code, irql, pool_type, address))


def test_a_double_free_says_who_freed_it_first() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    address = allocated(kernel)
    kernel.pool.free(address)
    stop = stop_of(lambda: kernel.pool.free(address))
    assert stop.code is VIOLATION
    assert stop.parameters[:3] == (0x13, 0, address - 16)
    assert "freed in test_a_double_free" in stop.message


@pytest.mark.parametrize("offset", [8, 16, 4096])
def test_an_address_nobody_returned(offset: int) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    address = allocated(kernel)
    stop = stop_of(lambda: kernel.pool.free(address + offset))
    assert (stop.code, stop.parameters) == (VIOLATION, (0x10, address + offset, 0, 0))
    if offset < 60:
        assert f"{offset} bytes into" in stop.message


def test_null_and_user_addresses_are_bad_addresses() -> None:
    for address in (0, 0x1000):
        kernel = Kernel(verifier=AUTOMATIC)
        stop = stop_of(lambda kernel=kernel, address=address: kernel.pool.free(address))  # type: ignore[misc]
        assert (stop.code, stop.parameters) == (VIOLATION, (0x16, 0, address, 0))


def test_a_block_older_than_the_verifier_can_be_freed() -> None:
    kernel = Kernel()
    address = allocated(kernel)
    kernel.enable_verifier(AUTOMATIC)
    kernel.pool.free(address)
    kernel.check()


def test_a_write_past_the_end_is_noticed_on_the_free() -> None:
    kernel = Kernel(verifier=TRACKING)
    address = allocated(kernel, 60)
    kernel.write(address + 62, b"\0")
    stop = stop_of(lambda: kernel.pool.free(address))
    assert (stop.code, stop.parameters) == (VIOLATION, (0x51, address, address + 62, 60))


def test_tags_need_a_letter_or_digit() -> None:
    kernel = Kernel(verifier=TRACKING)
    stop = stop_of(lambda: kernel.pool.allocate(0, 8, b"-+-+"))
    assert stop.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.parameters[0] == 0x9D


def test_executable_pool_under_code_integrity_checks() -> None:
    settings = Verifier(VerifierFlags.CODE_INTEGRITY_CHECKS)
    kernel = Kernel(verifier=settings)
    allocated(kernel, pool_type=PoolType.NonPagedPoolNx)
    stop = stop_of(lambda: kernel.pool.allocate(0, 8, b"Test"))
    assert (stop.code, stop.parameters[0]) == (VIOLATION, 0x2000)


def test_blocks_with_active_timers_and_resources_are_not_freed() -> None:
    cases: list[tuple[Callable[[int], object], int]] = [
        (lambda at: ddi.KeSetTimer(at, 5), 0x15),
        (ddi.ExInitializeResourceLite, 0xD2),
    ]
    for start, code in cases:
        kernel = Kernel(verifier=AUTOMATIC)
        with kernel:
            address = allocated(kernel, 200)
            start(address + 32)
            stop = stop_of(lambda kernel=kernel, address=address: kernel.pool.free(address))  # type: ignore[misc]
        assert (stop.code, stop.parameters[:2]) == (VIOLATION, (code, address + 32))


def test_expired_timers_and_deleted_resources_are_harmless() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel:
        address = allocated(kernel, 300)
        assert not ddi.KeSetTimer(address, 2)
        assert ddi.KeSetTimer(address, 2)
        kernel.tick(2)
        assert not ddi.KeCancelTimer(address)
        ddi.ExInitializeResourceLite(address + 64)
        ddi.ExDeleteResourceLite(address + 64)
        kernel.pool.free(address)


def test_resources_initialized_or_deleted_twice() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel:
        address = allocated(kernel, 200)
        ddi.ExInitializeResourceLite(address)
        stop = stop_of(lambda: ddi.ExInitializeResourceLite(address))
    assert stop.parameters == (0xD0, address, 0, 0)
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel:
        address = allocated(kernel, 200)
        stop = stop_of(lambda: ddi.ExDeleteResourceLite(address))
    assert stop.parameters == (0xD1, address, 0, 0)


# --- lookaside lists ---------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["boot", "later"])
def test_every_list_gets_depth_0(later: bool) -> None:
    kernel = Kernel(verifier=None if later else AUTOMATIC)
    lists = [new_list(kernel), new_list(kernel, pool_type=PAGED)]
    if later:
        assert lists[0].depth == 4
        kernel.enable_verifier(AUTOMATIC)
    lists.append(new_list(kernel))
    for lookaside in lists:
        assert (lookaside.depth, lookaside.maximum_depth) == (0, 0xFFFF)
        lookaside.free(lookaside.allocate())
        assert (lookaside.free_misses, lookaside.current_depth) == (1, 0)
    kernel.tick(9)
    assert {lookaside.depth for lookaside in lists} == {0}


def test_entries_held_when_it_is_switched_on_are_still_served() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    entry = lookaside.allocate()
    lookaside.free(entry)
    kernel.enable_verifier(TRACKING)
    assert lookaside.allocate() == entry
    lookaside.free(entry)
    assert kernel.pool.query(entry or 0) is None


def test_initialize_of_an_active_list() -> None:
    kernel = Kernel(verifier=MISCELLANEOUS)
    lookaside = new_list(kernel)
    stop = stop_of(lambda: lookaside.initialize(size=8, tag=b"List"))
    assert (stop.code, stop.parameters) == (VIOLATION, (0xCA, lookaside.address, 0, 0))


def test_delete_of_a_list_that_is_not_initialized_or_was_deleted() -> None:
    kernel = Kernel(verifier=MISCELLANEOUS)
    lookaside = LookasideList(kernel)
    stop = stop_of(lookaside.delete)
    assert (stop.code, stop.parameters) == (VIOLATION, (0xCB, lookaside.address, 0, 0))
    kernel = Kernel(verifier=MISCELLANEOUS)
    lookaside = new_list(kernel)
    lookaside.delete()
    assert stop_of(lookaside.delete).parameters == (0xCB, lookaside.address, 0, 0)


@pytest.mark.parametrize("flags", [VerifierFlags.SPECIAL_POOL, VerifierFlags.POOL_TRACKING])
def test_free_of_a_block_with_an_active_list(flags: VerifierFlags) -> None:
    kernel = Kernel(verifier=Verifier(flags))
    block = allocated(kernel, 0x100)
    lookaside = LookasideList(kernel, "inner", block + 0x40)
    lookaside.initialize(size=32, tag=b"List")
    stop = stop_of(lambda: kernel.pool.free(block))
    assert (stop.code, stop.parameters) == (VIOLATION, (0xCC, block + 0x40, block, 0x100))
    assert "'inner'" in stop.message


def test_an_entry_smaller_than_a_link() -> None:
    for older in (False, True):
        kernel = Kernel(verifier=MISCELLANEOUS)
        lookaside = LookasideList(kernel)
        if older:
            stop = stop_of(lambda of=lookaside: of.initialize_older(pool_type=0, size=4, tag=1))  # type: ignore[misc]
        else:
            stop = stop_of(lambda of=lookaside: of.initialize(size=4, tag=b"List"))  # type: ignore[misc]
        assert (stop.code, stop.parameters) == (VIOLATION, (0xCD, lookaside.address, 4, 8))


def test_lists_are_not_checked_without_an_option_for_them() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    assert LookasideList(kernel).initialize(size=4, tag=b"List").is_success


# --- whom it watches ---------------------------------------------------------------------


def test_only_the_named_drivers_are_watched() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["bad.sys"]))
    good, bad = kernel.load_driver("good.sys"), kernel.load_driver("bad.sys")
    assert kernel.pool.allocate(NONPAGED, 0, b"Test") is not None
    with good:
        assert kernel.pool.allocate(NONPAGED, 0, b"Test") is not None
    with bad:
        stop = stop_of(lambda: kernel.pool.allocate(NONPAGED, 0, b"Test"))
    assert (stop.code, stop.parameters[0]) == (VIOLATION, 0)
    assert "of bad.sys" in stop.message


def test_a_watched_block_is_watched_whoever_frees_it() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.POOL_TRACKING, drivers=["bad.sys"]))
    address = kernel.load_driver("bad.sys").allocate(NONPAGED, 60, b"Test")
    assert address is not None
    kernel.write(address + 60, b"\0")
    assert stop_of(lambda: kernel.pool.free(address)).parameters[0] == 0x51


# --- IRQL --------------------------------------------------------------------------------


def test_paged_memory_is_out_at_dispatch_level() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.FORCE_IRQL_CHECKING))
    address = allocated(kernel, pool_type=PAGED)
    plain = allocated(kernel)
    with kernel.raise_irql(1):
        kernel.write(address, b"fine")
    with kernel.raise_irql(2):
        kernel.write(plain, b"fine")
    assert kernel.read(address, 4) == b"fine"
    kernel.raise_irql(2)
    stop = stop_of(lambda: kernel.read(address, 4))
    assert stop.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
    assert stop.parameters[:3] == (address, 2, 0)
    assert kernel.verification is not None
    assert kernel.verification.counters.trims == 2


def test_a_list_in_paged_memory_at_dispatch_level_is_the_kernels_fault() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.FORCE_IRQL_CHECKING))
    lookaside = LookasideList(kernel, address=allocated(kernel, 0x60, PAGED))
    lookaside.initialize(size=32, tag=b"List")
    kernel.raise_irql(2)
    stop = stop_of(lookaside.allocate)
    assert stop.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert stop.parameters[:3] == (lookaside.address, 2, 0)


def test_without_the_option_paged_memory_stays() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    address = allocated(kernel, pool_type=PAGED)
    with kernel.raise_irql(2):
        assert len(kernel.read(address, 4)) == 4


def test_unmapped_memory_at_dispatch_level() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.raise_irql(2)
    stop = stop_of(lambda: kernel.read(0x10, 1))
    assert stop.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
    assert stop.parameters[:3] == (0x10, 2, 0)


def test_irql_changes_the_wrong_way() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.raise_irql(2)
    assert stop_of(lambda: kernel.raise_irql(1)).parameters == (0x30, 2, 1, 0)
    kernel = Kernel(verifier=AUTOMATIC)
    assert stop_of(lambda: kernel.lower_irql(1)).parameters == (0x31, 0, 1, 0)


# --- low resources -----------------------------------------------------------------------


def failures(kernel: Kernel, count: int, tag: bytes = b"Test") -> list[bool]:
    return [kernel.pool.allocate(0, 16, tag) is None for _ in range(count)]


def test_failures_are_random_in_the_given_proportion_and_reproducible() -> None:
    settings = Verifier(VerifierFlags.LOW_RESOURCES_SIMULATION, delay_seconds=0, seed=7)
    first = failures(Kernel(verifier=settings), 5000)
    assert first == failures(Kernel(verifier=settings), 5000)
    assert 200 <= sum(first) <= 400  # 6 % of 5000 is 300


def test_nothing_fails_before_the_delay() -> None:
    settings = Verifier(VerifierFlags.LOW_RESOURCES_SIMULATION, probability=10_000)
    kernel = Kernel(verifier=settings)
    kernel.tick(479)
    assert failures(kernel, 3) == [False] * 3
    kernel.tick()
    assert failures(kernel, 3) == [True] * 3
    assert kernel.verification is not None
    assert kernel.verification.counters.allocations_failed_deliberately == 3


def test_tags_and_applications_limit_the_failures() -> None:
    settings = Verifier(
        VerifierFlags.LOW_RESOURCES_SIMULATION,
        probability=10_000,
        delay_seconds=0,
        tags="Te* Xyz",
        applications="test1.exe",
    )
    kernel = Kernel(verifier=settings)
    assert failures(kernel, 1) == [False]
    with kernel.processes.running(kernel.processes.create("test1.exe")):
        assert failures(kernel, 1) == [True]
        assert failures(kernel, 1, b"Xyz ") == [True]
        assert failures(kernel, 1, b"Abcd") == [False]


def test_a_request_that_raises_on_failure_raises() -> None:
    settings = Verifier(
        VerifierFlags.LOW_RESOURCES_SIMULATION, probability=10_000, delay_seconds=0
    )
    kernel = Kernel(verifier=settings)
    lookaside = LookasideList(kernel)
    lookaside.initialize(size=32, tag=b"List", flags=1)
    with pytest.raises(NtStatusError) as caught:
        lookaside.allocate()
    assert caught.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES
    assert lookaside.allocate_misses == 1


def test_the_systematic_variant_fails_each_call_site_once() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SYSTEMATIC_LOW_RESOURCES))

    def here() -> int | None:
        return kernel.pool.allocate(0, 16, b"Test")

    def there() -> int | None:
        return kernel.pool.allocate(0, 16, b"Test")

    results = [(here() is None, there() is None) for _ in range(3)]
    assert results == [(True, True), (False, False), (False, False)]
    assert kernel.verification is not None
    assert kernel.verification.low_resources is not None
    history = kernel.verification.low_resources.history
    assert [fault.stack[0].function.rpartition(".")[2] for fault in history] == [
        "here",
        "there",
    ]


def test_settings_take_texts_bytes_and_tags() -> None:
    from lookaside_sim import PoolTag

    settings = Verifier(tags=[b"Abcd", PoolTag(b"Efgh"), "I*"])
    assert settings.tags == ("Abcd", "Efgh", "I*")
    assert Verifier(tags=b"Abcd").tags == ("Abcd",)
    for bad in (5, [5]):
        with pytest.raises(TypeError, match="give"):
            Verifier(tags=bad)  # type: ignore[arg-type]


def test_a_double_free_of_a_block_whose_page_is_gone() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    before, address = allocated(kernel, 40960), allocated(kernel, 40960)
    kernel.pool.free(before)
    kernel.pool.free(address)
    assert stop_of(lambda: kernel.pool.free(address)).parameters == (0x13, 0, address - 16, 0)


def test_free_pool_memory_is_paged_out_too() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.FORCE_IRQL_CHECKING))
    address = allocated(kernel, pool_type=PAGED)
    kernel.raise_irql(2)
    stop = stop_of(lambda: kernel.read(address + 1024, 1))
    assert "paged pool" in stop.message


def test_failures_of_the_pool_are_counted() -> None:
    kernel = Kernel(nonpaged_pool_bytes=0, verifier=AUTOMATIC)
    assert kernel.pool.allocate(NONPAGED, 24, b"Test") is None
    assert kernel.verification is not None
    assert kernel.verification.counters.allocations_failed == 1


def test_a_list_in_a_pool_block_gets_depth_0_too() -> None:
    kernel = Kernel()
    lookaside = LookasideList(kernel, address=allocated(kernel, 0x60))
    lookaside.initialize(size=32, tag=b"List")
    kernel.enable_verifier(AUTOMATIC)
    assert (lookaside.depth, lookaside.maximum_depth) == (0, 0xFFFF)


def test_timers_and_resources_elsewhere_do_not_matter() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["my.sys"]))
    driver = kernel.load_driver("my.sys")
    with kernel:
        ddi.KeSetTimer(allocated(kernel, 100), 5)
        resource = allocated(kernel, 200)
        ddi.ExInitializeResourceLite(resource)
        ddi.ExInitializeResourceLite(resource)  # not verified: not noticed
        driver.free(driver.allocate(NONPAGED, 24, b"Test"))
    driver.unload()
    assert kernel.bugcheck is None

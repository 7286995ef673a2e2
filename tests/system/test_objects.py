"""Timers and resources must not lie in memory that is freed."""

from __future__ import annotations

from collections.abc import Callable

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    PoolType,
    Verifier,
    VerifierFlags,
    ddi,
)
from tests.helpers import VIOLATION, allocated, stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


NONPAGED = PoolType.NonPagedPool


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


def test_an_active_timer_in_the_image() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    lookaside = driver.lookaside_list()
    with kernel:
        ddi.KeSetTimer(lookaside.address, 5)
    stop = stop_of(driver.unload)
    assert stop.code is BugCheckCode.TIMER_OR_DPC_INVALID
    assert stop.parameters == (0, lookaside.address, driver.image_base, driver.image_end)

"""Timers and resources must not lie in memory that is freed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    PoolType,
    Verifier,
    VerifierFlags,
)
from lookaside_sim.system.objects import KernelObjects
from tests.helpers import VIOLATION, allocated, both_machines, stop_of, violation_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


NONPAGED = PoolType.NonPagedPool


def test_blocks_with_active_timers_and_resources_are_not_freed() -> None:
    cases: list[tuple[Callable[[KernelObjects, int], object], int]] = [
        (lambda objects, at: objects.set_timer(at, 5), 0x15),
        (KernelObjects.initialize_resource, 0xD2),
    ]
    for start, code in cases:
        kernel = Kernel(verifier=AUTOMATIC)
        with kernel:
            address = allocated(kernel, 200)
            start(kernel.objects, address + 32)
            stop = stop_of(lambda kernel=kernel, address=address: kernel.pool.free(address))  # type: ignore[misc]
        assert (stop.code, stop.parameters) == (
            VIOLATION,
            (code, address + 32, *((0, address) if code == 0x15 else (address - 16, 0xE0))),
        )


def test_expired_timers_and_deleted_resources_are_harmless() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel:
        address = allocated(kernel, 300)
        assert not kernel.objects.set_timer(address, 2)
        assert kernel.objects.set_timer(address, 2)
        kernel.tick(2)
        assert not kernel.objects.cancel_timer(address)
        kernel.objects.initialize_resource(address + 64)
        kernel.objects.delete_resource(address + 64)
        kernel.pool.free(address)


def test_resources_initialized_or_deleted_twice() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel:
        address = allocated(kernel, 200)
        kernel.objects.initialize_resource(address)
        stop = stop_of(lambda: kernel.objects.initialize_resource(address))
    assert stop.parameters == (0xD0, address, 0, 0)
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel:
        address = allocated(kernel, 200)
        stop = stop_of(lambda: kernel.objects.delete_resource(address))
    assert stop.parameters == (0xD1, address, 0, 0)


def test_timers_and_resources_elsewhere_do_not_matter() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["my.sys"]))
    driver = kernel.load_driver("my.sys")
    with kernel:
        kernel.objects.set_timer(allocated(kernel, 100), 5)
        resource = allocated(kernel, 200)
        kernel.objects.initialize_resource(resource)
        kernel.objects.initialize_resource(resource)  # not verified: not noticed
        driver.free(driver.allocate(NONPAGED, 24, b"Test"))
    driver.unload()
    assert kernel.bugcheck is None


def test_an_active_timer_in_the_image() -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    lookaside = driver.lookaside_list()
    with kernel:
        kernel.objects.set_timer(lookaside.address, 5)
    stop = stop_of(driver.unload)
    assert stop.code is BugCheckCode.TIMER_OR_DPC_INVALID
    assert stop.parameters == (0, lookaside.address, driver.image_base, driver.image_end)


@both_machines
def test_an_initialized_timer_as_it_lies_in_memory(arch: str) -> None:
    kernel = Kernel(arch)
    size, width = {"x64": (0x40, 8), "x86": (0x28, 4)}[arch]
    address = allocated(kernel, size)
    kernel.objects.set_timer(address, 5)
    kernel.write(address, b"\xff" * size)
    kernel.objects.initialize_timer(address)
    link = (address + 8).to_bytes(width, "little")
    written = bytes((8, 0, size // 4, 0)) + bytes(4) + link + link
    assert kernel.read(address, size) == written + bytes(size - len(written))
    assert not kernel.objects.cancel_timer(address)


def test_a_timer_that_is_due_expires_at_once() -> None:
    kernel = Kernel()
    address = allocated(kernel, 64)
    assert not kernel.objects.set_timer(address, 3)
    assert kernel.objects.set_timer(address, 0)
    assert not kernel.objects.cancel_timer(address)


def test_a_timer_in_memory_that_is_not_there() -> None:
    kernel = Kernel()
    assert violation_of(lambda: kernel.objects.initialize_timer(0x1000)) == (1, 0x1000)


@pytest.mark.parametrize("what", ["timer", "resource"])
@pytest.mark.parametrize(("at", "inside"), [(0, True), (199, True), (-1, False), (200, False)])
def test_where_a_timer_or_resource_lies_in_a_block(what: str, at: int, inside: bool) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with kernel:
        address = allocated(kernel, 200)
        if what == "timer":
            kernel.objects.timers[address + at] = 5
        else:
            kernel.objects.resources[address + at] = None
        if not inside:
            kernel.pool.free(address)
            return
        stop = stop_of(lambda: kernel.pool.free(address))
    assert f"was freed with an active {'timer' if what == 'timer' else 'ERESOURCE'}" in str(
        stop
    )


def test_code_that_is_not_verified_may_free_timers() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["my.sys"]))
    driver = kernel.load_driver("my.sys")
    address = driver.allocate(NONPAGED, 64, b"Test")
    assert address is not None
    kernel.objects.set_timer(address, 5)
    kernel.pool.free(address)
    assert kernel.bugcheck is None


@pytest.mark.parametrize("paged", [0, 1])
def test_a_stop_for_a_timer_tells_the_pool(paged: int) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    address = allocated(kernel, 64, pool_type=paged)
    kernel.objects.set_timer(address, 5)
    assert stop_of(lambda: kernel.pool.free(address)).parameters == (
        0x15,
        address,
        paged,
        address,
    )


@pytest.mark.parametrize(("beyond", "stops"), [(-1, True), (0, False)])
def test_a_timer_at_the_end_of_an_image(beyond: int, stops: bool) -> None:
    kernel = Kernel(verifier=Verifier.standard())
    driver = kernel.load_driver("my.sys")
    kernel.objects.timers[driver.image_end + beyond] = 5
    if stops:
        assert stop_of(driver.unload).code is BugCheckCode.TIMER_OR_DPC_INVALID
    else:
        driver.unload()
    other = Kernel(verifier=Verifier.standard())
    driver = other.load_driver("my.sys")
    other.objects.timers[driver.image_base - (not stops)] = 5
    if stops:
        assert stop_of(driver.unload).parameters[0] == 0
    else:
        driver.unload()

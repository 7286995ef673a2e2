"""What Driver Verifier demands at a raised IRQL."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    PoolType,
    SpinLock,
    Verifier,
    VerifierFlags,
)
from tests.helpers import allocated, new_list, nowhere, stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


PAGED = PoolType.PagedPool


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
    lookaside = new_list(
        kernel, address=allocated(kernel, 0x60, pool_type=PAGED), size=32, tag=b"List"
    )
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
    stop = stop_of(lambda: kernel.read(nowhere(kernel), 1))
    assert stop.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
    assert stop.parameters[:3] == (nowhere(kernel), 2, 0)


def test_irql_changes_the_wrong_way() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.raise_irql(2)
    assert stop_of(lambda: kernel.raise_irql(1)).parameters == (0x30, 2, 1, 0)
    kernel = Kernel(verifier=AUTOMATIC)
    assert stop_of(lambda: kernel.lower_irql(1)).parameters == (0x31, 0, 1, 0)


def test_free_pool_memory_is_paged_out_too() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.FORCE_IRQL_CHECKING))
    address = allocated(kernel, pool_type=PAGED)
    kernel.raise_irql(2)
    stop = stop_of(lambda: kernel.read(address + 1024, 1))
    assert "paged pool" in stop.message


@pytest.mark.parametrize(
    ("method", "irql", "code"),
    [
        ("acquire", 3, 0x42),
        ("acquire_at_dpc_level", 1, 0x40),
        ("release_from_dpc_level", 1, 0x41),
    ],
)
def test_the_verifier_checks_the_irql(method: str, irql: int, code: int) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    lock = SpinLock(kernel)
    kernel.raise_irql(irql)
    stop = stop_of(getattr(lock, method))
    assert stop.parameters == (code, irql, lock.address, 0)


def test_the_verifier_checks_the_irql_of_a_release() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    lock = SpinLock(kernel)
    old = lock.acquire()
    kernel.lower_irql(0)
    assert stop_of(lambda: lock.release(old)).parameters == (0x32, 0, lock.address, 0)


def test_an_irql_that_stays_what_it_is_is_no_mistake() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    assert kernel.verification is not None
    for level in (0, 2):
        kernel.raise_irql(level)
        kernel.raise_irql(level)
        kernel.lower_irql(level)
    counters = kernel.verification.counters
    assert (counters.raise_irqls, counters.acquire_spin_locks, counters.trims) == (1, 0, 0)


def test_locks_at_dispatch_level_are_no_mistake() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    lock = SpinLock(kernel)
    kernel.raise_irql(2)
    lock.release(lock.acquire())
    lock.acquire_at_dpc_level()
    lock.release_from_dpc_level()
    kernel.raise_irql(3)
    lock.acquire_at_dpc_level()
    lock.release_from_dpc_level()
    assert kernel.bugcheck is None


@pytest.mark.parametrize(
    ("irql", "old", "parameters"),
    [(3, 0, (0x32, 3)), (1, 0, (0x32, 1)), (2, 3, (0x31, 2, 3, 0))],
)
def test_a_lock_is_released_to_the_irql_before_at_dispatch_level(
    irql: int, old: int, parameters: tuple[int, ...]
) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    lock = SpinLock(kernel)
    lock.acquire()
    (kernel.raise_irql if irql >= 2 else kernel.lower_irql)(irql)
    stop = stop_of(lambda: lock.release(old))
    assert stop.parameters == (parameters if irql == 2 else (*parameters, lock.address, 0))


def test_pageable_memory_comes_back_below_dispatch_level_only() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.FORCE_IRQL_CHECKING))
    address = allocated(kernel, pool_type=PAGED)
    verification = kernel.verification
    assert verification is not None
    seen = []
    for level in (1, 2, 5, 2, 1, 15, 0):
        change = kernel.raise_irql if level > kernel.irql else kernel.lower_irql
        change(level)
        seen.append((level, verification.trimmed, verification.counters.trims))
    assert seen == [
        (1, False, 0),
        *((2, True, 1), (5, True, 2), (2, True, 2), (1, False, 2)),
        *((15, True, 3), (0, False, 3)),
    ]
    assert verification.counters.raise_irqls == 4
    kernel.raise_irql(2)
    stop = stop_of(lambda: kernel.write(address, b"late"))
    assert stop.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
    assert stop.parameters[:3] == (address, 2, 1)
    assert stop.parameters[3]
    assert f"{address:#x} was written at IRQL 2, and it lies in " in stop.message


def test_only_verified_code_trims() -> None:
    settings = Verifier(VerifierFlags.FORCE_IRQL_CHECKING, drivers=["bad.sys"])
    kernel = Kernel(verifier=settings)
    address = allocated(kernel, pool_type=PAGED)
    driver = kernel.load_driver("bad.sys")
    verification = kernel.verification
    assert verification is not None
    with SpinLock(kernel):
        assert len(kernel.read(address, 1)) == 1
        assert not verification.trimmed
    assert verification.counters.acquire_spin_locks == 0
    with driver, SpinLock(kernel):
        assert verification.trimmed
    counters = verification.counters
    assert (counters.acquire_spin_locks, counters.raise_irqls, counters.trims) == (1, 0, 1)


@pytest.mark.parametrize("level", [2, 0])
def test_a_fault_without_special_pool_is_an_ordinary_one(level: int) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.raise_irql(level)
    stop = stop_of(lambda: kernel.write(nowhere(kernel), b"x"))
    assert stop.code is (
        BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
        if level
        else BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    )

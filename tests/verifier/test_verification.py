"""Driver Verifier on one machine: whom it watches, and what it counts."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Kernel,
    LookasideSimError,
    PoolType,
    SpinLock,
    Verifier,
    VerifierFlags,
)
from tests.helpers import VIOLATION, stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


NONPAGED = PoolType.NonPagedPool


def test_it_can_be_switched_on_once() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    with pytest.raises(LookasideSimError, match="on already"):
        kernel.enable_verifier(AUTOMATIC)


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


def test_failures_of_the_pool_are_counted() -> None:
    kernel = Kernel(nonpaged_pool_bytes=0, verifier=AUTOMATIC)
    assert kernel.pool.allocate(NONPAGED, 24, b"Test") is None
    assert kernel.verification is not None
    assert kernel.verification.counters.allocations_failed == 1


def test_the_verifier_counts() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    assert kernel.verification is not None
    with SpinLock(kernel), kernel.raise_irql(3):
        pass
    counters = kernel.verification.counters
    assert (counters.acquire_spin_locks, counters.raise_irqls, counters.trims) == (1, 1, 0)

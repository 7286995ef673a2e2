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
from lookaside_sim.nt.violations import Violation
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


@pytest.mark.parametrize("flag", VerifierFlags)
def test_an_option_brings_its_own_part_and_no_other(flag: VerifierFlags) -> None:
    verification = Kernel(verifier=Verifier(flag)).verification
    assert verification is not None
    assert (verification.special_pool is not None) is (flag == VerifierFlags.SPECIAL_POOL)
    assert (verification.low_resources is not None) is (
        flag in (VerifierFlags.LOW_RESOURCES_SIMULATION, VerifierFlags.SYSTEMATIC_LOW_RESOURCES)
    )
    assert [each for each in VerifierFlags if verification.has(each)] == [flag]


def test_it_knows_the_parts_of_its_machine() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    verification = kernel.verification
    assert verification is not None
    assert verification.verifier == AUTOMATIC
    assert verification.machine is kernel.machine
    assert verification.pool is kernel.pool
    assert verification.registry is kernel.registry
    assert verification.objects is kernel.objects
    assert verification.processes is kernel.processes
    assert verification.threads is kernel.threads
    assert verification.references is kernel.references
    assert verification.ledger is kernel.drivers.ledger
    assert verification.ledger.is_open
    assert (verification.use_of, verification.slack) == ({}, {})
    assert verification.trimmed is False


def test_a_violation_says_where_and_whose_line_it_was() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    driver = kernel.load_driver("mydrv.sys")
    verification = kernel.verification
    assert verification is not None
    assert verification.where().startswith("in test_a_violation_says_where")
    assert " of " not in verification.where()
    assert verification.watches_caller()
    with driver:
        stop = stop_of(lambda: verification.stop(Violation.ZERO_BYTES, (1, 2, 3), "What"))
    assert (stop.code, stop.parameters) == (VIOLATION, (0, 1, 2, 3))
    assert stop.message.startswith("What (in test_a_violation_says_where")
    assert stop.message.endswith(" of mydrv.sys)")

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    LookasideSimError,
    SpinLock,
    Verifier,
    VerifierFlags,
    ddi,
)
from lookaside_sim.machine.program import CallSite, calling_site, calling_stack
from tests.misuse import stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


def test_each_processor_has_its_irql() -> None:
    kernel = Kernel(processors=2)
    kernel.raise_irql(1)
    with kernel.on_processor(1) as number:
        assert (number, kernel.processor, kernel.irql) == (1, 1, 0)
        kernel.raise_irql(2)
        with kernel.on_processor(0):
            assert kernel.irql == 1
        assert kernel.irql == 2
    assert (kernel.processor, kernel.irql) == (0, 1)
    with pytest.raises(ValueError, match="processor 2"), kernel.on_processor(2):
        pass


def test_a_spin_lock_raises_to_dispatch_level() -> None:
    kernel = Kernel()
    with kernel:
        lock = ddi.KeInitializeSpinLock("lock")
        old = ddi.KeAcquireSpinLock(lock)
        assert (old, ddi.KeGetCurrentIrql(), lock.owner) == (0, 2, 0)
        assert kernel.read(lock.address, 8) == (1).to_bytes(8, "little")
        ddi.KeReleaseSpinLock(lock, old)
        assert (ddi.KeGetCurrentIrql(), lock.owner) == (0, None)
        with lock:
            assert kernel.irql == 2
        assert kernel.irql == 0


def test_at_dpc_level_the_irql_stays() -> None:
    kernel = Kernel(processors=2)
    with kernel:
        lock = ddi.KeInitializeSpinLock()
        old = ddi.KeRaiseIrql(2)
        ddi.KeAcquireSpinLockAtDpcLevel(lock)
        assert ddi.KeGetCurrentProcessorNumber() == 0
        with kernel.on_processor(1), pytest.raises(LookasideSimError, match="spin for ever"):
            lock.acquire_at_dpc_level()
        ddi.KeReleaseSpinLockFromDpcLevel(lock)
        ddi.KeLowerIrql(old)
    assert kernel.irql == 0


def test_a_lock_taken_or_let_go_twice() -> None:
    kernel = Kernel()
    lock = SpinLock(kernel)
    lock.acquire()
    stop = stop_of(lock.acquire)
    assert (stop.code, stop.parameters) == (
        BugCheckCode.SPIN_LOCK_ALREADY_OWNED,
        (lock.address, 0, 0, 0),
    )
    kernel = Kernel()
    lock = SpinLock(kernel)
    assert stop_of(lambda: lock.release(0)).code is BugCheckCode.SPIN_LOCK_NOT_OWNED


def test_writing_over_a_lock_takes_or_frees_it() -> None:
    kernel = Kernel()
    lock = SpinLock(kernel)
    kernel.write(lock.address, b"\1")
    assert lock.owner == 0
    kernel.write(lock.address, bytes(8))
    assert lock.owner is None


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


def test_the_verifier_counts() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    assert kernel.verification is not None
    with SpinLock(kernel), kernel.raise_irql(3):
        pass
    counters = kernel.verification.counters
    assert (counters.acquire_spin_locks, counters.raise_irqls, counters.trims) == (1, 1, 0)


def test_call_sites_name_the_programs_line() -> None:
    site = calling_site(0x10)
    assert (site.file, site.function, site.address) == (
        "test_processors.py",
        "test_call_sites_name_the_programs_line",
        0x10,
    )
    assert str(site) == f"{site.function} (test_processors.py:{site.line})"
    assert CallSite("a", 1, "f", 1) == CallSite("a", 1, "f", 2)
    assert calling_stack()[0].function == site.function

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

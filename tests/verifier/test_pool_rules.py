"""What Driver Verifier demands of pool requests."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    Kernel,
    PoolType,
    Verifier,
    VerifierFlags,
)
from tests.helpers import VIOLATION, allocated, stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


TRACKING = Verifier(VerifierFlags.POOL_TRACKING)


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


def test_a_double_free_of_a_block_whose_page_is_gone() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    before, address = allocated(kernel, 40960), allocated(kernel, 40960)
    kernel.pool.free(before)
    kernel.pool.free(address)
    assert stop_of(lambda: kernel.pool.free(address)).parameters == (0x13, 0, address - 16, 0)


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


def test_an_irp_is_freed_as_one() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    irp = kernel.io_lists.allocate_irp(1)
    stop = stop_of(lambda: kernel.pool.free(irp))
    assert (stop.code, stop.parameters) == (VIOLATION, (0x105, irp, 0, 0))
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.io_lists.free_irp(kernel.io_lists.allocate_irp(1))
    with kernel.processes.running(kernel.processes.create("app.exe")):
        kernel.io_lists.free_irp(kernel.io_lists.allocate_irp(30, True))


def test_a_wrong_tag_matters_with_pool_tracking() -> None:
    kernel = Kernel(verifier=TRACKING)
    kernel.pool.free(allocated(kernel), b"Test")
    kernel.pool.free(allocated(kernel))
    address = allocated(kernel)
    stop = stop_of(lambda: kernel.pool.free(address, b"Else"))
    assert stop.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.parameters == (0xA, address, int.from_bytes(b"Test", "little"), 0x65736C45)
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.pool.free(allocated(kernel), b"Else")
    assert kernel.bugcheck is None

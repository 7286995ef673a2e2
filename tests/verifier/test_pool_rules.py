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
from tests.helpers import VIOLATION, allocated, new_list, stop_of

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


@pytest.mark.parametrize("arch", ["x64", "x86"])
@pytest.mark.parametrize("size", [1, 4, 20, 21, 24, 100])
def test_a_charged_block_that_nobody_wrote_past(arch: str, size: int) -> None:
    kernel = Kernel(arch, verifier=Verifier(flags=VerifierFlags.POOL_TRACKING))
    process = kernel.processes.create("payer.exe")
    with kernel.load_driver("mydrv.sys"), kernel.processes.running(process):
        block = kernel.quota.allocate(0, size, b"tseT")
        assert block is not None
        kernel.write(block, bytes(size))
        kernel.pool.free(block)
    assert kernel.bugcheck is None
    assert process.nonpaged_usage == 0


@pytest.mark.parametrize(
    ("irql", "pool_type", "size"), [(1, 1, 24), (2, 0, 24), (0, 1, 4097), (2, 0, 1)]
)
def test_what_is_just_allowed(irql: int, pool_type: int, size: int) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    kernel.raise_irql(irql)
    kernel.pool.free(allocated(kernel, size, pool_type=pool_type))
    assert kernel.bugcheck is None


@pytest.mark.parametrize("tag", [b"-+-a", b"9---", b"+A--", b"\xe9+1+"])
def test_one_letter_or_digit_is_enough(tag: bytes) -> None:
    kernel = Kernel(verifier=TRACKING)
    allocated(kernel, tag=tag)
    assert kernel.bugcheck is None
    allocated(Kernel(verifier=AUTOMATIC), tag=b"-+-+")


def test_what_a_tag_without_letters_stops_with() -> None:
    kernel = Kernel(verifier=TRACKING)
    driver = kernel.load_driver("mydrv.sys")
    with driver:
        stop = stop_of(lambda: kernel.pool.allocate(PoolType.PagedPool, 8, b"\xe9+-+"))
    assert stop.parameters[:3] == (0x9D, int.from_bytes(b"\xe9+-+", "little"), 1)
    assert driver.holds(stop.parameters[3])


def test_what_executable_pool_stops_with() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.CODE_INTEGRITY_CHECKS))
    allocated(kernel, pool_type=PoolType.PagedPool)
    driver = kernel.load_driver("mydrv.sys")
    with driver:
        stop = stop_of(lambda: kernel.pool.allocate(0, 8, b"Test"))
    assert driver.holds(stop.parameters[1])
    assert stop.parameters[2:] == (0, int.from_bytes(b"Test", "little"))


def test_a_driver_that_is_gone_allocates_nothing() -> None:
    kernel = Kernel(verifier=TRACKING)
    driver = kernel.load_driver("mydrv.sys")
    for pool_type, size in ((1, 40), (0, 24), (0, 8)):
        assert driver.allocate(pool_type, size, b"Test")
    driver.loaded = False
    with driver:
        stop = stop_of(lambda: kernel.pool.allocate(0, 8, b"Test"))
    assert (stop.code, stop.parameters) == (VIOLATION, (0x61, 40, 32, 3))
    assert "after mydrv.sys was unloaded" in stop.message


def test_what_is_counted_and_in_use() -> None:
    kernel = Kernel(verifier=TRACKING)
    driver = kernel.load_driver("mydrv.sys")
    verification = kernel.verification
    assert verification is not None
    blocks = [driver.allocate(pool_type, 40, b"Test") for pool_type in (0, 1, 1)]
    allocated(kernel, 24, tag=b"None")
    allocated(kernel, 5000)
    counters = verification.counters
    assert (counters.allocations_attempted, counters.allocations_succeeded) == (5, 5)
    assert (counters.allocations_with_no_tag, counters.allocations_failed) == (1, 0)
    assert counters.allocations_succeeded_special_pool == 0

    def used() -> list[tuple[int, int, int, int]]:
        return [
            (each.bytes[0], each.allocations[0], each.bytes[1], each.allocations[1])
            for each in (verification.use, *verification.use_of.values())
        ]

    assert set(verification.use_of) == {driver, None}
    assert used() == [(5064, 3, 80, 2), (40, 1, 80, 2), (5024, 2, 0, 0)]
    for block in blocks:
        kernel.pool.free(block or 0)
    assert used() == [(5024, 2, 0, 0), (0, 0, 0, 0), (5024, 2, 0, 0)]


@pytest.mark.parametrize(("size", "slack"), [(64, 0), (63, 1), (65, 15), (4080, 0), (5000, 0)])
def test_the_bytes_behind_a_tracked_block(size: int, slack: int) -> None:
    kernel = Kernel(verifier=TRACKING)
    verification = kernel.verification
    assert verification is not None
    block = allocated(kernel, size)
    assert verification.slack == ({block: (block + size, slack)} if slack else {})
    assert kernel.read(block + size, slack) == b"\xb6" * slack
    if slack:
        kernel.write(block + size + slack - 1, b"\xb7")
        stop = stop_of(lambda: kernel.pool.free(block))
        assert stop.parameters == (0x51, block, block + size + slack - 1, size)
        assert f" was written {slack - 1} bytes past its end, at " in stop.message
    else:
        kernel.pool.free(block)
    untracked = Kernel(verifier=AUTOMATIC)
    allocated(untracked, size)
    assert untracked.verification is not None
    assert not untracked.verification.slack


def test_slack_is_forgotten_with_its_block() -> None:
    kernel = Kernel(verifier=TRACKING)
    kernel.pool.free(allocated(kernel, 60))
    assert kernel.verification is not None
    assert not kernel.verification.slack


@pytest.mark.parametrize(("size", "header"), [(0x100, -16), (0x2000, 0)])
@pytest.mark.parametrize("at_end", [False, True])
def test_a_list_at_either_end_of_a_block(size: int, header: int, at_end: bool) -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.POOL_TRACKING))
    blocks = [allocated(kernel, size) for _ in range(3)]
    where = blocks[1] + (size - 0x80 if at_end else 0)
    new_list(kernel, address=where, size=32, tag=b"List")
    for block in (blocks[0], blocks[2]):
        kernel.pool.free(block)
    stop = stop_of(lambda: kernel.pool.free(blocks[1]))
    expected = size if not header else size + 16
    assert stop.parameters == (0xCC, where, blocks[1] + header, expected)


def test_second_frees_say_what_the_header_holds_now() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    block = allocated(kernel)
    allocated(kernel)
    kernel.pool.free(block)
    contents = int.from_bytes(kernel.memory.read(block - 16, 4), "little")
    assert contents
    stop = stop_of(lambda: kernel.pool.free(block))
    assert stop.parameters == (0x13, 0, block - 16, contents)


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_where_system_space_begins(arch: str) -> None:
    start = 1 << (63 if arch == "x64" else 31)
    for address, parameters in (
        (start - 16, (0x16, 0, start - 16, 0)),
        (start, (0x10, start, 0, 0)),
    ):
        kernel = Kernel(arch, verifier=AUTOMATIC)
        stop = stop_of(lambda: kernel.pool.free(address))  # noqa: B023
        assert stop.parameters == parameters


def test_a_wrong_address_beside_a_block_is_in_none() -> None:
    for offset, inside in ((-16, False), (8, True), (59, True), (60, False)):
        kernel = Kernel(verifier=AUTOMATIC)
        address = allocated(kernel, 60)
        stop = stop_of(lambda: kernel.pool.free(address + offset))  # noqa: B023
        assert (f"{address + offset:#x}, {offset} bytes into" in stop.message) is inside


def test_a_block_with_an_irps_tag_that_is_none() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    for tag, start in ((b"Irp ", 5), (b"Irp ", 0x106), (b"Test", 6)):
        block = allocated(kernel, 64, tag=tag)
        kernel.write(block, start.to_bytes(2, "little"))
        kernel.pool.free(block)
    for tag in (b"Irp ", b"Irps", b"Irpm", b"Irpl"):
        kernel = Kernel(verifier=AUTOMATIC)
        block = allocated(kernel, 64, tag=tag)
        kernel.write(block, b"\6\0\1")
        stop = stop_of(lambda: kernel.pool.free(block))  # noqa: B023
        assert stop.parameters == (0x105, block, 0, 0)


def test_a_page_of_must_succeed_pool_is_not_too_much() -> None:
    stop = stop_of(lambda: Kernel(verifier=AUTOMATIC).pool.allocate(2, 4096, b"Test"))
    assert stop.code is BugCheckCode.BAD_POOL_CALLER  # there is none on this machine

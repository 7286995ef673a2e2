"""IRPs and MDLs: lists of each processor over lists that all share."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheckCode,
    InvariantError,
    Kernel,
    NtStatusError,
    Verifier,
    VerifierFlags,
    ddi,
)
from tests.helpers import stop_of


def test_an_irp_comes_from_the_pool_then_from_p() -> None:
    kernel = Kernel()
    pair = kernel.io_lists.small_irp
    with kernel:
        irp = ddi.IoAllocateIrp(1, False)
        assert kernel.read(irp, 4) == b"\x06\0\x18\x01"  # Type 6, Size 0xD0 + 0x48
        assert kernel.pool.usage(b"Irp ").outstanding == 1
        ddi.IoFreeIrp(irp)
        assert ddi.IoAllocateIrp(1, False) == irp
    local, shared = pair.per_processor[0], pair.shared
    assert (local.total_allocates, local.allocate_misses) == (2, 1)
    assert (shared.total_allocates, shared.allocate_misses) == (1, 1)
    assert (local.total_frees, local.free_misses, shared.total_frees) == (1, 0, 0)
    kernel.check()


def test_p_overflows_to_l_which_other_processors_take_from() -> None:
    kernel = Kernel(processors=2)
    lists = kernel.io_lists
    irps = [lists.allocate_irp(1) for _ in range(9)]
    for irp in irps:
        lists.free_irp(irp)
    pair = lists.small_irp
    assert (pair.per_processor[0].current_depth, pair.shared.current_depth) == (4, 4)
    assert kernel.pool.usage(b"Irp ").outstanding == 8
    with kernel.on_processor(1):
        assert lists.allocate_irp(1) == irps[7]
    assert pair.per_processor[1].allocate_misses == 1
    kernel.check()


@pytest.mark.parametrize(
    ("locations", "size"), [(1, 0x118), (2, 0x310), (8, 0x310), (9, 0x358)]
)
def test_the_size_depends_on_the_stack_locations(locations: int, size: int) -> None:
    kernel = Kernel()
    irp = kernel.io_lists.allocate_irp(locations)
    block = kernel.pool.query(irp)
    assert block is not None
    assert block.size == size
    kernel.io_lists.free_irp(irp)
    assert kernel.pool.usage(b"Irp ").outstanding == (1 if locations <= 8 else 0)


def test_an_irp_freed_twice() -> None:
    kernel = Kernel()
    irp = kernel.io_lists.allocate_irp(1)
    kernel.io_lists.free_irp(irp)
    stop = stop_of(lambda: kernel.io_lists.free_irp(irp))
    assert (stop.code, stop.parameters[0]) == (
        BugCheckCode.MULTIPLE_IRP_COMPLETE_REQUESTS,
        irp,
    )
    with pytest.raises(ValueError, match="stack size 0"):
        Kernel().io_lists.allocate_irp(0)


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_mdls_of_23_pages_have_lists(arch: str) -> None:
    kernel = Kernel(arch)
    with kernel:
        small = ddi.IoAllocateMdl(0x10FFF, 22 * 4096 + 1)
        large = ddi.IoAllocateMdl(0x10FFF, 22 * 4096 + 2)
        assert kernel.pool.usage(b"Mdl ").outstanding == 2
        for mdl in (small, large):
            ddi.IoFreeMdl(mdl)
        assert kernel.pool.usage(b"Mdl ").outstanding == 1
        assert ddi.IoAllocateMdl(0, 1) == small
    kernel.check()
    with pytest.raises(ValueError, match="-1 bytes"):
        kernel.io_lists.allocate_mdl(0, -1)


def test_watched_callers_get_irps_and_mdls_from_the_pool() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.POOL_TRACKING))
    driver = kernel.load_driver("my.sys")
    with kernel, driver:
        irp, mdl = ddi.IoAllocateIrp(1, False), ddi.IoAllocateMdl(0, 1)
        assert [str(leak.tag) for leak in driver.pool] == ["Irp ", "VMdl"]
        ddi.IoFreeIrp(irp)
        ddi.IoFreeMdl(mdl)
    driver.unload()


def test_injected_failures_reach_irps_and_mdls() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SYSTEMATIC_LOW_RESOURCES))
    with kernel:
        assert ddi.IoAllocateIrp(1, False) == 0
        assert ddi.IoAllocateMdl(0, 1) == 0


def test_a_charged_irp() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe", nonpaged_quota=0x200)
    with kernel, kernel.processes.running(process):
        irp = ddi.IoAllocateIrp(1, True)
        assert process.nonpaged_usage == 0x130
        assert ddi.IoAllocateIrp(1, True) == 0
        ddi.IoFreeIrp(irp)
        assert process.nonpaged_usage == 0
        with pytest.raises(NtStatusError):
            ddi.ExAllocatePoolWithQuotaTag(0, 0x300, b"Test")


def test_phase_2_scans_processors_then_the_shared_lists() -> None:
    kernel = Kernel()
    pair = kernel.io_lists.mdl
    for _ in range(100):
        kernel.io_lists.allocate_mdl(0, 1)
    kernel.tick(3)
    assert (pair.per_processor[0].depth, pair.shared.depth) == (34, 4)
    kernel.tick(3)
    assert (pair.per_processor[0].depth, pair.shared.depth) == (34, 34)


def test_a_long_chain_of_the_lists_of_irps_is_found() -> None:
    kernel = Kernel()
    irps = [kernel.io_lists.allocate_irp(1) for _ in range(2)]
    for irp in irps:
        kernel.io_lists.free_irp(irp)
    kernel.write(irps[1], bytes(8))
    with pytest.raises(InvariantError):
        kernel.check()

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
from tests.helpers import both_machines, read_pointer, stop_of, violation_of


def test_an_irp_comes_from_the_pool_then_from_p() -> None:
    kernel = Kernel()
    pair = kernel.io_lists.small_irp
    with kernel:
        irp = ddi.IoAllocateIrp(1, False)
        assert kernel.read(irp, 4) == b"\x06\0\x18\x01"  # Type 6, Size 0xD0 + 0x48
        assert kernel.pool.usage(b"Irps").outstanding == 1
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
    assert kernel.pool.usage(b"Irps").outstanding == 8
    with kernel.on_processor(1):
        assert lists.allocate_irp(1) == irps[7]
    assert pair.per_processor[1].allocate_misses == 1
    kernel.check()


@pytest.mark.parametrize(
    ("locations", "size", "tag"),
    [
        (1, 0x118, b"Irps"),
        (2, 0x1F0, b"Irpm"),
        (4, 0x1F0, b"Irpm"),
        (5, 0x3A0, b"Irpl"),
        (10, 0x3A0, b"Irpl"),
        (11, 0x3E8, b"Irp "),
    ],
)
def test_the_size_depends_on_the_stack_locations(locations: int, size: int, tag: bytes) -> None:
    kernel = Kernel()
    irp = kernel.io_lists.allocate_irp(locations)
    block = kernel.pool.query(irp)
    assert block is not None
    assert (block.size, block.tag) == (size, int.from_bytes(tag, "little"))
    assert int.from_bytes(kernel.read(irp + 2, 2), "little") == size
    kernel.io_lists.free_irp(irp)
    assert kernel.pool.usage(tag).outstanding == (1 if locations <= 10 else 0)


# Offsets of ThreadListEntry, StackCount, AllocationFlags, CurrentStackLocation; bytes of an IRP
# and of a stack location.
IRP = {
    "x64": (0x20, 0x42, 0x47, 0xB8, 0xD0, 0x48),
    "x86": (0x10, 0x22, 0x27, 0x60, 0x70, 0x24),
}


@both_machines
def test_an_irp_as_its_allocator_gets_it(arch: str) -> None:
    kernel = Kernel(arch)
    threads, count, flags, current, header, location = IRP[arch]
    irp = kernel.io_lists.allocate_irp(2)
    here = irp + threads
    assert read_pointer(kernel, here) == here  # Flink of an empty LIST_ENTRY
    assert read_pointer(kernel, here + kernel.arch.pointer_size) == here
    assert kernel.read(irp + count, 2) == b"\x02\x03"
    assert kernel.read(irp + flags, 1) == b"\x04"  # IRP_ALLOCATED_FIXED_SIZE
    assert read_pointer(kernel, irp + current) == irp + header + 2 * location


@both_machines
def test_a_charged_irp_from_a_list_is_lent(arch: str) -> None:
    kernel = Kernel(arch)
    process = kernel.processes.create("app.exe")
    lists = kernel.io_lists
    lists.free_irp(lists.allocate_irp(2))
    with kernel.processes.running(process):
        irp = lists.allocate_irp(2, True)
        assert kernel.read(irp + IRP[arch][2], 1) == b"\x0c"  # and IRP_LOOKASIDE_ALLOCATION
        assert (process.nonpaged_usage, lists.irps.floats) == (0, [1023])
        lists.free_irp(irp)
        assert lists.irps.floats == [1024]
        lists.irps.floats[0] = 0  # nothing left to lend: the process is charged
        billed = lists.allocate_irp(2, True)
        assert billed != irp
        assert process.nonpaged_usage > 0
        lists.free_irp(billed)
        assert process.nonpaged_usage == 0
    assert lists.medium_irp.per_processor[0].current_depth == 1
    kernel.check()


def test_the_large_size_follows_what_is_asked_for_once_a_minute() -> None:
    kernel = Kernel()
    lists = kernel.io_lists
    older = [lists.allocate_irp(10) for _ in range(2)]
    lists.free_irp(older.pop())
    asked = lists.allocate_irp(14)
    lists.free_irp(asked)
    assert lists.large_irp.shared.size == 0xD0 + 10 * 0x48
    kernel.tick(60)
    assert lists.large_irp.shared.size == 1216  # 14 locations, as a transcript shows
    assert lists.held == 0
    lists.free_irp(older.pop())  # of the size before: to the pool
    assert kernel.pool.usage(b"Irpl").outstanding == 0
    lists.allocate_irp(25)
    kernel.tick(60)
    assert lists.irps.large_locations == 20
    kernel.tick(60)
    assert lists.irps.large_locations == 20
    kernel.check()


@both_machines
def test_nine_pairs_lie_in_each_processors_block(arch: str) -> None:
    kernel = Kernel(arch, processors=2)
    pairs = kernel.io_lists.pairs
    assert [pair.name for pair in pairs] == [
        "small IRP",
        "medium IRP",
        "large IRP",
        "MDL",
        "create info",
        "name buffer",
        "twilight",
        "completion",
        "scratch buffer",
    ]
    size = kernel.arch.lookaside_size
    for number in range(2):
        at = [pair.per_processor[number].address for pair in pairs]
        assert [address - at[0] for address in at] == [index * size for index in range(9)]
    for pair in pairs:
        for each in pair.lists:
            image = kernel.read(each.address, size)
            depth = int.from_bytes(image[2 * kernel.arch.pointer_size :][:2], "little")
            assert depth == 4


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
    with pytest.raises(ValueError, match="length -1"):
        kernel.io_lists.allocate_mdl(0, -1)


@both_machines
def test_an_mdl_belongs_to_an_irp(arch: str) -> None:
    kernel = Kernel(arch)
    mdl_address = {"x64": 8, "x86": 4}[arch]
    with kernel:
        irp = ddi.IoAllocateIrp(1, False)
        first = ddi.IoAllocateMdl(0x1000, 1, False, False, irp)
        assert read_pointer(kernel, irp + mdl_address) == first
        second = ddi.IoAllocateMdl(0x2000, 1, True, False, irp)
        third = ddi.IoAllocateMdl(0x3000, 1, True, False, irp)
        assert [read_pointer(kernel, mdl) for mdl in (first, second, third)] == [
            second,
            third,
            0,
        ]
        assert read_pointer(kernel, irp + mdl_address) == first


def test_a_second_buffer_without_a_first_follows_null() -> None:
    kernel = Kernel()
    irp = kernel.io_lists.allocate_irp(1)
    chain = lambda: kernel.io_lists.allocate_mdl(0, 1, secondary=True, irp=irp)  # noqa: E731
    assert violation_of(chain) == (0, 0)


@both_machines
def test_an_mdl_describes_less_than_4_gib(arch: str) -> None:
    kernel = Kernel(arch)
    most = 2**32 - 4096
    assert kernel.io_lists.allocate_mdl(0, most + 1) == 0
    mdl = kernel.io_lists.allocate_mdl(0, most)
    assert (
        int.from_bytes(kernel.read(mdl + {"x64": 0x28, "x86": 0x14}[arch], 4), "little") == most
    )
    with pytest.raises(ValueError, match="length 4294967296"):
        kernel.io_lists.allocate_mdl(0, 2**32)


def test_wrong_arguments_leave_nothing_behind() -> None:
    kernel = Kernel("x86")
    lists = kernel.io_lists
    for call in (
        lambda: lists.allocate_irp(128),
        lambda: lists.free_irp(1 << 32),
        lambda: lists.allocate_mdl(1 << 40, 1),
        lambda: lists.free_mdl(-8),
    ):
        with pytest.raises(ValueError, match="give 0 to"):
            call()
    with pytest.raises(TypeError, match=r"stack size 1\.5"):
        lists.allocate_irp(1.5)  # type: ignore[arg-type]
    assert not kernel.pool.rows()


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

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheckCode,
    InvariantError,
    Kernel,
    NtStatus,
    NtStatusError,
    PoolManager,
    PoolType,
    Verifier,
    VerifierFlags,
    ddi,
)
from tests.misuse import allocated, stop_of

NONPAGED, PAGED, NX = PoolType.NonPagedPool, PoolType.PagedPool, PoolType.NonPagedPoolNx


def test_the_plain_pool_stays_until_somebody_wants_more() -> None:
    kernel = Kernel()
    assert type(kernel.pool) is PoolManager

    assert kernel.pool is kernel.pool


# --- small-pool lists --------------------------------------------------------------------


def test_a_freed_block_is_parked_and_comes_back_first() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.pool.free(address)
    header = int.from_bytes(kernel.read(address - 16, 4), "little")
    assert header >> 24 == 4  # PoolType of a parked nonpaged block
    assert kernel.pool.usage(b"Test").nonpaged_bytes == 0
    kernel.check()
    assert allocated(kernel, 33, tag=b"Othr") == address
    block = kernel.pool.query(address)
    assert block is not None
    assert (block.size, str(block.tag)) == (33, "Othr")
    kernel.check()


def test_small_lists_count_hits() -> None:
    kernel = Kernel(small_pool_lists=True)
    assert kernel.small_pool_lists is not None
    blocks = [allocated(kernel, 40) for _ in range(5)]
    for block in blocks:
        kernel.pool.free(block)
    small = kernel.small_pool_lists.of(0, NONPAGED)[3]  # 64 bytes with the header
    assert (small.total_allocates, small.allocate_counted) == (5, 0)
    assert (small.total_frees, small.free_counted, small.held) == (5, 4, 4)
    assert (small.allocate_misses, small.free_misses) == (5, 1)
    assert [allocated(kernel, 40) for _ in range(4)] == blocks[3::-1]
    assert (small.total_allocates, small.allocate_counted, small.held) == (9, 4, 0)
    image = kernel.read(small.address, small.image_size)
    small.load_image(image)
    assert small.store_image() == image


def test_each_pool_and_processor_has_lists_of_its_own() -> None:
    kernel = Kernel(processors=2, small_pool_lists=True)
    for pool_type in (NONPAGED, PAGED, NX):
        address = allocated(kernel, 40, pool_type)
        with kernel.on_processor(1):
            kernel.pool.free(address)
        assert allocated(kernel, 40, pool_type) != address
        with kernel.on_processor(1):
            assert allocated(kernel, 40, pool_type) == address
    kernel.check()


@pytest.mark.parametrize(("size", "parked"), [(496, True), (497, False)])
def test_only_blocks_of_32_units_are_parked(size: int, parked: bool) -> None:
    kernel = Kernel(small_pool_lists=True)
    assert kernel.small_pool_lists is not None
    address = allocated(kernel, size)
    kernel.pool.free(address)
    assert bool(list(kernel.small_pool_lists.all())) is parked


def test_phase_2_scans_one_set_a_time() -> None:
    kernel = Kernel(processors=2, small_pool_lists=True)
    assert kernel.small_pool_lists is not None
    lists = [kernel.small_pool_lists.of(number, NONPAGED)[3] for number in range(2)]
    for number in range(2):
        with kernel.on_processor(number):
            # 200 in the 6 seconds between two scans is busy, and all of them miss.
            for _ in range(200):
                allocated(kernel, 40)
    kernel.tick(3)
    assert [each.depth for each in lists] == [30 + 4, 4]
    kernel.tick(3)
    assert [each.depth for each in lists] == [34, 34]
    kernel.tick(6)  # the shared lists, then processor 0 again, idle now
    assert [each.depth for each in lists] == [24, 34]


def test_a_write_after_the_free_redirects_the_list() -> None:
    kernel = Kernel(small_pool_lists=True)
    first, second = allocated(kernel, 40), allocated(kernel, 40)
    target = allocated(kernel, 600)
    kernel.pool.free(second)
    kernel.pool.free(first)
    kernel.write(first, target.to_bytes(8, "little"))
    assert allocated(kernel, 40) == first
    assert allocated(kernel, 40) == target


def test_a_double_free_of_a_parked_block() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.pool.free(address)
    stop = stop_of(lambda: kernel.pool.free(address))
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_CALLER, 7)


def test_damage_behind_the_block_is_found_before_it_is_parked() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 48)
    kernel.write(address + 48, b"\xff")
    stop = stop_of(lambda: kernel.pool.free(address))
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_HEADER, 0x20)


def test_a_wrong_tag_is_found_before_the_block_is_parked() -> None:
    kernel = Kernel(small_pool_lists=True, strict_pool_tags=True)
    address = allocated(kernel, 48)
    stop = stop_of(lambda: kernel.pool.free(address, b"Othr"))
    assert (stop.code, stop.parameters[0]) == (BugCheckCode.BAD_POOL_CALLER, 0x0A)


# --- delayed frees -----------------------------------------------------------------------


def test_32_delayed_frees_are_freed_at_once() -> None:
    kernel = Kernel(delayed_free=True)
    blocks = [allocated(kernel, 600) for _ in range(33)]
    for block in blocks[:31]:
        kernel.pool.free(block)
    assert kernel.pending_frees is not None
    assert len(kernel.pending_frees["NonPagedPool"]) == 31
    assert kernel.pool.usage(b"Test").nonpaged_frees == 31
    kernel.check()
    kernel.pool.free(blocks[31])
    assert kernel.pending_frees["NonPagedPool"] == []
    assert kernel.pool.usage(b"Test").nonpaged_frees == 32
    kernel.check()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5000), st.sampled_from([0, 1, 512])),
        max_size=120,
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["x64", "x86"]),
)
def test_any_order_keeps_the_pool_sound(
    program: list[tuple[int, int, int]], small: bool, delayed: bool, arch: str
) -> None:
    kernel = Kernel(arch, small_pool_lists=small, delayed_free=delayed, track_pool=True)
    live: list[int] = []
    for action, value, pool_type in program:
        if action < 2:
            live.append(allocated(kernel, value % 700 if action else value, pool_type))
        elif live:
            kernel.pool.free(live.pop(value % len(live)))
    kernel.check()
    assert kernel.ledger is not None
    assert sorted(kernel.ledger.live) == sorted(live)
    for address in live:
        kernel.pool.free(address)
    kernel.check()
    usage = kernel.pool.usage(b"Test")
    assert (usage.nonpaged_bytes, usage.paged_bytes) == (0, 0)


# --- quota -------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_a_charged_block_names_its_process(arch: str) -> None:
    kernel = Kernel(arch)
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process):
        address = ddi.ExAllocatePoolWithQuotaTag(PAGED, 100, b"Quot")
        block = kernel.pool.query(address)
        assert block is not None
        assert (process.paged_usage, process.references) == (block.block_size, 1)
        if arch == "x64":
            assert int.from_bytes(kernel.read(address - 8, 8), "little") == process.address
            assert kernel.read(address - 13, 1) == b"\x0b"
        else:
            assert block.size == 104
            end = address + block.block_size - 8
            assert int.from_bytes(kernel.read(end - 4, 4), "little") == process.address
        kernel.check()
        ddi.ExFreePool(address)
        assert (process.paged_usage, process.references) == (0, 0)
        kernel.check()


def test_quota_failures_raise_or_are_null() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe", nonpaged_quota=64)
    with kernel, kernel.processes.running(process):
        quiet = NONPAGED | PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
        assert ddi.ExAllocatePoolWithQuotaTag(quiet, 100, b"Quot") == 0
        with pytest.raises(NtStatusError) as caught:
            ddi.ExAllocatePoolWithQuota(NONPAGED, 100)
        assert caught.value.status is NtStatus.STATUS_QUOTA_EXCEEDED
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_USE_QUOTA
        assert ddi.ExAllocatePool2(flags, 100, b"Quot") == 0
        with pytest.raises(NtStatusError):
            ddi.ExAllocatePool2(flags | ddi.POOL_FLAG_RAISE_ON_FAILURE, 100, b"Quot")
    assert kernel.pool.usage(b"Quot").outstanding == 0
    assert process.nonpaged_usage == 0
    kernel.check()


def test_no_memory_raises_with_quota() -> None:
    kernel = Kernel(nonpaged_pool_bytes=0)
    with kernel, pytest.raises(NtStatusError) as caught:
        ddi.ExAllocatePoolQuotaZero(NONPAGED, 100, b"Quot")
    assert caught.value.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES


def test_the_system_process_and_big_blocks_are_not_charged() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe")
    with kernel:
        ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 100, b"Quot")
        assert kernel.processes.system.nonpaged_usage == 0
        with kernel.processes.running(process):
            ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 8192, b"Quot")
    assert process.nonpaged_usage == 0


def test_an_overwritten_process_pointer() -> None:
    kernel = Kernel()
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process):
        address = ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 100, b"Quot")
        kernel.write(address - 8, bytes(8))
        stop = stop_of(lambda: ddi.ExFreePool(address))
    assert (stop.code, stop.parameters[:2]) == (BugCheckCode.BAD_POOL_CALLER, (0x0D, address))


def test_charges_in_special_pool() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SPECIAL_POOL))
    process = kernel.processes.create("app.exe")
    with kernel, kernel.processes.running(process):
        address = ddi.ExAllocatePoolWithQuotaTag(NONPAGED, 100, b"Quot")
        assert process.nonpaged_usage > 0
        ddi.ExFreePool(address)
    assert process.nonpaged_usage == 0


# --- priorities, flags, events -----------------------------------------------------------


def test_low_priority_fails_first() -> None:
    kernel = Kernel(nonpaged_pool_bytes=32 * 4096)
    with kernel:
        for _ in range(31):
            assert ddi.ExAllocatePoolWithTag(NONPAGED, 4096, b"Fill")
        low, high = ddi.LowPoolPriority, ddi.HighPoolPriority
        assert ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", low) == 0
        assert ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", high)
        with pytest.raises(ValueError, match="priority"):
            ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", 3)


def test_a_priority_chooses_the_end_that_special_pool_guards() -> None:
    kernel = Kernel(verifier=Verifier(VerifierFlags.SPECIAL_POOL))
    with kernel:
        under = ddi.ExAllocatePoolPriorityZero(
            NONPAGED, 100, b"Test", ddi.NormalPoolPrioritySpecialPoolUnderrun
        )
        over = ddi.ExAllocatePoolPriorityUninitialized(
            NONPAGED, 100, b"Test", ddi.NormalPoolPrioritySpecialPoolOverrun
        )
    assert under % 4096 == 0
    assert over % 4096 == 0xF90
    assert kernel.read(under, 100) == bytes(100)


@pytest.mark.parametrize(
    ("flags", "size", "tag"),
    [
        (0x40 | 0x10, 8, b"Test"),
        (0x40 | 0x200, 8, b"Test"),
        (0x40 | 0x400, 8, b"Test"),
        (0x40 | 0x80000000, 8, b"Test"),
        (0, 8, b"Test"),
        (0x40 | 0x100, 8, b"Test"),
        (0x40, 0, b"Test"),
        (0x40, 8, bytes(4)),
    ],
)
def test_bad_flags_are_null_or_raise(flags: int, size: int, tag: bytes) -> None:
    with Kernel():
        assert ddi.ExAllocatePool2(flags, size, tag) == 0
        with pytest.raises(NtStatusError):
            ddi.ExAllocatePool2(flags | ddi.POOL_FLAG_RAISE_ON_FAILURE, size, tag)


def test_optional_flags_are_ignored_and_memory_is_zeroed() -> None:
    kernel = Kernel()
    with kernel:
        unknown = ddi.POOL_FLAG_OPTIONAL_END | ddi.POOL_FLAG_SPECIAL_POOL
        address = ddi.ExAllocatePool2(ddi.POOL_FLAG_PAGED | unknown, 40, b"Test")
        assert kernel.read(address, 40) == bytes(40)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_UNINITIALIZED
        plain = ddi.ExAllocatePool2(flags | ddi.POOL_FLAG_CACHE_ALIGNED, 40, b"Test")
        assert kernel.read(plain, 40) != bytes(40)
        ddi.ExFreePool2(plain, b"Test", 0, 0)
        stop = stop_of(lambda: ddi.ExFreePool2(address, b"Test", None, 1))
    assert stop.parameters == (0x99, address, 0, 0)


def test_events_follow_the_pool() -> None:
    kernel = Kernel(nonpaged_pool_bytes=64 * 4096, nonpaged_nx_pool_bytes=0)
    with kernel:
        low = ddi.IoCreateNotificationEvent("\\KernelObjects\\LowNonPagedPoolCondition")
        high = ddi.IoCreateNotificationEvent("HighNonPagedPoolCondition")
        paged = ddi.IoCreateNotificationEvent("HighPagedPoolCondition")
        memory = ddi.IoCreateNotificationEvent("LowMemoryCondition")
        assert (ddi.KeReadStateEvent(low), ddi.KeReadStateEvent(high)) == (0, 1)
        ddi.ExAllocatePoolWithTag(NONPAGED, 60 * 4096, b"Fill")
        assert (ddi.KeReadStateEvent(low), ddi.KeReadStateEvent(high)) == (1, 0)
        assert (ddi.KeReadStateEvent(paged), ddi.KeReadStateEvent(memory)) == (1, 0)
        with pytest.raises(ValueError, match="LowPagedPoolCondition"):
            ddi.IoCreateNotificationEvent("Nonsense")


def test_small_blocks_are_zeroed_when_asked() -> None:
    kernel = Kernel("x86", small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.write(address, b"\xff" * 40)
    kernel.pool.free(address)
    assert allocated(kernel, 40, PoolType.POOL_ZERO_ALLOCATION) == address
    assert kernel.read(address, 40) == bytes(40)
    kernel.pool.free(address)
    assert kernel.small_pool_lists is not None
    small = next(kernel.small_pool_lists.all())
    before = small.store_image()
    small.load_image(before)
    assert (small.first, small.held, small.store_image()) == (address, 1, before)


def test_a_forged_link_out_of_the_pool_is_handed_out_all_the_same() -> None:
    kernel = Kernel(small_pool_lists=True)
    blocks = [allocated(kernel, 40) for _ in range(2)]
    for block in blocks:
        kernel.pool.free(block)
    other = kernel.registry.nonpaged.address
    kernel.write(blocks[1], other.to_bytes(8, "little"))
    with pytest.raises(InvariantError):
        kernel.check()
    assert allocated(kernel, 40) == blocks[1]
    assert allocated(kernel, 40) == other


def test_a_long_chain_of_the_lists_of_irps_is_found() -> None:
    kernel = Kernel()
    irps = [kernel.io_lists.allocate_irp(1) for _ in range(2)]
    for irp in irps:
        kernel.io_lists.free_irp(irp)
    kernel.write(irps[1], bytes(8))
    with pytest.raises(InvariantError):
        kernel.check()


def test_the_memory_of_a_delayed_free_may_be_overwritten() -> None:
    kernel = Kernel(delayed_free=True)
    blocks = [allocated(kernel, 600) for _ in range(32)]
    kernel.pool.free(blocks[0])
    kernel.write(blocks[0] - 16, bytes(4))  # its header: no block any more
    for block in blocks[1:]:
        kernel.pool.free(block)
    assert kernel.pool.usage(b"Test").nonpaged_frees == 32


def test_a_block_with_a_damaged_size_is_not_parked() -> None:
    kernel = Kernel(small_pool_lists=True)
    address = allocated(kernel, 40)
    kernel.write(address - 14, b"\0")
    stop = stop_of(lambda: kernel.pool.free(address))
    assert stop.code is BugCheckCode.BAD_POOL_HEADER


def test_what_is_no_address_is_refused() -> None:
    kernel = Kernel(track_pool=True)
    for bad in ("x", 1.5):
        with pytest.raises(TypeError):
            kernel.pool.free(bad)  # type: ignore[arg-type]
    allocated(kernel)
    stop = stop_of(lambda: kernel.pool.free(kernel.pool.nonpaged.base + 0x1018))
    assert stop.code is BugCheckCode.BAD_POOL_CALLER


def test_the_ledger_forgets_the_oldest_frees() -> None:
    from lookaside_sim.pool import ledger

    kernel = Kernel(track_pool=True)
    assert kernel.ledger is not None
    site = kernel.drivers.call_site()
    for address in range(ledger.LOG_ENTRIES + 1):
        kernel.ledger.add(address, 1, 1, 0, None, site)
        kernel.ledger.remove(address, site)
    assert len(kernel.ledger.freed) == ledger.LOG_ENTRIES
    assert 0 not in kernel.ledger.freed
    assert kernel.ledger.describe(0) == "the block at 0x0"


class Heard:
    """An observer's notes of pool calls."""

    def __init__(self) -> None:
        self.calls: list[int | None] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.calls.append(arguments[0])


def test_observers_hear_of_priority_and_special_requests() -> None:
    kernel = Kernel()
    heard = Heard()
    kernel.observe(heard)  # type: ignore[arg-type]
    with kernel:
        one = ddi.ExAllocatePoolWithTagPriority(NONPAGED, 100, b"Test", ddi.HighPoolPriority)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL
        two = ddi.ExAllocatePool2(flags, 100, b"Test")
    assert heard.calls == [one, two]


def test_an_observer_of_a_machine_with_a_verifier() -> None:
    kernel = Kernel(verifier=Verifier.standard(drivers=["my.sys"]), nonpaged_pool_bytes=1 << 20)
    heard = Heard()
    kernel.observe(heard)  # type: ignore[arg-type]
    with kernel:
        one = ddi.ExAllocatePoolWithTagPriority(NONPAGED, 9, b"Test", ddi.LowPoolPriority)
        flags = ddi.POOL_FLAG_NON_PAGED | ddi.POOL_FLAG_SPECIAL_POOL
        two = ddi.ExAllocatePool2(flags, 100, b"Test")
        assert heard.calls == [one, two]
        kernel.observe(None)
        ddi.ExFreePool(one)
        ddi.ExFreePool(two)
        for _ in range(300):
            last = ddi.ExAllocatePoolWithTag(NONPAGED, 4096, b"Test")
    assert last == 0
    plain = Kernel(verifier=Verifier(VerifierFlags.AUTOMATIC_CHECKS, drivers=["my.sys"]))
    with plain:
        assert ddi.ExAllocatePool2(flags, 100, b"Test")
    with pytest.raises(TypeError):
        plain.pool.free_block("x")  # type: ignore[arg-type]

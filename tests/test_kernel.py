"""The machine: construction, memory, stopping, and which kernel is current."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from lookaside_sim import (
    Box,
    BugCheck,
    BugCheckCode,
    InvariantError,
    Irql,
    Kernel,
    Layout,
    LookasideAllocator,
    LookasideList,
    PoolType,
    ddi,
    windbg,
)
from tests.helpers import allocated, new_list, nowhere

# --- construction ------------------------------------------------------------------------


def test_the_defaults() -> None:
    kernel = Kernel()
    assert kernel.arch.name == "x64"
    assert (kernel.processors, kernel.irql, kernel.seconds) == (1, Irql.PASSIVE_LEVEL, 0)
    assert kernel.bugcheck is None


def test_a_machine_takes_little_memory_until_its_pools_are_used() -> None:
    kernels = [Kernel()]  # what all kernels share is made once
    tracemalloc.start()
    try:
        kernels += [Kernel() for _ in range(10)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / 10 < 30_000


@pytest.mark.parametrize("name", ["X64", "arm64", "", None, 64, ["x64"]])
def test_an_unknown_machine_is_refused(name: object) -> None:
    with pytest.raises(ValueError, match="arch="):
        Kernel(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("processors", [0, -1, 65, 1000])
def test_the_number_of_processors_is_checked(arch: str, processors: int) -> None:
    with pytest.raises(ValueError, match=f"processors.{processors}"):
        Kernel(arch, processors=processors)


@pytest.mark.parametrize("processors", [1, 2, 64])
def test_machines_have_1_to_64_processors(arch: str, processors: int) -> None:
    assert Kernel(arch, processors).processors == processors


@pytest.mark.parametrize(
    "name", ["nonpaged_pool_bytes", "paged_pool_bytes", "nonpaged_nx_pool_bytes"]
)
def test_pool_limits_are_checked(arch: str, name: str) -> None:
    for value in (-1, 1 << 50):
        with pytest.raises(ValueError, match=f"{name}.{value}"):
            Kernel(arch, **{name: value})  # type: ignore[arg-type]
    for wrong in (1.5, "4096"):
        with pytest.raises(TypeError):
            Kernel(arch, **{name: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"processors": "1"}, {"processors": 1.0}, {"seed": "x"}])
def test_other_types_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Kernel(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "pool_type"),
    [
        ("nonpaged_pool_bytes", PoolType.NonPagedPool),
        ("paged_pool_bytes", PoolType.PagedPool),
        ("nonpaged_nx_pool_bytes", PoolType.NonPagedPoolNx),
    ],
)
def test_each_pool_has_its_limit(arch: str, name: str, pool_type: PoolType) -> None:
    kernel = Kernel(arch, **{name: 2 * 4096})  # type: ignore[arg-type]
    pages = [kernel.pool.allocate(pool_type, 4096, b"page") for _ in range(3)]
    assert [page is None for page in pages] == [False, False, True]
    for other in PoolType.NonPagedPool, PoolType.PagedPool:
        if other is not pool_type:
            blocks = [kernel.pool.allocate(other, 4096, b"page") for _ in range(3)]
            assert None not in blocks


def test_the_nx_pool_is_as_large_as_the_nonpaged_one_by_default(arch: str) -> None:
    kernel = Kernel(arch, nonpaged_pool_bytes=4096)
    assert kernel.pool.allocate(PoolType.NonPagedPoolNx, 4096, b"page") is not None
    assert kernel.pool.allocate(PoolType.NonPagedPoolNx, 4096, b"page") is None


def test_the_seed_decides_what_fresh_memory_holds(arch: str) -> None:
    contents = []
    for seed in (1, 1, 2):
        kernel = Kernel(arch, seed=seed)
        block = allocated(kernel, 64, b"seed")
        contents.append(kernel.read(block, 64))
    assert contents[0] == contents[1] != contents[2]
    assert 0 not in contents[0]


def test_strict_pool_tags_check_every_block(arch: str) -> None:
    for strict in (False, True):
        kernel = Kernel(arch, strict_pool_tags=strict)
        block = kernel.pool.allocate(0, 64, b"aaaa")
        kernel.pool.allocate(0, 64, b"keep")
        if strict:
            with pytest.raises(BugCheck) as stop:
                kernel.pool.free(block, b"bbbb")
            assert stop.value.parameters[0] == 0xA
        else:
            kernel.pool.free(block, b"bbbb")
            assert kernel.bugcheck is None


def test_repr_shows_machine_pool_and_state(kernel: Kernel, arch: str) -> None:
    kernel.pool.allocate(0, 64, b"repr")
    assert repr(kernel) == f"<Kernel {arch} 0x1000 pool bytes, running>"
    with pytest.raises(BugCheck):
        kernel.read(nowhere(kernel), 1)
    assert repr(kernel) == (
        f"<Kernel {arch} 0x1000 pool bytes, stopped: PAGE_FAULT_IN_NONPAGED_AREA>"
    )


# --- memory ------------------------------------------------------------------------------


def test_memory_written_is_read(kernel: Kernel) -> None:
    block = allocated(kernel, 64, b"memo")
    kernel.write(block + 3, b"hello")
    assert kernel.read(block + 3, 5) == b"hello"
    for kind in (bytearray, memoryview):
        data: Any = kind(b"abcdef")
        kernel.write(block, data)
        assert kernel.read(block, 6) == b"abcdef"
        kernel.write(block, bytes(6))
    assert kernel.read(block, 0) == b""


@pytest.mark.parametrize(
    ("operation", "number"), [("read", 0), ("write", 2)], ids=["read", "write"]
)
def test_unmapped_memory_is_a_page_fault(kernel: Kernel, operation: str, number: int) -> None:
    where = nowhere(kernel)
    with pytest.raises(BugCheck) as stop:
        kernel.read(where, 4) if operation == "read" else kernel.write(where, b"abcd")
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA
    assert stop.value.parameters == (where, number, 0, 0)
    assert ("read" if number == 0 else "written") in stop.value.message


def test_the_fault_is_at_the_first_unmapped_byte(kernel: Kernel) -> None:
    lookaside = LookasideList(kernel)
    end = lookaside.address + lookaside.image_size
    with pytest.raises(BugCheck) as stop:
        kernel.read(end - 4, 8)
    assert stop.value.parameters == (end, 0, 0, 0)


@pytest.mark.parametrize(("address", "size"), [(-1, 1), (0, -1), (-8, -8)])
def test_negative_ranges_are_refused(kernel: Kernel, address: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"negative|give"):
        kernel.read(address, size)
    assert kernel.bugcheck is None


def test_other_memory_arguments_are_refused(kernel: Kernel) -> None:
    with pytest.raises(ValueError, match=r"negative|give"):
        kernel.write(-1, b"a")
    for address, data in (("0", b"a"), (0x1000, "text"), (0x1000, 5), (1.5, b"a")):
        with pytest.raises(TypeError):
            kernel.write(address, data)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        kernel.read(0x1000, 1.5)  # type: ignore[arg-type]
    assert kernel.bugcheck is None


# --- a stopped machine -------------------------------------------------------------------


class Machine:
    """A machine with something of every kind on it."""

    def __init__(self, arch: str) -> None:
        self.kernel = Kernel(arch)
        self.block = self.kernel.pool.allocate(0, 64, b"blck")
        self.lookaside = LookasideList(self.kernel, "drv!List")
        self.lookaside.initialize(size=32, tag=b"list")
        self.entry = self.lookaside.allocate()
        self.lookaside.free(self.lookaside.allocate())
        self.full = LookasideList(self.kernel)
        self.full.initialize(size=32, tag=b"full")
        self.full.set_depth(0)
        self.inside = LookasideList(
            self.kernel, address=self.kernel.pool.allocate(0, 0x100, b"DExt")
        )
        self.inside.initialize(size=32, tag=b"insd")
        self.blank = LookasideList(self.kernel)
        self.allocator = LookasideAllocator(self.kernel)
        self.allocator.init(16, 0)
        self.layout = Layout(16)
        self.pointer = self.allocator.allocate(self.layout).pointer
        self.idle = LookasideAllocator(self.kernel)
        self.box: Box = self.allocator.box(bytes(16))

    def stop(self) -> BugCheck:
        with pytest.raises(BugCheck) as stop:
            self.kernel.lower_irql(15)
        return stop.value


CALLS: dict[str, Callable[[Machine], object]] = {
    "tick": lambda m: m.kernel.tick(),
    "tick 0": lambda m: m.kernel.tick(0),
    "raise_irql": lambda m: m.kernel.raise_irql(2),
    "lower_irql": lambda m: m.kernel.lower_irql(0),
    "read": lambda m: m.kernel.read(m.lookaside.address, 4),
    "read nothing": lambda m: m.kernel.read(nowhere(m.kernel), 0),
    "write": lambda m: m.kernel.write(m.lookaside.address, b"abcd"),
    "stop": lambda m: m.kernel.machine.stop(
        BugCheckCode.BAD_POOL_CALLER, (0, 0, 0, 0), "again"
    ),
    "page_fault": lambda m: m.kernel.machine.page_fault(0),
    "pool.allocate": lambda m: m.kernel.pool.allocate(0, 64, b"blck"),
    "pool.allocate big": lambda m: m.kernel.pool.allocate(0, 9000, b"blck"),
    "pool.allocate tag 0": lambda m: m.kernel.pool.allocate(0, 64, 0),
    "pool.free": lambda m: m.kernel.pool.free(m.block),
    "pool.free NULL": lambda m: m.kernel.pool.free(None),
    "pool.usage": lambda m: m.kernel.pool.usage(b"blck"),
    "pool.tags": lambda m: m.kernel.pool.tags(),
    "pool.query": lambda m: m.kernel.pool.query(m.block or 0),
    "LookasideList": lambda m: LookasideList(m.kernel),
    "initialize": lambda m: m.blank.initialize(size=32, tag=b"blnk"),
    "initialize, refused": lambda m: m.blank.initialize(size=32, tag=b"blnk", depth=1),
    "initialize_older": lambda m: m.blank.initialize_older(pool_type=0, size=8, tag=b"blnk"),
    "allocate, a hit": lambda m: m.lookaside.allocate(),
    "allocate, a miss": lambda m: m.full.allocate(),
    "allocate, embedded": lambda m: m.inside.allocate(),
    "free, a hit": lambda m: m.lookaside.free(m.entry),
    "free, a miss": lambda m: m.full.free(m.entry),
    "free, embedded": lambda m: m.inside.free(m.entry),
    "free NULL": lambda m: m.lookaside.free(None),
    "flush": lambda m: m.lookaside.flush(),
    "flush, empty": lambda m: m.full.flush(),
    "flush, embedded": lambda m: m.inside.flush(),
    "delete": lambda m: m.lookaside.delete(),
    "LookasideAllocator": lambda m: LookasideAllocator(m.kernel),
    "alloc": lambda m: m.allocator.alloc(),
    "alloc, not initialized": lambda m: m.idle.alloc(),
    "init": lambda m: m.idle.init(16, 0),
    "allocator.free": lambda m: m.allocator.free(m.pointer),
    "allocator.allocate": lambda m: m.allocator.allocate(m.layout),
    "deallocate": lambda m: m.allocator.deallocate(m.pointer, m.layout),
    "box": lambda m: m.allocator.box(bytes(16)),
    "box.close": lambda m: m.box.close(),
    "box.value": lambda m: m.box.value,
    "destroy": lambda m: m.allocator.destroy(),
    "ExAllocatePool2": lambda m: ddi.ExAllocatePool2(0x40, 16, b"ddi "),
    "ExAllocatePool2, refused": lambda m: ddi.ExAllocatePool2(0, 16, b"ddi "),
    "ExFreePool": lambda m: ddi.ExFreePool(m.block or 0),
    "windbg.reset_counters": lambda m: windbg.reset_counters(m.lookaside),
    "windbg.reset_counters, embedded": lambda m: windbg.reset_counters(m.inside),
    "windbg.set_depth": lambda m: windbg.set_depth(m.lookaside, 9),
    "windbg.set_depth, embedded": lambda m: windbg.set_depth(m.inside, 9),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_later_call_raises_the_same_stop(arch: str, name: str) -> None:
    machine = Machine(arch)
    stop = machine.stop()
    lists = (machine.lookaside, machine.full, machine.inside, machine.blank)
    before = [bytes(each) for each in lists]
    for _ in range(2):
        with machine.kernel, pytest.raises(BugCheck) as again:
            CALLS[name](machine)
        assert again.value is stop
        assert machine.kernel.bugcheck is stop
    assert [bytes(each) for each in lists] == before


def test_a_stopped_machine_can_be_looked_at(arch: str) -> None:
    machine = Machine(arch)
    lists = (machine.lookaside, machine.full, machine.inside)
    shown = [windbg.lookaside(each) for each in lists]
    images = [bytes(each) for each in lists]
    totals = windbg.lookasides(machine.kernel)
    machine.stop()
    assert [windbg.lookaside(each) for each in lists] == shown
    assert [bytes(each) for each in lists] == images
    assert windbg.lookasides(machine.kernel, [*lists, machine.allocator.lookaside]) == totals
    assert machine.lookaside.current_depth == 1
    assert machine.lookaside.total_allocates == 2
    assert repr(machine.inside).endswith("active>")
    assert len(list(machine.lookaside.entries())) == 1


def test_check_walks_pool_and_lists(kernel: Kernel) -> None:
    lookaside = new_list(kernel, size=32, tag=b"chck")
    entry = lookaside.allocate()
    lookaside.free(entry)
    kernel.check()
    kernel.write(lookaside.address + (0 if kernel.arch.name == "x64" else 4), b"\x07")
    with pytest.raises(InvariantError, match="7 entries"):
        kernel.check()


# --- which kernel is current -------------------------------------------------------------


def test_the_innermost_kernel_is_current(arch: str) -> None:
    outer, inner = Kernel(arch), Kernel(arch)
    with outer as entered:
        assert entered is outer
        ddi.ExAllocatePoolWithTag(0, 16, b"oute")
        with inner:
            ddi.ExAllocatePoolWithTag(0, 16, b"inne")
            with outer:
                ddi.ExAllocatePoolWithTag(0, 16, b"oute")
        ddi.ExAllocatePoolWithTag(0, 16, b"oute")
    assert outer.pool.usage(b"oute").nonpaged_allocs == 3
    assert outer.pool.usage(b"inne").nonpaged_allocs == 0
    assert inner.pool.usage(b"inne").nonpaged_allocs == 1


def test_outside_no_kernel_is_current(kernel: Kernel) -> None:
    with pytest.raises(LookupError, match="with kernel"):
        ddi.ExAllocatePool(0, 16)
    with kernel:
        block = ddi.ExAllocatePool(0, 16)
    with pytest.raises(LookupError, match="no kernel is current"):
        ddi.ExFreePool(block)


def test_an_exception_leaves_the_kernel(kernel: Kernel) -> None:
    with pytest.raises(KeyError), kernel:
        raise KeyError("body")
    with pytest.raises(LookupError):
        ddi.ExAllocatePool2(0x40, 16, b"none")


@pytest.mark.parametrize(
    "name", ["strict_pool_tags", "sanitizer", "small_pool_lists", "delayed_free", "track_pool"]
)
@pytest.mark.parametrize("value", ["no", 2, 1.0, None])
def test_a_switch_is_true_or_false(name: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{name} .*: give True or False"):
        Kernel(**{name: value})  # type: ignore[arg-type]

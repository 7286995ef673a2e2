"""Routines have addresses, and lists call through them."""

from __future__ import annotations

from weakref import ref

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList, PoolTag, PoolType
from tests.helpers import allocated, new_list, nowhere, peek, poke, stop_of, violation_of


def routines_of(lookaside: LookasideList) -> tuple[int, int]:
    """AllocateEx and FreeEx."""
    image, arch = bytes(lookaside), lookaside.arch.name
    return peek(image, arch, "AllocateEx"), peek(image, arch, "FreeEx")


def grab(pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList) -> int | None:
    return None


def drop(entry: int, lookaside: LookasideList) -> None:
    pass


def make(kernel: Kernel, custom: bool) -> LookasideList:
    lookaside = new_list(
        kernel,
        size=32,
        tag=b"rout",
        allocate=grab if custom else None,
        free=drop if custom else None,
    )
    return lookaside


def test_the_defaults_have_one_address_each(kernel: Kernel) -> None:
    first, second = make(kernel, False), make(kernel, False)
    assert routines_of(first) == routines_of(second)
    allocate, free = routines_of(first)
    assert allocate != free
    assert allocate in kernel.routines.default_allocates
    assert free in kernel.routines.default_frees


def test_a_routine_keeps_its_address(kernel: Kernel) -> None:
    first, second, plain = make(kernel, True), make(kernel, True), make(kernel, False)
    assert routines_of(first) == routines_of(second)
    assert len({*routines_of(first), *routines_of(plain)}) == 4


def test_code_is_executed_not_read(kernel: Kernel) -> None:
    with pytest.raises(BugCheck) as stop:
        kernel.read(kernel.routines.default_allocate, 1)
    assert stop.value.code is BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA


def test_an_address_gives_its_routine_back(kernel: Kernel) -> None:
    routines = kernel.routines
    assert routines.allocate_routine(routines.allocate_address(grab)) is grab
    assert routines.free_routine(routines.free_address(drop)) is drop


@pytest.mark.parametrize("kind", ["allocate_routine", "free_routine"])
def test_an_address_without_a_routine_faults(kernel: Kernel, kind: str) -> None:
    assert violation_of(lambda: getattr(kernel.routines, kind)(0x1234)) == (8, 0x1234)
    stop = stop_of(lambda: getattr(kernel.routines, kind)(nowhere(kernel)))
    assert stop.parameters == (nowhere(kernel), 0x10, 0, 0)
    assert "executed" in stop.message


def test_a_routine_may_chain_to_the_defaults(kernel: Kernel) -> None:
    routines = kernel.routines
    default_allocate = routines.allocate_routine(routines.default_allocate)
    default_free = routines.free_routine(routines.default_free)
    calls: list[str] = []

    def allocate(
        pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
    ) -> int | None:
        calls.append("allocate")
        return default_allocate(pool_type, size, tag, lookaside)

    def free(entry: int, lookaside: LookasideList) -> None:
        calls.append("free")
        default_free(entry, lookaside)

    lookaside = new_list(
        kernel, pool_type=1, size=32, tag=b"chan", allocate=allocate, free=free
    )
    entry = lookaside.allocate()
    assert entry is not None
    block = kernel.pool.query(entry)
    assert block is not None
    assert (block.tag, block.size) == (PoolTag(b"chan"), 32)
    lookaside.free(entry)
    lookaside.flush()
    assert calls == ["allocate", "free"]
    assert kernel.pool.query(entry) is None


def test_the_free_default_in_allocate_ex_frees_the_pool_type(kernel: Kernel) -> None:
    lookaside = make(kernel, False)
    _, free = routines_of(lookaside)
    poke(kernel, lookaside, AllocateEx=free)
    with pytest.raises(BugCheck) as stop:
        lookaside.allocate()
    assert stop.value.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.value.parameters == (0x40, 0, kernel.arch.system_start, 0)


def test_the_allocate_default_in_free_ex_is_no_python_error(kernel: Kernel) -> None:
    # ExAllocatePoolWithTag(entry, list, ...): whatever comes of it, it is NT that reports it.
    lookaside = make(kernel, False)
    entry = lookaside.allocate()
    allocate, _ = routines_of(lookaside)
    poke(kernel, lookaside, FreeEx=allocate)
    lookaside.set_depth(0)
    with pytest.raises(BugCheck):
        lookaside.free(entry)


def test_a_routine_goes_with_the_last_list_it_was_given_to() -> None:
    kernel = Kernel()

    class Pool:
        def grab(
            self, pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
        ) -> int | None:
            return kernel.pool.allocate(pool_type, size, tag)

        def drop(self, entry: int, lookaside: LookasideList) -> None:
            kernel.pool.free(entry)

    pool = Pool()
    watch = ref(pool)
    first, second = kernel.lookaside_list(), None
    block = allocated(kernel, first.image_size)
    for lookaside in (first, kernel.lookaside_list(address=block)):
        lookaside.initialize(size=32, tag=b"Rtns", allocate=pool.grab, free=pool.drop)
        second = lookaside
    assert second is not None
    address = first.allocate_ex
    assert second.allocate_ex == address
    del pool, lookaside, second
    assert kernel.list_at(block).allocate_ex == address  # the system-wide list holds it
    first.delete()
    assert first.allocate() is not None  # its fields are as they were
    kernel.list_at(block).delete()
    assert watch() is not None
    for _ in range(300):
        kernel.lookaside_list()
    assert watch() is not None
    image, where = bytes(first), first.address
    del first
    for _ in range(600):
        kernel.lookaside_list()
    assert watch() is None
    assert kernel.routines.at(address) is None
    assert kernel.routines.role_of(address) is None
    assert kernel.read(where, len(image)) == image
    left = kernel.list_at(where)
    with pytest.raises(BugCheck) as stop:
        left.allocate()
    assert stop.value.parameters[0] == address


@pytest.mark.parametrize("how", ["asked", "placed", "a copy"])
def test_a_routine_that_somebody_else_knows_stays(how: str) -> None:
    kernel = Kernel()
    lookaside = kernel.lookaside_list(address=allocated(kernel, 0x60))

    def free(entry: int, lookaside: LookasideList) -> None:
        kernel.pool.free(entry)

    lookaside.initialize(size=32, tag=b"Rtns", free=free)
    address = lookaside.free_ex
    if how == "asked":
        assert kernel.routines.address_of(free) == address
    elif how == "placed":
        kernel.routines.place_at(address, free)
    else:
        kernel = kernel.clone()
        lookaside = kernel.list_at(lookaside.address)
    lookaside.delete()
    del lookaside
    assert kernel.routines.at(address) is free

"""Fields of a list that were overwritten: NT's stops come out of it, and NT's counters."""

from __future__ import annotations

from typing import Any

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideList, PoolTag, PoolType

ARCHES = pytest.mark.parametrize("arch", ["x64", "x86"])


def make(arch: str, **options: Any) -> tuple[Kernel, LookasideList]:
    kernel = Kernel(arch)
    lookaside = kernel.lookaside_list()
    assert lookaside.initialize(size=64, tag=b"tseT", **options).is_success
    return kernel, lookaside


def overwrite(kernel: Kernel, lookaside: LookasideList, field: str, value: int) -> None:
    size = kernel.arch.pointer_size if field.endswith("Ex") else 4
    at = lookaside.address + kernel.arch.lookaside_offsets[field]
    kernel.write(at, value.to_bytes(size, "little"))


@ARCHES
@pytest.mark.parametrize("pool_type", [3, 7, 0xFFFF, 0xFFFF_FFFF])
def test_a_type_of_must_succeed_pool_is_refused_as_such(arch: str, pool_type: int) -> None:
    kernel, lookaside = make(arch)
    overwrite(kernel, lookaside, "Type", pool_type)
    with pytest.raises(BugCheck) as caught:
        lookaside.allocate()
    assert caught.value.code is BugCheckCode.BAD_POOL_CALLER
    assert caught.value.parameters[:1] == (0x9A,)
    assert (lookaside.total_allocates, lookaside.allocate_misses) == (1, 1)


@ARCHES
def test_bits_of_a_type_that_say_nothing_are_not_looked_at(arch: str) -> None:
    kernel, lookaside = make(arch)
    overwrite(kernel, lookaside, "Type", 0x8000_8001)
    entry = lookaside.allocate()
    assert entry is not None
    block = kernel.pool.query(entry)
    assert block is not None
    assert block.pool_type.is_paged


@ARCHES
def test_a_free_routine_in_allocate_ex_takes_the_arguments_for_its_own(arch: str) -> None:
    seen: list[tuple[int, int]] = []

    def free(entry: int, lookaside: LookasideList) -> None:
        seen.append((entry, lookaside.address))

    kernel, lookaside = make(arch, free=free)
    overwrite(kernel, lookaside, "AllocateEx", lookaside.free_ex)
    assert lookaside.allocate() is None
    assert seen == [(0, 64)]
    assert lookaside.allocate_misses == 1


@ARCHES
def test_an_allocate_routine_in_free_ex_takes_the_arguments_for_its_own(arch: str) -> None:
    seen: list[tuple[int, int, int, int]] = []

    def allocate(
        pool_type: PoolType, size: int, tag: PoolTag, lookaside: LookasideList
    ) -> None:
        seen.append((int(pool_type), size, int(tag), lookaside.address))

    kernel, lookaside = make(arch, allocate=allocate)
    overwrite(kernel, lookaside, "FreeEx", lookaside.allocate_ex)
    lookaside.set_depth(0)
    lookaside.free(0x1234_5670)
    assert seen == [(0x1234_5670, lookaside.address, 0, 0)]
    assert lookaside.free_misses == 1


def test_a_routine_that_is_both_stays_both() -> None:
    seen: list[int] = []

    def routine(*arguments: object) -> int:
        seen.append(len(arguments))
        return 0

    _, lookaside = make("x64", allocate=routine, free=routine)
    lookaside.set_depth(0)
    lookaside.allocate()
    lookaside.free(0x1000)
    assert seen == [4, 2]


@pytest.mark.parametrize("given", ["x", 1.5, -8, 1 << 64])
def test_an_allocate_routine_that_returns_no_address_is_refused(given: Any) -> None:
    _, lookaside = make("x64", allocate=lambda *arguments: given)
    with pytest.raises((TypeError, ValueError), match="what the allocate routine returned"):
        lookaside.allocate()

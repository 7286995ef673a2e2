"""What Driver Verifier demands of lookaside lists, and that they keep nothing under it."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Kernel,
    LookasideList,
    PoolType,
    Verifier,
    VerifierFlags,
)
from tests.helpers import VIOLATION, allocated, new_list, stop_of

AUTOMATIC = Verifier(VerifierFlags.AUTOMATIC_CHECKS)


TRACKING = Verifier(VerifierFlags.POOL_TRACKING)


MISCELLANEOUS = Verifier(VerifierFlags.MISCELLANEOUS_CHECKS)


PAGED = PoolType.PagedPool


@pytest.mark.parametrize("later", [False, True], ids=["boot", "later"])
def test_every_list_gets_depth_0(later: bool) -> None:
    kernel = Kernel(verifier=None if later else AUTOMATIC)
    lists = [new_list(kernel), new_list(kernel, pool_type=PAGED)]
    if later:
        assert lists[0].depth == 4
        kernel.enable_verifier(AUTOMATIC)
    lists.append(new_list(kernel))
    for lookaside in lists:
        assert (lookaside.depth, lookaside.maximum_depth) == (0, 0xFFFF)
        lookaside.free(lookaside.allocate())
        assert (lookaside.free_misses, lookaside.current_depth) == (1, 0)
    kernel.tick(9)
    assert {lookaside.depth for lookaside in lists} == {0}


def test_entries_held_when_it_is_switched_on_are_still_served() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel)
    entry = lookaside.allocate()
    lookaside.free(entry)
    kernel.enable_verifier(TRACKING)
    assert lookaside.allocate() == entry
    lookaside.free(entry)
    assert kernel.pool.query(entry or 0) is None


def test_initialize_of_an_active_list() -> None:
    kernel = Kernel(verifier=MISCELLANEOUS)
    lookaside = new_list(kernel)
    stop = stop_of(lambda: lookaside.initialize(size=8, tag=b"List"))
    assert (stop.code, stop.parameters) == (VIOLATION, (0xCA, lookaside.address, 0, 0))


def test_delete_of_a_list_that_is_not_initialized_or_was_deleted() -> None:
    kernel = Kernel(verifier=MISCELLANEOUS)
    lookaside = LookasideList(kernel)
    stop = stop_of(lookaside.delete)
    assert (stop.code, stop.parameters) == (VIOLATION, (0xCB, lookaside.address, 0, 0))
    kernel = Kernel(verifier=MISCELLANEOUS)
    lookaside = new_list(kernel)
    lookaside.delete()
    assert stop_of(lookaside.delete).parameters == (0xCB, lookaside.address, 0, 0)


@pytest.mark.parametrize("flags", [VerifierFlags.SPECIAL_POOL, VerifierFlags.POOL_TRACKING])
def test_free_of_a_block_with_an_active_list(flags: VerifierFlags) -> None:
    kernel = Kernel(verifier=Verifier(flags))
    block = allocated(kernel, 0x100)
    new_list(kernel, "inner", block + 0x40, size=32, tag=b"List")
    stop = stop_of(lambda: kernel.pool.free(block))
    special = flags is VerifierFlags.SPECIAL_POOL
    header = block & ~0xFFF if special else block - 16
    assert (stop.code, stop.parameters) == (VIOLATION, (0xCC, block + 0x40, header, 0x110))
    assert "'inner'" in stop.message


def test_an_entry_smaller_than_a_link() -> None:
    for older in (False, True):
        kernel = Kernel(verifier=MISCELLANEOUS)
        lookaside = LookasideList(kernel)
        if older:
            stop = stop_of(lambda of=lookaside: of.initialize_older(pool_type=0, size=4, tag=1))  # type: ignore[misc]
        else:
            stop = stop_of(lambda of=lookaside: of.initialize(size=4, tag=b"List"))  # type: ignore[misc]
        assert (stop.code, stop.parameters) == (VIOLATION, (0xCD, lookaside.address, 4, 8))


def test_lists_are_not_checked_without_an_option_for_them() -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    assert LookasideList(kernel).initialize(size=4, tag=b"List").is_success


def test_a_list_in_a_pool_block_gets_depth_0_too() -> None:
    kernel = Kernel()
    lookaside = new_list(kernel, address=allocated(kernel, 0x60), size=32, tag=b"List")
    kernel.enable_verifier(AUTOMATIC)
    assert (lookaside.depth, lookaside.maximum_depth) == (0, 0xFFFF)


@pytest.mark.parametrize(("pool_type", "irql", "code"), [(1, 2, 0x11), (0, 3, 0x12)])
@pytest.mark.parametrize("routine", ["flush", "delete"])
def test_lists_are_flushed_and_deleted_at_a_low_irql(
    routine: str, pool_type: int, irql: int, code: int
) -> None:
    kernel = Kernel(verifier=AUTOMATIC)
    lookaside = new_list(kernel, pool_type=pool_type)
    kernel.raise_irql(irql - 1)
    lookaside.flush()
    kernel.raise_irql(irql)
    stop = stop_of(getattr(lookaside, routine))
    assert (stop.code, stop.parameters) == (
        VIOLATION,
        (code, irql, pool_type, lookaside.address),
    )


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_the_smallest_entry_has_room_for_a_link(arch: str) -> None:
    kernel = Kernel(arch, verifier=MISCELLANEOUS)
    smallest = kernel.arch.minimum_entry_size
    new_list(kernel, size=smallest)
    lookaside = kernel.lookaside_list("small")
    stop = stop_of(lambda: lookaside.initialize(size=smallest - 1, tag=b"List"))
    assert stop.parameters == (0xCD, lookaside.address, smallest - 1, smallest)
    assert f"'small' at {lookaside.address:#x} is to have entries of" in stop.message


def test_an_initialization_that_is_refused_is_no_second_one() -> None:
    kernel = Kernel(verifier=MISCELLANEOUS)
    lookaside = new_list(kernel)
    assert not lookaside.initialize(size=32, tag=b"List", flags=3).is_success
    assert kernel.bugcheck is None

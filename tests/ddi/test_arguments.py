"""Tags that cannot be reversed by accident, references, and addresses of routines."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, LookasideList, PoolTag, ddi


def test_a_literal_is_what_the_compiler_makes_of_it() -> None:
    assert ddi.literal("ypSM") == PoolTag(b"MSpy") == 0x7970534D


@pytest.mark.parametrize(
    "do",
    [
        lambda tag, other: ddi.ExAllocatePoolWithTag(0, 16, tag),
        lambda tag, other: ddi.ExAllocatePool2(0x40, 16, tag),
        lambda tag, other: ddi.ExFreePoolWithTag(other, tag),
        lambda tag, other: ddi.ExInitializeLookasideListEx(
            ddi.LOOKASIDE_LIST_EX(), 0, 0, 0, 0, 16, tag, 0
        ),
        lambda tag, other: ddi.ExInitializePagedLookasideList(
            ddi.PAGED_LOOKASIDE_LIST(), 0, 0, 0, 16, tag, 0
        ),
    ],
)
def test_a_tag_given_as_a_text_is_refused(current: Kernel, do: object) -> None:
    block = ddi.ExAllocatePoolWithTag(0, 16, b"Mine")
    with pytest.raises(TypeError) as refused:
        do("ypSM", block)  # type: ignore[operator]
    assert str(refused.value) == (
        "Tag 'ypSM': give literal('ypSM') for the C literal 'ypSM', which lies in memory as"
        " b'MSpy', or 4 bytes as they lie in memory"
    )
    assert current.pool.find(block) is not None


def test_lists_by_their_addresses(current: Kernel) -> None:
    lookaside = ddi.LOOKASIDE_LIST_EX("List")
    address = lookaside.address
    ddi.ExInitializeLookasideListEx(address, 0, 0, 512, 0, 32, b"Addr", 0)
    assert lookaside.is_active
    entry = ddi.ExAllocateFromLookasideListEx(address)
    ddi.ExFreeToLookasideListEx(address, entry)
    ddi.ExFlushLookasideListEx(address)
    ddi.ExDeleteLookasideListEx(address)
    assert (lookaside.total_allocates, lookaside.is_active) == (1, False)


def test_a_routine_by_its_address(current: Kernel) -> None:
    called: list[int] = []

    def allocate(pool_type: object, size: int, tag: object, lookaside: LookasideList) -> int:
        called.append(size)
        return ddi.ExAllocatePoolWithTag(512, size, b"Rout")

    address = current.arch.code_start + 0x8000
    current.routines.place_at(address, allocate)
    lookaside = ddi.LOOKASIDE_LIST_EX()
    ddi.ExInitializeLookasideListEx(lookaside, address, 0, 512, 0, 32, b"Addr", 0)
    assert lookaside.allocate() is not None
    assert called == [32]
    assert current.routines.address_of(allocate) == address
    assert current.routines.at(address) is allocate


def test_a_reference_shows_its_value() -> None:
    assert repr(ddi.Ref(5)) == "Ref(5)"

"""SLIST routines, as C calls them."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, LookasideList, NtStatusError, ddi
from tests.helpers import allocated, both_machines


@both_machines
def test_each_routine_under_both_of_its_names(arch: str) -> None:
    with Kernel(arch) as kernel:
        head, lock = allocated(kernel, 64), allocated(kernel, 16)
        one, two = allocated(kernel, 32), allocated(kernel, 32)
        for initialize in (ddi.InitializeSListHead, ddi.ExInitializeSListHead):
            initialize(head)
            assert ddi.ExQueryDepthSList(head) == 0
            assert ddi.ExInterlockedPushEntrySList(head, one, lock) == 0
            assert ddi.InterlockedPushEntrySList(head, two) == one
            assert (ddi.ExQueryDepthSList(head), ddi.FirstEntrySList(head)) == (2, two)
            assert ddi.InterlockedPopEntrySList(head) == two
            assert ddi.ExInterlockedPopEntrySList(head, lock) == one
            assert ddi.ExInterlockedPopEntrySList(head, lock) == 0
            ddi.InterlockedPushEntrySList(head, one)
            assert ddi.ExInterlockedFlushSList(head) == one
            assert ddi.InterlockedFlushSList(head) == 0


def test_an_object_with_an_address_will_do() -> None:
    with Kernel() as kernel:
        lookaside = LookasideList(kernel)
        lookaside.initialize(size=32, tag=b"List")
        entry = lookaside.allocate()
        lookaside.free(entry)
        assert ddi.ExQueryDepthSList(lookaside) == 1
        assert ddi.ExInterlockedFlushSList(lookaside) == entry


def test_a_misaligned_head_raises_on_x64() -> None:
    with Kernel() as kernel:
        head = allocated(kernel, 64) + 8
        with pytest.raises(NtStatusError, match="DATATYPE_MISALIGNMENT"):
            ddi.InitializeSListHead(head)

from __future__ import annotations

from lookaside_sim.testing import AllocatorConformance, Backend
from lookaside_sim.testing.adapters import FreeList


class TestFreeList(AllocatorConformance):
    factory = FreeList
    level = "memory"


def test_the_entry_freed_last_comes_back_first() -> None:
    free_list = FreeList(Backend(32), 32)
    first, second = free_list.allocate(), free_list.allocate()
    assert first is not None
    assert second is not None
    free_list.free(first)
    free_list.free(second)
    assert [free_list.allocate(), free_list.allocate()] == [second, first]

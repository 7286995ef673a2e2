from __future__ import annotations

import pytest

from lookaside_sim.testing.conformance.allocator import COUNTERS
from lookaside_sim.testing.conformance.model import KeptEntries
from lookaside_sim.testing.conformance.oracle import Oracle


@pytest.mark.parametrize("seconds", [1, 4, 40])
def test_with_nts_policy_it_counts_as_the_simulator_does(seconds: int) -> None:
    oracle, model = Oracle(), KeptEntries("policy", oldest_first=False)
    for side in (oracle, model):
        side.start(32)
        held = [side.allocate() for _ in range(80)]
        side.tick(1)
        for entry in held[:60]:
            assert entry is not None
            side.free(entry)
        side.tick(seconds)
        side.refuse(2, 1, 1)
        for _ in range(40):
            side.allocate()
    assert {n: model.counter(n) for n in COUNTERS} == {n: oracle.counter(n) for n in COUNTERS}
    assert (model.depth, model.outstanding) == (oracle.depth, oracle.outstanding)
    assert len(model.entries()) == len(oracle.entries())


def test_a_fixed_depth_stays_and_the_order_is_chosen() -> None:
    for oldest_first, order in ((True, [1, 2]), (False, [2, 1])):
        model = KeptEntries(2, oldest_first=oldest_first)
        model.start(48)
        entries = [model.allocate() for _ in range(3)]
        assert entries == [1, 2, 3]
        assert [model.free(entry) for entry in (1, 2, 3)] == [True, True, False]
        model.tick(9)
        assert (model.depth, model.entries(), model.outstanding) == (2, [2, 1], 2)
        assert [model.allocate(), model.allocate()] == order
        assert model.counter("size") == 48
        assert model.set_counters(7)["total_frees"] == 7
        assert model.counter("free_misses") == 7
        model.delete()
        assert model.entries() == []

from __future__ import annotations

from lookaside_sim.testing.conformance.allocator import COUNTERS
from lookaside_sim.testing.conformance.oracle import Oracle


def test_a_program_begins_with_a_fresh_list_in_a_second_of_a_scan() -> None:
    oracle = Oracle()
    for _ in range(2):
        oracle.start(48)
        assert {name: oracle.counter(name) for name in COUNTERS} == {
            **dict.fromkeys(COUNTERS, 0),
            "depth": 4,
        }
        assert (oracle.list.size, oracle.outstanding) == (48, 0)
        held = [oracle.list.allocate() for _ in range(75)]
        oracle.tick(1)
        assert oracle.list.depth == 34
        oracle.finish([entry for entry in held if entry is not None])
        assert not oracle.list.is_active


def test_requests_are_refused_as_often_as_asked() -> None:
    oracle = Oracle()
    oracle.start(32)
    oracle.refuse(2, 0, 1)
    oracle.refuse_no_more()  # two are left
    entries = [oracle.list.allocate() for _ in range(3)]
    assert [entry is None for entry in entries] == [True, True, False]
    assert oracle.outstanding == 1
    oracle.refuse_no_more()
    assert oracle.list.allocate() is not None
    assert oracle.counter("allocate_misses") == 4


def test_counters_can_be_set() -> None:
    oracle = Oracle()
    oracle.start(32)
    assert set(oracle.set_counters(7).values()) == {7}
    assert {oracle.counter(name) for name in COUNTERS if "depth" not in name} == {7}

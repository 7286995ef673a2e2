from __future__ import annotations

from lookaside_sim import next_depth
from lookaside_sim.testing.list_model import LEAST_DEPTH, ListModel


def test_a_scan_looks_at_what_happened_since_the_last_one() -> None:
    model = ListModel(256, paged=False)
    model.total_allocates, model.allocate_misses = 100, 50
    model.scan()
    assert model.depth == next_depth(LEAST_DEPTH, 256, 100, 50) > LEAST_DEPTH
    raised = model.depth
    model.scan()
    assert model.depth == raised - 10


def test_a_scan_counts_over_the_wrap() -> None:
    model = ListModel(256, paged=False)
    model.set_counters(0xFFFF_FFFF)
    model.total_allocates = model.allocate_misses = 79  # 80 later
    model.scan()
    assert model.depth == next_depth(LEAST_DEPTH, 256, 80, 80)

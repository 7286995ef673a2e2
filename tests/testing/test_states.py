from __future__ import annotations

from hypothesis import HealthCheck, settings

from lookaside_sim.testing import STATES, state_coverage

default = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_a_default_run_reaches_every_state() -> None:
    counts = state_coverage(settings=default)
    assert set(counts) == set(STATES)
    assert {state for state, count in counts.items() if not count} == set()

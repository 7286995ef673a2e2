from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lookaside_sim import Kernel, LookasideList
from lookaside_sim.testing import LookasideMachine

default = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_it_can_be_subclassed_for_another_machine() -> None:
    class Small(LookasideMachine):
        def make_kernel(self) -> Kernel:
            return Kernel("x86", nonpaged_nx_pool_bytes=1 << 22)

    run_state_machine_as_test(Small, settings=settings(default, max_examples=10))


def test_a_broken_list_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    flush = LookasideList.flush

    def flush_and_count(self: LookasideList) -> None:
        held = self.current_depth
        flush(self)
        self._total_frees += held

    monkeypatch.setattr(LookasideList, "flush", flush_and_count)
    unshrunk = settings(default, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(LookasideMachine, settings=unshrunk)

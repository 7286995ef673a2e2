from __future__ import annotations

from lookaside_sim.testing import Together
from lookaside_sim.testing.programs.threads import thread_examples
from lookaside_sim.testing.programs.wants import Wants


def test_every_schedule_of_few_changes_is_there_once() -> None:
    examples = list(thread_examples(2, Wants()))
    assert len(examples) == len({repr(each) for each in examples}) < 1000
    schedules = {
        step.schedule
        for example in examples
        for step in example.program
        if isinstance(step, Together)
    }
    assert {(), ((0, 1),), ((23, 1),), ((0, 1), (1, 0)), ((10, 1), (11, 0))} <= schedules
    for example in thread_examples(3, Wants(sizes=(48,))):
        assert example.size == 48
        (step,) = (step for step in example.program if isinstance(step, Together))
        assert len(step.threads) == 3

from __future__ import annotations

from lookaside_sim.testing.programs.directed import Wants, battery


def test_the_battery_is_short_and_leaves_room_for_random_programs() -> None:
    examples = list(battery(Wants(lists=True)))
    assert len(examples) <= 150
    assert max(len(example.program) for example in examples) <= 10
    assert list(battery(Wants(lists=True))) == examples
    assert len(list(battery(Wants()))) < len(examples)

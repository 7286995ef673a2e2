"""The last steps of a run that failed, as text."""

from __future__ import annotations

from lookaside_sim import Kernel
from lookaside_sim.page import last_steps
from lookaside_sim.run import record
from tests.page.runs import use_after_free


def test_of_no_steps_nothing_is_told() -> None:
    with record(Kernel()) as empty:
        pass
    assert last_steps(empty) == ""


def test_the_last_steps_are_told_with_their_lines() -> None:
    lines = last_steps(use_after_free()).splitlines()
    assert lines[0] == "the last 5 of 8 steps:"
    assert lines[5].startswith("     8  ExAllocateFromLookasideListEx() raised BugCheck")
    assert "runs.py" in lines[5]
    assert lines[7].startswith("look at step 6: it wrote 0xffffffffc0000120")

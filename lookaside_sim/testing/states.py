"""The states that a good run of the state machine reaches, and how often each was."""

from __future__ import annotations

from collections import Counter
from typing import Final

from lookaside_sim.testing.extra import require

require("hypothesis")

from hypothesis import settings  # noqa: E402 - checked for above
from hypothesis.stateful import run_state_machine_as_test  # noqa: E402

from lookaside_sim.testing.state_machine import LookasideMachine  # noqa: E402

__all__ = ["STATES", "state_coverage"]

STATES: Final = (
    "allocate hit",
    "allocate miss",
    "allocate failed",
    "free hit",
    "free miss",
    "list empty",
    "list full",
    "more entries than the depth",
    "depth raised",
    "depth lowered by 1",
    "depth lowered by 10",
    "depth at its least",
    "depth at its most",
    "flush with entries held",
    "delete with entries held",
    "counter wrapped",
    "initialization refused",
    "paged list",
    "raised IRQL",
    "several lists",
)
"""What a good run reaches; see `LookasideMachine.reached`."""


def state_coverage(
    machine: type[LookasideMachine] = LookasideMachine, settings: settings | None = None
) -> Counter[str]:
    """Run a state machine and count the states it reaches.

    Args:
        machine: the class.
        settings: for the run; None for Hypothesis' current ones.

    Returns:
        In how many runs each of `STATES` was reached.
    """
    counts: Counter[str] = Counter(dict.fromkeys(STATES, 0))

    class Counting(machine):  # type: ignore[misc, valid-type]
        def reached(self, state: str) -> None:
            counts[state] += 1
            super().reached(state)

    Counting.__name__ = Counting.__qualname__ = machine.__name__
    run_state_machine_as_test(Counting, settings=settings)
    return counts

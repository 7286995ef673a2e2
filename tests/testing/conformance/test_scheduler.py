from __future__ import annotations

from collections.abc import Callable

from lookaside_sim.testing.conformance.scheduler import run_in_turns


class Steps:
    """Two threads of three steps each, with a switch point in front of each."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.switch: Callable[[], None] | None = None

    def install(self, switch: Callable[[], None] | None) -> None:
        self.switch = switch

    def body(self, name: str) -> Callable[[], None]:
        def run() -> None:
            for number in range(3):
                assert self.switch is not None
                self.switch()
                self.done.append(f"{name}{number}")

        return run


def order(*schedule: tuple[int, int]) -> str:
    steps = Steps()
    points = run_in_turns([steps.body("a"), steps.body("b")], schedule, steps.install)
    assert points == 6
    assert steps.switch is None
    return " ".join(steps.done)


def test_threads_change_where_they_are_told_and_nowhere_else() -> None:
    assert order() == "a0 a1 a2 b0 b1 b2"
    assert order((0, 1)) == "b0 b1 b2 a0 a1 a2"
    assert order((1, 1)) == "a0 b0 b1 b2 a1 a2"
    assert order((1, 1), (3, 0)) == "a0 b0 a1 a2 b1 b2"
    # A change to the thread that runs, to one that is over, or behind the end is none.
    assert order((1, 0), (4, 0), (90, 1)) == "a0 a1 a2 b0 b1 b2"


def test_the_same_schedule_is_the_same_run() -> None:
    assert len({order((2, 1), (4, 0)) for _ in range(20)}) == 1

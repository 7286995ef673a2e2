from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lookaside_sim.lookaside.tuning import next_depth
from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Create,
    Delete,
    Free,
    check_allocator,
    run_program,
)
from lookaside_sim.testing.conformance import shrinker
from tests.testing.allocators import FixedSlab, LinkedList, Passthrough, ReferenceList, Slab
from tests.testing.helpers import difference
from tests.testing.mutants import FIXED, LOOKASIDE, MEMORY, Fifo, LeakOnDelete

MOST_STEPS = 10
CORRECT = [
    (ReferenceList, "lookaside"),
    (LinkedList, "lookaside"),
    (ReferenceList, "memory"),
    (Passthrough, "memory"),
    (Slab, "memory"),
    (FixedSlab, "fixed"),
]
BROKEN = [
    *((each, "lookaside") for each in LOOKASIDE),
    *((each, "memory") for each in MEMORY),
    *((each, "fixed") for each in FIXED),
]


def test_there_are_enough_mutants() -> None:
    assert len({each for each, _ in BROKEN}) == len(BROKEN) >= 25


@pytest.mark.parametrize(("factory", "level"), BROKEN)
def test_a_broken_allocator_is_reported_with_a_short_program(factory: type, level: str) -> None:
    found = difference(factory, level)
    assert 1 <= len(found.program) <= MOST_STEPS
    assert found.expected != found.actual
    # The program is the proof: it fails alone, in the same way, and on no correct allocator.
    with pytest.raises(AllocatorDifference) as again:
        run_program(factory, found.program, level=level, reuse=found.reuse)
    assert again.value.what == found.what
    correct = {"lookaside": ReferenceList, "memory": Passthrough, "fixed": FixedSlab}[level]
    run_program(correct, found.program, level=level, reuse=found.reuse)


@pytest.mark.parametrize(("factory", "level"), CORRECT)
def test_a_correct_allocator_is_never_reported(factory: type, level: str) -> None:
    check_allocator(factory, level=level)


def test_the_same_check_always_says_the_same() -> None:
    assert str(difference(Fifo)) == str(difference(Fifo))


def test_the_end_is_spelled_out() -> None:
    assert difference(LeakOnDelete).program == [
        Create(),
        Allocate(),
        Free(oldest=True),
        Delete(),
    ]


def test_every_number_of_the_tuning_rule_shows_within_the_battery() -> None:
    # The formula itself with one number changed, whatever class the change is made in.
    class Formula(ReferenceList):
        change = ("", 0)

        def tuned(self, allocates: int, misses: int) -> int:
            source = {
                "ratio": lambda: next_depth(
                    self.depth, 256, allocates, misses + self.change[1]
                ),
                "room": lambda: next_depth(self.depth, 256 + self.change[1], allocates, misses),
                "": lambda: next_depth(self.depth, 256, allocates, misses),
            }
            return source[self.change[0]]()

    for change in (("ratio", 1), ("ratio", -1), ("room", 1), ("room", -1)):
        broken = type("Changed", (Formula,), {"change": change})
        assert len(difference(broken).program) <= MOST_STEPS


def test_sixteen_bit_counters_are_found_without_help(monkeypatch: pytest.MonkeyPatch) -> None:
    # How small a program of so many calls gets is shown in test_shrinker.py.
    monkeypatch.setattr(shrinker, "_LEAST_CALLS", 100_000)
    monkeypatch.setattr(shrinker, "_MOST_RUNS", 1)

    class Short(ReferenceList):
        counter_mask = 0xFFFF
        set_counters = None  # type: ignore[assignment]

    found = difference(Short)
    assert len(found.program) <= 3
    assert found.expected["total_allocates"] != found.actual["total_allocates"]


def test_a_missing_method_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError, match="flush, tick, counters"):
        check_allocator(Passthrough)
    with pytest.raises(TypeError, match="grow"):
        check_allocator(Passthrough, level="fixed")


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="give one of"):
        check_allocator(Passthrough, level="kernel")
    with pytest.raises(ValueError, match="give 1 or more"):
        check_allocator(Passthrough, max_examples=0)


def test_hypothesis_and_pytest_are_not_needed() -> None:
    script = (
        "import sys; sys.modules['hypothesis'] = sys.modules['pytest'] = None\n"
        "from lookaside_sim.testing import check_allocator, run_program\n"
        "from tests.testing.allocators import ReferenceList\n"
        "check_allocator(ReferenceList, max_examples=20)\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, timeout=60)

from __future__ import annotations

import pytest

from lookaside_sim import Kernel
from lookaside_sim.testing import (
    Allocate,
    AllocateEachSecond,
    Create,
    Free,
    FreeTwice,
    SetCounters,
    SetIrql,
    Tick,
    format_program,
)
from lookaside_sim.testing.execution import Execution
from lookaside_sim.testing.programs import steps
from lookaside_sim.testing.programs.steps import Step, is_misuse


def test_the_repr_leaves_out_what_is_the_default() -> None:
    assert repr(Allocate()) == "Allocate()"
    assert repr(Allocate(75, on=1)) == "Allocate(75, on=1)"
    assert repr(Free(oldest=True)) == "Free(oldest=True)"
    assert repr(AllocateEachSecond(1, 3)) == "AllocateEachSecond(seconds=3)"
    assert repr(Create(8, tag=b"abcd")) == "Create(8, tag=b'abcd')"


def test_a_program_is_written_one_step_a_line() -> None:
    assert format_program([Create(), Tick(3)], "  ") == "  Create(),\n  Tick(3),"


@pytest.mark.parametrize(
    ("make", "value"), [(Allocate, 0), (Tick, -1), (SetIrql, 16), (SetCounters, 1 << 32)]
)
def test_impossible_numbers_are_refused(make: type, value: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        make(value)


def test_misuse_is_told_from_use() -> None:
    assert is_misuse(FreeTwice())
    assert not is_misuse(Free())


STEPS = [
    step
    for step in vars(steps).values()
    if isinstance(step, type) and issubclass(step, Step) and step is not Step
    # What only somebody else's allocator can be asked for.
    if step not in (steps.Reallocate, steps.Together, steps.FreeInside)
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_makes_the_calls_whose_words_it_names(step: type[Step]) -> None:
    execution = Execution(Kernel())
    for each in (Create(), Create(), Allocate(3), Free(1)):
        execution.run(each)
    words: list[str] = []
    execution.kernel.listen(lambda call: words.append(call.word))
    execution.run(step())
    assert tuple(dict.fromkeys(words)) == step.words

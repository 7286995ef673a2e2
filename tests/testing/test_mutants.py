"""A cheap part of what `tests/benchmarks/mutants.py` measures: every design, many mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from lookaside_sim.testing import AllocatorDifference, check_allocator, run_program
from tests.testing.designs import DESIGNS
from tests.testing.mutants_memory import MUTANTS

MOST_STEPS = 8
SLOW = {"Hangs", "HangsWithoutMemory", "SlabRace", "CountLost", "TableGrows"}


def name(value: Any) -> str | None:
    return value.__name__ if isinstance(value, type) else None


def test_there_are_enough_mutants() -> None:
    assert len({factory for factory, _ in MUTANTS}) == len(MUTANTS) >= 40


@pytest.mark.parametrize(
    ("factory", "promised"),
    [each for each in MUTANTS if each[0].__name__ not in SLOW],
    ids=name,
)
def test_a_mistake_is_found_in_a_short_program(factory: type, promised: dict[str, Any]) -> None:
    with pytest.raises(AllocatorDifference) as caught:
        check_allocator(factory, **promised)
    assert len(caught.value.program) <= MOST_STEPS
    assert not caught.value.flaky
    setting = caught.value.setting
    with pytest.raises(AllocatorDifference) as again:
        run_program(
            factory,
            caught.value.program,
            contract=setting.contract,
            reuse=setting.reuse,
            isolate=setting.isolate,
        )
    assert again.value.what == caught.value.what


@pytest.mark.parametrize(("factory", "promised"), DESIGNS, ids=name)
def test_a_correct_design_is_not_reported(factory: type, promised: dict[str, Any]) -> None:
    few = 60 if promised.get("threads") or promised.get("level") == "lookaside" else None
    check_allocator(factory, max_examples=few, **promised)

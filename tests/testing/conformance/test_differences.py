from __future__ import annotations

from functools import partial

import pytest

from lookaside_sim.testing import AllocatorDifference, check_allocator
from tests.testing.helpers import difference
from tests.testing.mutants import LOOKASIDE, Fifo, LeakOnDelete


def test_the_report_shows_program_states_and_regression() -> None:
    found = difference(Fifo)
    text = str(found)
    assert "did not return the entry that was freed last" in text
    assert "    Free(2),\n" in text
    assert "expected" in text
    assert "actual" in text
    assert found.regression in text


def test_the_report_of_wrong_counters_marks_the_lines_that_differ() -> None:
    found = difference(next(each for each in LOOKASIDE if each.__name__ == "idle_step_9"))
    lines = str(found).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("!")] == ["depth"]
    assert found.expected["depth"] == 24
    assert found.actual["depth"] == 25


@pytest.mark.parametrize("broken", [Fifo, LeakOnDelete])
def test_the_regression_is_a_test_that_fails_for_the_same_reason(broken: type) -> None:
    found = difference(broken)
    names: dict[str, object] = {}
    exec(compile(found.regression, "regression", "exec"), names)
    test = names["test_regression"]
    assert callable(test)
    with pytest.raises(AllocatorDifference) as again:
        test()
    assert again.value.what == found.what


def test_a_factory_that_cannot_be_imported_is_left_to_the_reader() -> None:
    for factory in (lambda backend, size: Fifo(backend, size), partial(Fifo)):
        with pytest.raises(AllocatorDifference) as caught:
            check_allocator(factory)
        assert "run_program(factory, program" in caught.value.regression

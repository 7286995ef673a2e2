from __future__ import annotations

import pickle
from functools import partial

import pytest

from lookaside_sim.testing import AllocatorDifference, Backend, Contract, check_allocator
from lookaside_sim.testing.conformance.regression import run_regression
from tests.testing.allocators import Passthrough, ReferenceList
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


def test_a_regression_repeats_every_setting() -> None:
    for options in (
        {"level": "memory", "alignment": 64},
        {"flush_order": True, "level": "lookaside"},
        {"contract": Contract.pool(3)},
    ):
        broken = OldestFirst if "flush_order" in options else Passthrough
        with pytest.raises(AllocatorDifference) as caught:
            check_allocator(broken, **options)
        raised = run_regression(caught.value.regression, broken)
        assert isinstance(raised, AllocatorDifference)
        assert raised.what == caught.value.what
        assert not caught.value.flaky


class OldestFirst(ReferenceList):
    def flush(self) -> None:
        self.entries.reverse()
        super().flush()


class Moody(Passthrough):
    """Goes wrong once, whatever program runs then."""

    made = 0

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        Moody.made += 1

    def allocate(self) -> int | None:
        return 3 if Moody.made == 9 else super().allocate()


def test_an_allocator_that_depends_on_what_ran_before_is_said_to_be_flaky() -> None:
    with pytest.raises(AllocatorDifference, match="FLAKY: run again, alone") as caught:
        check_allocator(Moody, level="memory")
    assert caught.value.flaky


def test_an_object_says_its_own_source() -> None:
    class Made:
        def __call__(self, backend: Backend, size: int) -> Fifo:
            return Fifo(backend, size)

        def as_source(self) -> tuple[list[str], str]:
            return ["from tests.testing.mutants import Fifo"], "Fifo"

    with pytest.raises(AllocatorDifference) as caught:
        check_allocator(Made())
    assert "    run_program(Fifo, program, level='lookaside')" in caught.value.regression


def test_a_difference_can_be_sent_whatever_made_the_allocator() -> None:
    with pytest.raises(AllocatorDifference) as caught:
        check_allocator(lambda backend, size: Fifo(backend, size))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)

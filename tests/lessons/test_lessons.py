"""Each lesson with many seeds: small, answerable, and as true as the run it is drawn from."""

from __future__ import annotations

import ast
import io
from contextlib import redirect_stdout, suppress

import pytest

from lookaside_sim import LookasideSimError
from lookaside_sim.lessons import LESSONS, Lesson, lesson_named, take
from lookaside_sim.lessons.asked import KINDS
from lookaside_sim.lessons.lesson import FEWEST, MOST
from lookaside_sim.lessons.program import MOST_LINES, Recorded, run_program
from tests.lessons.helpers import SEEDS, taken

IDS = [lesson.name for lesson in LESSONS]


def test_there_are_ten_in_order() -> None:
    assert IDS == [
        "page",
        "tags",
        "lifo",
        "depths",
        "load",
        "bytes",
        "irql",
        "link",
        "twice",
        "tools",
    ]
    assert lesson_named("LIFO") is lesson_named("3") is LESSONS[2]
    with pytest.raises(LookasideSimError, match="give one of page, tags"):
        lesson_named("nothing")


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_a_lesson_is_small_and_asks_three_to_six_times(lesson: Lesson) -> None:
    for seed in SEEDS:
        found = taken(lesson.name, seed)
        assert len(found.program.lines) <= MOST_LINES
        assert "#?" not in found.program.text
        assert "$" not in found.program.text
        assert max(map(len, found.program.lines)) <= 92
        assert FEWEST <= len(found.predictions) <= MOST
        places = [(each.scene, each.position) for each in found.predictions]
        assert places == sorted(places)
        assert sum(len(scene.run) for scene in found.scenes) <= 2000
        assert len(found.model_answer) > 100


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_every_question_has_one_right_answer(lesson: Lesson) -> None:
    for seed in SEEDS:
        for each in taken(lesson.name, seed).predictions:
            assert each.is_right(each.answer)
            assert each.is_right(f" {each.letter.upper()} ")
            if each.choices:
                assert each.is_right(f"{each.letter.upper()})")
                assert each.is_right(f"({each.letter})")
                assert each.is_right(f"{each.letter}) {each.answer}.")
                assert not each.is_right(f"{each.letter}) something else")
            assert each.is_answer(each.letter)
            assert not each.is_answer("")
            assert not each.is_answer("perhaps")
            if each.choices:
                assert len(set(each.choices)) == len(each.choices) > 1
                assert sum(map(each.is_right, each.choices)) == 1
            else:
                assert each.is_right(hex(int(each.answer)))
                assert not each.is_right(str(int(each.answer) + 1))


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_the_program_runs_alone_and_does_the_same(lesson: Lesson) -> None:
    found = taken(lesson.name, 1)
    ast.parse(found.program.text)
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(Exception):
        exec(compile(found.program.text, found.program.name, "exec"), {"__name__": "lesson"})
    assert printed.getvalue() == found.recorded.printed


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_a_seed_is_the_lesson_again_and_another_one_another(lesson: Lesson) -> None:
    first, again = taken(lesson.name, 3), take(lesson, 3)
    assert first.program.text == again.program.text
    assert first.predictions == again.predictions
    others = {
        (found.program.text, tuple((each.text, each.answer) for each in found.predictions))
        for found in (taken(lesson.name, seed) for seed in SEEDS)
    }
    assert len(others) > 1


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_marks_are_kinds(lesson: Lesson) -> None:
    found = taken(lesson.name, 0)
    for marks in found.program.marks.values():
        for mark in marks:
            assert mark.rstrip("!").partition(":")[0] in KINDS
    assert found.program.marks


def test_recorded_says_what_ended_a_program() -> None:
    found = taken("irql", 0)
    assert isinstance(found.recorded, Recorded)
    assert found.recorded.error == ""
    assert "*** STOP: DRIVER_VERIFIER_DETECTED_VIOLATION" in found.recorded.printed
    assert run_program(found.program).printed == found.recorded.printed


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (True, TypeError), ("1", TypeError)]
)
def test_what_is_no_seed(seed: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="seed"):
        take(LESSONS[0], seed)  # type: ignore[arg-type]

"""A lesson, and a lesson taken: its program with a seed's numbers, run, and what to predict."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Final

import attrs

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lessons.asked import KINDS
from lookaside_sim.lessons.prediction import Prediction
from lookaside_sim.lessons.program import WANTED, Program, Recorded, program_of, run_program
from lookaside_sim.lessons.scene import Scene

FEWEST: Final = 3
MOST: Final = 6
"""Predictions in a lesson."""

Numbers = dict[str, object]


@attrs.frozen
class Lesson:
    """What is taught, by which program.

    Attributes:
        name: in one word, for commands and files.
        title: in a few.
        learns: what the learner can do afterwards.
        misconception: what many believe before.
        text: some sentences to read first.
        program: the program's text; see `lookaside_sim.lessons.program`.
        numbers: draws the numbers of the program; the first seed, 0, has the usual ones.
        question: one question, to be answered in words.
        answer: what a good answer says, from the scenes of the run.
    """

    name: str
    title: str
    learns: str
    misconception: str
    text: str
    program: str
    numbers: Callable[[random.Random], Numbers]
    question: str
    answer: Callable[[list[Scene]], str]


@attrs.frozen(eq=False)
class Taken:
    """A lesson with the numbers of a seed.

    Attributes:
        lesson: which.
        seed: as given.
        program: with its numbers.
        recorded: what it did.
        scenes: the runs, as a learner sees them.
        predictions: what to predict, in order.
    """

    lesson: Lesson
    seed: int
    program: Program
    recorded: Recorded
    scenes: list[Scene]
    predictions: tuple[Prediction, ...]

    @cached_property
    def model_answer(self) -> str:
        """What a good answer to the question in words says."""
        return self.lesson.answer(self.scenes)


def take(lesson: Lesson, seed: int = 0) -> Taken:
    """Run a lesson's program with the numbers of a seed and draw what to predict.

    Args:
        lesson: which.
        seed: chooses the numbers and the predictions.

    Raises:
        TypeError, ValueError: no seed.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed {seed!r}: give a number")
    if seed < 0:
        raise ValueError(f"seed {seed}: give 0 or more")
    chance = random.Random(f"{lesson.name} {seed}")
    program = program_of(lesson.name, lesson.program, lesson.numbers(chance))
    recorded = run_program(program, lesson.title)
    scenes = [Scene(program, run, number) for number, run in enumerate(recorded.runs)]
    found = _drawn(scenes, program.marks, chance)
    if len(scenes) > 1:
        found = [
            attrs.evolve(each, text=f"machine {each.scene + 1}, {each.text}") for each in found
        ]
    if not FEWEST <= len(found) <= MOST:
        raise LookasideSimError(f"lesson {lesson.name}, seed {seed}: {len(found)} predictions")
    return Taken(lesson, seed, program, recorded, scenes, tuple(found))


def _drawn(
    scenes: list[Scene], marks: Mapping[int, tuple[str, ...]], chance: random.Random
) -> list[Prediction]:
    """Three to six of all that could be asked, in order of the run.

    What a mark with an exclamation mark asks comes first, then the first of each kind, then
    one for each line and kind: who guesses that all goes on as before learns nothing, and would be
    right nearly always.
    """
    asked = list(_all(scenes, marks))
    chosen = [each for each, _, is_wanted in asked if is_wanted][:MOST]
    kinds = {each.kind for each in chosen}
    places: dict[tuple[int, str], list[Prediction]] = {}
    for each, line, _ in asked:
        if each.kind not in kinds and len(chosen) < MOST:
            chosen.append(each)
            kinds.add(each.kind)
        places.setdefault((line, each.kind), []).append(each)
    rest = [chance.choice(group) for group in places.values() if not _common(group, chosen)]
    chance.shuffle(rest)
    chosen += rest[: MOST - len(chosen)]
    more = [each for each, _, _ in asked if each not in chosen]
    chance.shuffle(more)
    chosen += more[: max(0, FEWEST - len(chosen))]
    # In the order of the run, and of the marks where several stand at one call.
    return [each for each, _, _ in asked if each in chosen]


def _common(group: list[Prediction], chosen: list[Prediction]) -> bool:
    return any(each in chosen for each in group)


def _all(
    scenes: list[Scene], marks: Mapping[int, tuple[str, ...]]
) -> Iterator[tuple[Prediction, int, bool]]:
    """All that the marks let be asked, with its line, and whether it has to be."""
    for scene in scenes:
        for step in scene.run:
            line = scene.line_number(step)
            for mark in marks.get(line, ()):
                kind, _, argument = mark.rstrip(WANTED).partition(":")
                made = KINDS[kind](scene, step, argument)
                if made is not None:
                    yield made, line, mark.endswith(WANTED)

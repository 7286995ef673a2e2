"""A lesson on paper: the quiz, its key, and the file that answers are given in."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lessons.contents import lesson_named
from lookaside_sim.lessons.lesson import Taken, take

_WIDTH: Final = 88
WORDS: Final = "words"
"""The key of the answer in words."""


def wrapped(text: str, indent: str = "") -> str:
    """A text in lines that are not too long."""
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _head(taken: Taken) -> list[str]:
    lines = [f"{taken.lesson.title} (lesson {taken.lesson.name}, seed {taken.seed})", ""]
    lines += [wrapped(taken.lesson.text), ""]
    numbered = enumerate(taken.program.lines, 1)
    return [*lines, *(f"{number:4}  {line}".rstrip() for number, line in numbered), ""]


def quiz(taken: Taken) -> str:
    """The paper: the program and the questions, without an answer."""
    lines = _head(taken)
    for number, each in enumerate(taken.predictions, 1):
        lines.append(wrapped(f"{number}. {each.text}"))
        lines += [f"     {option}" for option in each.options()] or ["     ______"]
        lines.append("")
    lines += [wrapped(f"In words: {taken.lesson.question}"), ""]
    lines.append("Answers as a file for `lookaside-sim lesson grade`:")
    lines.append(json.dumps(answer_sheet(taken)))
    return "\n".join(lines)


def key(taken: Taken) -> str:
    """The answers with their reasons."""
    lines = [f"Key: {taken.lesson.title} (lesson {taken.lesson.name}, seed {taken.seed})", ""]
    for number, each in enumerate(taken.predictions, 1):
        answer = f"{each.letter}) {each.answer}" if each.choices else each.answer
        lines.append(wrapped(f"{number}. {answer}: {each.why}."))
    return "\n".join([*lines, "", wrapped(f"In words: {taken.model_answer}")])


def answer_sheet(taken: Taken, name: str = "") -> dict[str, Any]:
    """An empty sheet, to be filled in and graded."""
    numbers = {str(number): "" for number in range(1, len(taken.predictions) + 1)}
    return {
        "lesson": taken.lesson.name,
        "seed": taken.seed,
        "name": name,
        "answers": {**numbers, WORDS: ""},
    }


# --- grading ---------------------------------------------------------------------------------------


@attrs.frozen
class Grade:
    """What a sheet is worth.

    Attributes:
        name: whose it is.
        taken: the lesson with the numbers of the sheet's seed.
        given: the answers, by number; empty for none.
        marks: whether each is right, by number.
        words: the answer in words, which a teacher reads.
    """

    name: str
    taken: Taken
    given: tuple[str, ...]
    marks: tuple[bool, ...]
    words: str

    @property
    def points(self) -> int:
        """How many are right."""
        return sum(self.marks)

    def text(self) -> str:
        """The graded sheet."""
        taken = self.taken
        lines = [
            f"{self.name or 'no name'}: {taken.lesson.name}, seed {taken.seed}:"
            f" {self.points} of {len(self.marks)}"
        ]
        rows = zip(taken.predictions, self.given, self.marks, strict=True)
        for number, (each, given, is_right) in enumerate(rows, 1):
            said = f"'{given}'" if given else "nothing"
            right = "right" if is_right else f"wrong: {each.letter}, since {each.why}"
            lines.append(wrapped(f"{number}. {said}: {right}", "  "))
        if self.words:
            lines += [
                wrapped(f"In words: {self.words}", "  "),
                wrapped(f"To compare: {taken.model_answer}", "  "),
            ]
        return "\n".join(lines)


def grade(path: Path) -> list[Grade]:
    """Grade a file of answers: one sheet, or a list of them.

    Args:
        path: of a JSON file; see `answer_sheet`.

    Raises:
        LookasideSimError: the file holds no sheets; says what is wrong where.
        OSError: it cannot be read.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise LookasideSimError(f"{path}: no JSON: {error}") from None
    sheets = found if isinstance(found, list) else [found]
    return [_graded(sheet, f"{path}, sheet {number}") for number, sheet in enumerate(sheets, 1)]


def _graded(sheet: object, where: str) -> Grade:
    if not isinstance(sheet, Mapping):
        raise LookasideSimError(f"{where}: give an object with lesson, seed and answers")
    lesson, seed = sheet.get("lesson"), sheet.get("seed")
    answers, name = sheet.get("answers"), sheet.get("name", "")
    if not isinstance(lesson, str):
        raise LookasideSimError(f"{where}: lesson {lesson!r}: give its name")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise LookasideSimError(f"{where}: seed {seed!r}: give the number of the paper")
    if not isinstance(answers, Mapping):
        raise LookasideSimError(f"{where}: answers {answers!r}: give an object")
    if not isinstance(name, str):
        raise LookasideSimError(f"{where}: name {name!r}: give a text")
    taken = take(lesson_named(lesson), seed)
    numbers = [str(number) for number in range(1, len(taken.predictions) + 1)]
    unknown = [each for each in answers if each not in (*numbers, WORDS)]
    if unknown:
        raise LookasideSimError(
            f"{where}: answers {unknown[0]!r}: the paper has 1 to {len(numbers)}, and {WORDS}"
        )
    given = tuple(str(answers.get(each, "")).strip() for each in numbers)
    marks = tuple(
        each.is_right(said) for each, said in zip(taken.predictions, given, strict=True)
    )
    return Grade(name, taken, given, marks, str(answers.get(WORDS, "")).strip())

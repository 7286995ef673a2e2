"""Questions that a page asks: of a lesson, or of an exam, whose page does not hold the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen
class Question:
    """What is asked before a step is shown.

    Attributes:
        position: where the run stands when it is asked: before the step of this number.
        text: the question.
        choices: what can be chosen; empty where a number is asked for.
        answer: the right choice, or the number in decimal digits; None in an exam.
        why: the reason, told once it is answered.
    """

    position: int
    text: str
    choices: tuple[str, ...] = ()
    answer: str | None = None
    why: str = ""


@attrs.frozen
class Exam:
    """A page that is handed in.

    Attributes:
        questions: what is asked; their answers are not written into the page.
        sheet: the file that is handed in, with ``name`` and ``answers`` to be filled in: those to
            the questions by number from 1, and under ``words``, if it is there, that in words.
        in_words: the question that is answered in words, or "".
    """

    questions: tuple[Question, ...]
    sheet: Mapping[str, Any]
    in_words: str = ""

    def values(self) -> dict[str, Any]:
        """What the page's data says of it."""
        asked = [attrs.evolve(each, answer=None, why="") for each in self.questions]
        return {"questions": values(asked), "sheet": dict(self.sheet), "words": self.in_words}


def values(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Questions as a page's data has them."""
    return [
        {
            "at": each.position,
            "ask": each.text,
            "choices": list(each.choices),
            "answer": each.answer,
            "why": each.why,
        }
        for each in questions
    ]

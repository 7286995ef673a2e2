"""A lesson as a page that opens from disk: whole, or an exam that ends at a question.

An exam holds the run up to the question and nothing behind it, so nobody can read the answer out
of the file.
"""

from __future__ import annotations

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lessons.lesson import Taken
from lookaside_sim.lessons.prediction import Prediction
from lookaside_sim.page.render import render


def question_text(number: int, prediction: Prediction) -> str:
    """A question as a note in a page."""
    return "   ".join([f"{number}. {prediction.text}", *prediction.options()])


def lesson_page(taken: Taken, machine: int = 1) -> str:
    """A lesson as a page: its run, with the questions as notes where they stand.

    Args:
        taken: the lesson.
        machine: which of the program's machines, from 1.

    Returns:
        The text of the HTML file.

    Raises:
        LookasideSimError: no such machine.
    """
    if not 1 <= machine <= len(taken.scenes):
        raise LookasideSimError(
            f"machine {machine}: the program of lesson {taken.lesson.name} makes"
            f" {len(taken.scenes)}"
        )
    run = taken.scenes[machine - 1].run
    before = run.notes
    run.notes = {}
    try:
        for number, each in enumerate(taken.predictions, 1):
            if each.scene == machine - 1:
                run.note(question_text(number, each), each.position)
        return render(run, title=taken.lesson.title, story=taken.lesson.text)
    finally:
        run.notes = before


def exam_page(taken: Taken, question: int) -> str:
    """A page that ends at a question.

    Args:
        taken: the lesson.
        question: which, from 1.

    Returns:
        The text of the HTML file.

    Raises:
        LookasideSimError: no such question.
    """
    if not 1 <= question <= len(taken.predictions):
        raise LookasideSimError(
            f"question {question}: lesson {taken.lesson.name}, seed {taken.seed}, has"
            f" {len(taken.predictions)}"
        )
    asked = taken.predictions[question - 1]
    run = taken.scenes[asked.scene].run
    before = run.notes
    run.notes = {}
    try:
        run.note(question_text(question, asked), asked.position)
        return render(
            run,
            title=f"{taken.lesson.title}: question {question}",
            story=taken.lesson.text,
            step=asked.position,
            end=asked.position,
        )
    finally:
        run.notes = before

"""A lesson as a page: the run to step through, its questions asked on the way; or as an exam."""

from __future__ import annotations

from lookaside_sim.lessons.lesson import Taken
from lookaside_sim.lessons.paper import answer_sheet
from lookaside_sim.page.questions import Exam, Question
from lookaside_sim.page.render import render


def lesson_pages(taken: Taken) -> list[str]:
    """The pages of a lesson, one for each machine of its program.

    Args:
        taken: the lesson.

    Returns:
        HTML files, in order.
    """
    pages = []
    for number, scene in enumerate(taken.scenes):
        questions = [
            Question(each.position, each.text, each.choices, each.answer, each.why)
            for each in taken.predictions
            if each.scene == number
        ]
        title = taken.lesson.title
        if len(taken.scenes) > 1:
            title = f"{title} ({number + 1} of {len(taken.scenes)})"
        pages.append(
            render(scene.run, title=title, story=taken.lesson.text, questions=questions)
        )
    return pages


def exam_page(taken: Taken) -> str:
    """The paper of a lesson as a page: the questions, the program, and no answer.

    The run ends at the first question.
    """
    first = taken.predictions[0].scene
    run = taken.scenes[first].run
    questions = tuple(
        Question(each.position if each.scene == first else len(run), each.text, each.choices)
        for each in taken.predictions
    )
    exam = Exam(questions, answer_sheet(taken), taken.lesson.question)
    return render(run, title=taken.lesson.title, story=taken.lesson.text, exam=exam)

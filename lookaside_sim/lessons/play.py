"""Taking a lesson in a terminal, or in a pipe: the run goes on call by call, with questions.

Nothing is printed that a question is still to ask. Whoever gives no answer is told the right one
all the same.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from lookaside_sim.lessons.lesson import Taken
from lookaside_sim.lessons.paper import wrapped
from lookaside_sim.lessons.prediction import Prediction
from lookaside_sim.lessons.scene import Scene

Ask = Callable[[str], "str | None"]
"""Shows a prompt and gives a line; None at the end of input."""
Write = Callable[[str], object]


@attrs.frozen
class Score:
    """How it went.

    Attributes:
        right: predictions that were right.
        given: predictions that were made.
        asked: predictions that were asked for.
    """

    right: int
    given: int
    asked: int


def play(taken: Taken, ask: Ask, write: Write) -> Score:
    """Play a lesson.

    Args:
        taken: the lesson.
        ask: asks for an answer.
        write: shows some lines.

    Returns:
        How it went.
    """
    lesson = taken.lesson
    write(f"{lesson.title}\n{'=' * len(lesson.title)}\n")
    write(f"Afterwards you can {lesson.learns}.\n")
    write(f"{wrapped(lesson.text)}\n")
    write(listing(taken))
    right = given = 0
    for scene in taken.scenes:
        if len(taken.scenes) > 1:
            write(f"\n--- machine {scene.number + 1} ---")
        done = 0
        for prediction in taken.predictions:
            if prediction.scene != scene.number:
                continue
            _show(scene, done, prediction.position, write)
            done = max(done, prediction.position)
            answer = _ask(prediction, ask, write)
            given += answer is not None
            right += answer is not None and prediction.is_right(answer)
        _show(scene, done, len(scene.run), write)
    write(f"\n{right} of {len(taken.predictions)} right.\n")
    write(wrapped(f"In words: {lesson.question}"))
    ask("\n(Think, then press Enter.) ")
    write(f"\n{wrapped(taken.model_answer)}")
    return Score(right, given, len(taken.predictions))


def listing(taken: Taken) -> str:
    """The program with line numbers."""
    lines = enumerate(taken.program.lines, 1)
    return "\n".join(f"{number:4}  {line}".rstrip() for number, line in lines)


_MOST_SHOWN = 12
"""Calls shown between two questions; of more, the first and the last."""


def _show(scene: Scene, start: int, end: int, write: Write) -> None:
    """Show what some calls did, and the lists afterwards."""
    if start >= end:
        return
    shown = list(range(start, end))
    skipped = len(shown) - _MOST_SHOWN
    if skipped > 0:
        half = _MOST_SHOWN // 2
        shown = [*shown[:half], -1, *shown[-half:]]
    lines = [""]
    for number in shown:
        if number < 0:
            lines.append(f"        ... {skipped} more calls")
            continue
        step = scene.run[number]
        line = scene.line_number(step)
        source = scene.program.lines[line - 1].strip() if line else step.routine
        lines.append(f"  {line:4}  {source}   -> {scene.call(step)}")
    lines += [f"        {each}" for each in scene.views(end)]
    write("\n".join(lines))


def _ask(prediction: Prediction, ask: Ask, write: Write) -> str | None:
    """Ask until there is an answer; None where input has ended, or nothing was said."""
    write(
        "\n" + "\n".join([f"? {prediction.text}", *(f"    {o}" for o in prediction.options())])
    )
    while True:
        given = ask(f"  ({prediction.wants}) > ")
        if given is None or not given.strip():
            write(wrapped(f"It is {_answer(prediction)}: {prediction.why}.", "  "))
            return None
        if prediction.is_answer(given):
            break
        write(f"  Give {prediction.wants}.")
    if prediction.is_right(given):
        write(wrapped(f"Right: {prediction.why}.", "  "))
    else:
        write(wrapped(f"No, it is {_answer(prediction)}: {prediction.why}.", "  "))
    return given


def _answer(prediction: Prediction) -> str:
    return (
        f"{prediction.letter}) {prediction.answer}" if prediction.choices else prediction.answer
    )

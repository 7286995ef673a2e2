"""A run as one HTML file that opens from disk and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lookaside_sim.nt.arguments import shown
from lookaside_sim.page.assemble import page
from lookaside_sim.page.dumps import MOST_STEPS
from lookaside_sim.page.encode import Encoder
from lookaside_sim.page.questions import Exam, Question, values
from lookaside_sim.page.still import Recording
from lookaside_sim.run import Run
from lookaside_sim.run.culprits import culprit

_ROOM: Final = 100_000
_ROOM_A_STEP: Final = 4
"""Characters that a page keeps within, and for each step."""


def render(
    run: Recording,
    *,
    title: str | None = None,
    story: str = "",
    step: int = 0,
    end: int | None = None,
    focus: int | None = None,
    questions: Sequence[Question] = (),
    exam: Exam | None = None,
    section: str = "",
) -> str:
    """Show a run as a page.

    The page holds every step up to ``end``, the sources that made them, and a player for them.

    Cost: of each step, some 15 us.

    Args:
        run: the run.
        title: of the page; None for the run's own.
        story: a line that says what it is about.
        step: the position it opens at, 0 to the number of steps; a negative one counts from the end.
        end: steps to show; None for all. What comes behind is not in the page at all.
        focus: address of a block that is chosen when the page opens; None for what the step is
            about.
        questions: what predict mode asks, which the page begins in; by default what comes next,
            at the first step of each kind and at those that go another way than the last.
        exam: questions to be answered on the page and handed in. It ends at the first of
            them, whatever ``end`` says, since the steps behind it hold the answers.
        section: HTML below all else, such as `advice_section` makes.

    Returns:
        The text of the HTML file.

    Raises:
        TypeError, ValueError: no such position.
    """
    count = len(run)
    last = _position("end", count if end is None else end, count)
    if exam is not None:
        last = min(last, *(each.position for each in exam.questions), count)
    opens_at = min(_position("step", step, count), last)
    who = culprit(run) if last == count and isinstance(run, Run) else None
    name = title if title is not None else run.title or "A run"
    text = ""
    # What a page has too much is left out: first the bytes of blocks, then long sources.
    for bytes_too, whole in ((True, True), (False, True), (False, False)):
        if bytes_too and last > MOST_STEPS:
            continue
        encoder = Encoder(run, last, focus, bytes_too=bytes_too, whole_sources=whole)
        payload = encoder.payload()
        payload["step"] = opens_at
        payload["questions"] = values([each for each in questions if each.position < last])
        payload["exam"] = None if exam is None else exam.values()
        payload["culprit"] = None if who is None else [who.step.number + 1, who.why]
        text = page(payload, title=name, story=story, section=section)
        if len(text) <= _ROOM + _ROOM_A_STEP * last:
            break
    return text


def _position(name: str, value: int, count: int) -> int:
    if type(value) is not int:
        raise TypeError(f"{name} {shown(value)}: give a whole number")
    position = value + count + 1 if value < 0 else value
    if not 0 <= position <= count:
        raise ValueError(f"{name} {value}: give 0 to {count}, or -1 for the end")
    return position

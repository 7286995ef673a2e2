"""The ten lessons, in the order in which they are taken."""

from __future__ import annotations

from typing import Final

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lessons.book.of_lists import BYTES, DEPTHS, LIFO, LOAD
from lookaside_sim.lessons.book.of_mistakes import IRQL, LINK, TOOLS, TWICE
from lookaside_sim.lessons.book.of_pool import PAGE, TAGS
from lookaside_sim.lessons.lesson import Lesson

LESSONS: Final = (PAGE, TAGS, LIFO, DEPTHS, LOAD, BYTES, IRQL, LINK, TWICE, TOOLS)


def lesson_named(name: str) -> Lesson:
    """A lesson by its name, or its number from 1.

    Raises:
        LookasideSimError: there is none.
    """
    for number, lesson in enumerate(LESSONS, 1):
        if name.lower() in (lesson.name, str(number)):
            return lesson
    names = ", ".join(lesson.name for lesson in LESSONS)
    raise LookasideSimError(f"lesson {name!r}: give one of {names}, or its number")

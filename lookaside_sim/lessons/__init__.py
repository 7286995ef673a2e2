"""Lessons: small programs to predict, step by step; see docs/teaching.md.

The answers are never stored: each is read off the run of the program, so that another seed has
other numbers and, mostly, other answers.
"""

from lookaside_sim.lessons.contents import LESSONS, lesson_named
from lookaside_sim.lessons.lesson import Lesson, Taken, take

__all__ = ["LESSONS", "Lesson", "Taken", "lesson_named", "take"]

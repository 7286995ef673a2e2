"""The page: a run as one HTML file, and the same page in a notebook."""

from lookaside_sim.page.advice import advice_section
from lookaside_sim.page.failure import last_steps
from lookaside_sim.page.notebook import PoolPage
from lookaside_sim.page.questions import Exam, Question
from lookaside_sim.page.render import render
from lookaside_sim.run.culprits import Culprit, culprit

__all__ = [
    "Culprit",
    "Exam",
    "PoolPage",
    "Question",
    "advice_section",
    "culprit",
    "last_steps",
    "render",
]

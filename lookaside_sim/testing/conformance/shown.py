"""A difference as a notebook shows it: its report, and what the simulator does with its program."""

from __future__ import annotations

import html
from contextlib import suppress

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import Kernel
from lookaside_sim.page.notebook import RUN_HEIGHT, frame
from lookaside_sim.page.render import render
from lookaside_sim.run import record
from lookaside_sim.testing.execution import Execution
from lookaside_sim.testing.programs.steps import Program

__all__ = ["as_html"]


def as_html(what: str, report: str, program: Program) -> str:
    """The report of a difference above the page of the program's run on the simulator.

    Args:
        what: the difference in a sentence.
        report: all that is said of it.
        program: its steps.
    """
    kernel = Kernel()
    with suppress(LookasideSimError), record(kernel, "expected") as run:
        execution = Execution(kernel)
        for number, step in enumerate(program):
            run.note(f"step {number + 1} of the program: {step!r}")
            execution.run(step)
    page = frame(render(run, title="What the simulator does", story=what), RUN_HEIGHT)
    return f"<pre>{html.escape(report)}</pre>{page}"

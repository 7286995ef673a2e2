"""The program of a lesson: its text, and what it does when it is run and recorded.

The text is a Python program that the learner can run alone. At the end of a line a mark says
what may be asked there, and is not shown::

    entry = requests.allocate()  #? branch which!

The exclamation mark says that it has to be asked.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout, suppress
from io import StringIO
from string import Template
from typing import Final

import attrs

from lookaside_sim.kernel import Kernel, kernels_told
from lookaside_sim.run.run import Run, record

MOST_LINES: Final = 40
WANTED: Final = "!"
"""Ends the name of what has to be asked."""
_MARK: Final = re.compile(r"[ ]*#\?[ ]*(.*)$")


@attrs.frozen
class Program:
    """A program with its numbers filled in.

    Attributes:
        name: of its file.
        text: as it is shown.
        marks: what may be asked, by line number: kinds, each perhaps with an argument behind a
            colon.
    """

    name: str
    text: str
    marks: Mapping[int, tuple[str, ...]]

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.splitlines()


def program_of(name: str, template: str, numbers: Mapping[str, object]) -> Program:
    """Fill the numbers into the text of a program.

    Args:
        name: of the lesson.
        template: the text, with ``$NAME`` for numbers, and marks.
        numbers: what stands for the names.
    """
    filled = Template(template).substitute({key: str(value) for key, value in numbers.items()})
    lines, marks = [], {}
    for number, line in enumerate(filled.strip("\n").splitlines(), 1):
        mark = _MARK.search(line)
        if mark is not None:
            marks[number] = tuple(mark[1].split())
            line = line[: mark.start()]
        lines.append(line)
    return Program(f"{name}.py", "\n".join(lines) + "\n", marks)


@attrs.frozen
class Recorded:
    """What a program did.

    Attributes:
        runs: one for each machine it made.
        printed: what it printed.
        error: what ended it, as a text; empty for nothing.
    """

    runs: tuple[Run, ...]
    printed: str
    error: str


def run_program(program: Program, title: str = "") -> Recorded:
    """Run a program and record every machine it makes.

    Args:
        program: which.
        title: of the runs.
    """
    # The recording keeps the text of files that made calls, so the program is one.
    text = program.text
    linecache.cache[program.name] = (
        len(text),
        None,
        [f"{line}\n" for line in program.lines],
        program.name,
    )
    runs: list[Run] = []
    printed, error = StringIO(), ""
    with ExitStack() as recordings:

        def begin(kernel: Kernel) -> None:
            title_here = title if not runs else f"{title}, machine {len(runs) + 1}"
            runs.append(recordings.enter_context(record(kernel, title_here)))

        with redirect_stdout(printed), kernels_told(begin):
            try:
                exec(compile(text, program.name, "exec"), {"__name__": "lesson"})
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
    with suppress(KeyError):
        del linecache.cache[program.name]
    return Recorded(tuple(runs), printed.getvalue(), error)

"""Many threads on one allocator in C: what goes wrong, made small."""

from __future__ import annotations

import itertools
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from lookaside_sim.testing.conformance.sanitizer_reports import first_report
from lookaside_sim.testing.programs.steps import Allocate, Free, Step
from lookaside_sim.testing.reduce.minimize import minimize_sequence

__all__ = ["Raced", "Stress"]

_SECONDS: Final = 60
_CALLS: Final = 2000
"""Calls of each thread at first."""
_MOST_HELD: Final = 16
_TRIES: Final = 3
"""Runs after which a program of threads counts as one that goes well."""
_RUNS: Final = 150
"""Runs to spend on making it small."""
_SHORT: Final = ("A", "AF", "AFA", "AFAF", "AAFF", "AAOF")
"""What a thread does at least: tried first, in pairs."""
_STEPS: Final[dict[str, Step]] = {"A": Allocate(), "F": Free(), "O": Free(oldest=True)}


@attrs.frozen
class Raced:
    """What went wrong with many threads.

    Attributes:
        what: in a sentence.
        threads: the steps of each thread with which it was seen again, as few as were found.
    """

    what: str
    threads: tuple[tuple[Step, ...], ...]

    def __str__(self) -> str:
        lines = [self.what, "", f"Shown by {len(self.threads)} threads:"]
        most = 8
        for steps in self.threads:
            shown = ", ".join(map(repr, steps[:most]))
            more = f", and {len(steps) - most} more" if len(steps) > most else ""
            lines.append(f"    {shown}{more}")
        return "\n".join(lines)


class Stress:
    """A program that runs threads on an allocator.

    Args:
        program: the program; see `c_glue.STRESS`.
        source: name of the allocator's file, as reports have it.
    """

    def __init__(self, program: Path, source: str) -> None:
        self._program = program
        self._source = source
        self._left = _RUNS

    def run(self, threads: int) -> Raced | None:
        """Let threads use one allocator, and make small what goes wrong.

        Args:
            threads: how many.

        Returns:
            What goes wrong, or None.
        """
        drawn = random.Random(threads)
        scripts = [_script(drawn) for _ in range(threads)]
        what = self._run(scripts)
        if what is None:
            return None
        for pair in _pairs():
            found = self._fails(pair)
            if found is not None:
                return Raced(found, tuple(_steps(each) for each in pair))
        best = what, scripts

        def fails(candidate: Sequence[str]) -> bool:
            nonlocal best
            found = self._fails(list(candidate))
            if found is not None:
                best = found, list(candidate)
            return found is not None

        minimize_sequence(scripts, fails)
        for number in range(len(best[1])):
            others = best[1]

            def with_steps(steps: list[str], number: int = number) -> bool:
                changed = [*others[:number], "".join(steps), *others[number + 1 :]]  # noqa: B023
                return fails(changed)

            minimize_sequence(list(others[number]), with_steps)
        return Raced(best[0], tuple(_steps(each) for each in best[1]))

    def _fails(self, scripts: list[str]) -> str | None:
        """What goes wrong in one of a few runs."""
        for _ in range(_TRIES):
            if self._left <= 0:
                return None
            self._left -= 1
            found = self._run(scripts)
            if found is not None:
                return found
        return None

    def _run(self, scripts: Sequence[str]) -> str | None:
        marked = [chr(ord("a") + number % 26) + each for number, each in enumerate(scripts)]
        try:
            done = subprocess.run(
                [str(self._program), *marked],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"the threads did not come to an end in {_SECONDS} seconds"
        report = first_report(done.stderr)
        if report is not None:
            # Each access has its stack; of each the first place in the file is told.
            place = re.compile(rf"#\d+ (\w+) .*{re.escape(self._source)}:(\d+)")
            found = filter(None, map(place.search, done.stderr.split("\n\n")))
            shown = ", ".join(f"{each[1]}:{each[2]}" for each in itertools.islice(found, 2))
            return f"{report} ({shown})" if shown else report
        if done.returncode:
            words = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            return words[0].removeprefix("STRESS: ")
        return None


def _script(drawn: random.Random) -> str:
    """Random calls of one thread."""
    steps = []
    held = 0
    for _ in range(_CALLS):
        if held == _MOST_HELD or (held and drawn.random() < 0.5):
            steps.append(drawn.choice("FO"))
            held -= 1
        else:
            steps.append("A")
            held += 1
    return "".join(steps)


def _pairs() -> Iterator[list[str]]:
    """Two threads that do little, the least first."""
    both = itertools.combinations_with_replacement(_SHORT, 2)
    yield from sorted(map(list, both), key=lambda pair: len(pair[0]) + len(pair[1]))


def _steps(script: str) -> tuple[Step, ...]:
    return tuple(_STEPS[each] for each in script)

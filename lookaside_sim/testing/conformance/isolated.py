"""Run examples in a process of its own, which may crash or hang without harm.

A worker is forked (spawned, where there is no fork) and given many examples at a time, so that
the cost of a process is paid once. It tells in shared memory what it is about to do; when it
dies or stands still, that is where. After any difference it ends, because nobody knows what
is left of its memory, and the next example gets a fresh one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs

from lookaside_sim.testing.conformance.comparison import reported_program
from lookaside_sim.testing.conformance.differences import AllocatorDifference, Setting
from lookaside_sim.testing.conformance.sanitizer_reports import first_report
from lookaside_sim.testing.conformance.worker import Worker
from lookaside_sim.testing.programs.example import Example
from lookaside_sim.testing.programs.steps import Delete, Program

__all__ = ["IsolatedTrials"]

_BATCH: Final = 64
"""Examples that a worker gets at a time."""
_SMALL_WAIT: Final = 0.05
"""Part of the time limit that is enough while a program that hangs is made small."""


class IsolatedTrials:
    """Runs examples as `Trials` does, where a crash, an exit or a hang is a difference too.

    Args:
        setting: how to run them.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._limit = setting.time_limit
        self._quick = self._hung = False
        handle, self._errors = tempfile.mkstemp(prefix="lookaside-", suffix=".err")
        os.close(handle)
        self._worker: Worker | None = None

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        with contextlib.suppress(OSError):
            Path(self._errors).unlink()

    def difference(self, example: Example) -> AllocatorDifference | None:
        """Run one example; see `Trials.difference`."""
        found = self._run([example])
        return None if found is None else found[1]

    def be_quick(self, quick: bool) -> None:
        """Wait only for a part of the time limit, or for all of it again; see `Trials`.

        Args:
            quick: whether a program is being made small.
        """
        self._quick = quick

    def first_difference(
        self, examples: Iterable[Example]
    ) -> tuple[Example, AllocatorDifference] | None:
        """Run examples up to the first that shows a difference; see `Trials`."""
        examples = iter(examples)
        while batch := list(islice(examples, _BATCH)):
            found = self._run(batch)
            if found is not None:
                return found
        return None

    def _run(self, examples: Sequence[Example]) -> tuple[Example, AllocatorDifference] | None:
        while examples:
            worker = self._worker = self._worker or Worker(self.setting, self._errors)
            limit = self._limit * (_SMALL_WAIT if self._quick and self._hung else 1)
            with contextlib.suppress(ConnectionError):
                worker.link.send(examples)
            kind, answer = worker.answer(limit)
            if kind == "answer" and answer is None:
                return None
            step, may_end, number, _ = worker.shared
            worker.close()
            self._worker = None
            if isinstance(answer, Exception):
                raise answer
            example = examples[min(number, len(examples) - 1)]
            if may_end and kind != "hang":
                examples = examples[number + 1 :]  # it stopped, as it promised
                continue
            return example, self._found(example, kind, answer, step)
        return None

    def _found(
        self, example: Example, kind: str, answer: Any, step: int
    ) -> AllocatorDifference:
        setting = attrs.evolve(self.setting, reuse=example.reuse)
        if isinstance(answer, tuple):
            what, program, expected, actual, steps, cause = answer
            found = AllocatorDifference(
                what, program, expected, actual, setting=setting, steps=steps
            )
            if cause != "None":
                found.__cause__ = RuntimeError(cause)
            return found
        steps = example.program[:step]
        past = step - len(example.program)
        if past > 0:
            during = "freeing what is left" if past == 1 else "Delete()"
        else:
            during = repr(steps[-1]) if steps else "being created"
        happened = self._happened(kind, answer)
        end: Program = [Delete()] if past == 2 else []
        return AllocatorDifference(
            f"the process {happened}, in {during}",
            reported_program(example.size, example.refused, list(steps), end),
            {"the process": "goes on"},
            {"the process": happened},
            setting=setting,
            steps=steps,
        )

    def _happened(self, kind: str, code: Any) -> str:
        text = Path(self._errors).read_text("utf-8", "replace")
        report = first_report(text)
        if report is not None:
            return f"was reported by a sanitizer: {report}"
        if kind == "hang":
            self._hung = True
            return f"stood still for {self._limit:g} seconds"
        if isinstance(code, int) and code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

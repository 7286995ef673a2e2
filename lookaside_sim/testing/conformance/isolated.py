"""Run examples in a process of its own, which may crash or hang without harm.

A worker is forked (spawned, where there is no fork) and given many examples at a time, so that
the cost of a process is paid once. It tells in shared memory what it is about to do; when it
dies or stands still, that is where. After any difference it ends, because nobody knows what
is left of its memory, and the next example gets a fresh one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import re
import signal
import tempfile
import warnings
from collections.abc import Iterable, MutableSequence, Sequence
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

import attrs

from lookaside_sim.testing.conformance.comparison import reported_program
from lookaside_sim.testing.conformance.differences import AllocatorDifference, Setting
from lookaside_sim.testing.conformance.trials import Trials
from lookaside_sim.testing.programs.example import Example
from lookaside_sim.testing.programs.steps import Delete, Program

__all__ = ["IsolatedTrials", "first_report"]

_BATCH: Final = 64
"""Examples that a worker gets at a time."""
_SMALL_WAIT: Final = 0.1
"""Part of the time limit that is enough while a program that hangs is made small."""
_REPORT: Final = re.compile(
    r"ERROR: \w+Sanitizer: (?P<error>[\w-]+)|WARNING: \w+Sanitizer: (?P<warning>[^(\n]+)"
    r"|(?P<file>[^\s:]+):\d+:\d+: runtime error: (?P<undefined>[^\n]+)"
)
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,}")
_LOOKS: Final = 8
"""How often in the time limit a worker is looked at."""
_READY: Final = "ready"
# Places of the shared memory: those of `Comparison`, the example, calls finished.
_STEP, _MAY_END, _EXAMPLE, _CALLS = range(4)


def first_report(text: str) -> str | None:
    """What a sanitizer found, without addresses.

    Args:
        text: what the process wrote on its standard error.
    """
    found = _REPORT.search(text)
    if found is None:
        return None
    kind = found["error"] or found["warning"] or found["undefined"]
    return _ADDRESS.sub("an address", kind.strip())


class _Counting:
    """A list of numbers in which writing the first also counts, as a sign of life."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared

    def __getitem__(self, place: int) -> int:
        number: int = self._shared[place]
        return number

    def __setitem__(self, place: int, number: int) -> None:
        self._shared[place] = number
        self._shared[_CALLS] += 1


def _plain(state: dict[str, object]) -> dict[str, object]:
    """Values that can be sent: anything of the allocator's own as its repr."""
    return {
        name: value if isinstance(value, (int, str, bytes, list, type(None))) else repr(value)
        for name, value in state.items()
    }


def _serve(link: Connection, shared: Any, errors: str, setting: Setting) -> None:
    """What the worker does: run examples until one differs, or nobody asks any more."""
    faulthandler.disable()  # a crash is what is looked for, and told elsewhere
    with contextlib.suppress(OSError, ValueError):
        into = os.open(errors, os.O_WRONLY | os.O_APPEND)
        os.dup2(into, 2)
        os.close(into)
    counting: MutableSequence[int] = _Counting(shared)  # type: ignore[assignment]
    setting = attrs.evolve(setting, factory=_alive(setting.factory, shared))
    trials = Trials(setting, counting)
    link.send(_READY)
    while True:
        try:
            examples: Sequence[Example] = link.recv()
        except EOFError:
            return
        answer: Any = None
        for number, example in enumerate(examples):
            shared[_EXAMPLE] = number
            try:
                found = trials.difference(example)
            except Exception as error:
                answer = error
                break
            written = os.fstat(2).st_size if not found else 0
            if found is not None:
                answer = (found.what, found.program, _plain(found.expected),
                          _plain(found.actual), found.steps, repr(found.__cause__))  # fmt: skip
                break
            if shared[_MAY_END] or (
                written and first_report(Path(errors).read_text("utf-8", "replace"))
            ):
                answer = "report" if not shared[_MAY_END] else "stopped"
                break
        shared[_EXAMPLE] = len(examples) if answer is None else shared[_EXAMPLE]
        try:
            link.send(answer)
        except Exception:
            link.send(RuntimeError(repr(answer)))
        if answer is not None:
            return


def _alive(factory: Any, shared: Any) -> Any:
    """The same factory, its backend giving signs of life."""

    def make(backend: Any, size: int) -> Any:
        def alive() -> None:
            shared[_CALLS] += 1

        backend.on_switch = alive
        return factory(backend, size)

    return make


class _Worker:
    """One process."""

    def __init__(self, setting: Setting, errors: str) -> None:
        context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
        self.shared = context.RawArray("Q", 4)
        self.link, other = context.Pipe()
        Path(errors).write_bytes(b"")
        self.process = context.Process(
            target=_serve, args=(other, self.shared, errors, setting), daemon=True
        )
        with warnings.catch_warnings():
            # From Python 3.12 on a fork with threads around warns. The child touches none.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process.start()
        other.close()
        # Only from here on does time count.
        with contextlib.suppress(EOFError, ConnectionError):
            self.link.recv()

    def answer(self, seconds: float) -> tuple[str, Any]:
        """Wait for the answer, an end, or for too long without a sign of life."""
        calls, still = self.shared[_CALLS], 0
        while True:
            ready = wait([self.link, self.process.sentinel], seconds / _LOOKS)
            if self.link in ready:
                with contextlib.suppress(EOFError, ConnectionError):
                    return "answer", self.link.recv()
            if ready:
                self.process.join()
                return "end", self.process.exitcode
            now = self.shared[_CALLS]
            still = still + 1 if now == calls else 0
            calls = now
            if still >= _LOOKS:
                return "hang", None

    def close(self) -> None:
        self.link.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


class IsolatedTrials:
    """Runs examples as `Trials` does, where a crash, an exit or a hang is a difference too.

    Args:
        setting: how to run them.
        time_limit: seconds in which the allocator must get on.
    """

    def __init__(self, setting: Setting, time_limit: float) -> None:
        self.setting = setting
        self._limit = time_limit
        self._quick = False
        handle, self._errors = tempfile.mkstemp(prefix="lookaside-", suffix=".err")
        os.close(handle)
        self._worker: _Worker | None = None

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
        """Wait only for a part of the time limit, or for all of it again.

        Args:
            quick: whether a program that hangs is being made small.
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
            worker = self._worker = self._worker or _Worker(self.setting, self._errors)
            limit = self._limit * (_SMALL_WAIT if self._quick else 1)
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
            during = "freeing what is left" if past == 1 else "delete()"
        else:
            during = repr(steps[-1]) if steps else "being created"
        happened = self._happened(kind, answer)
        end: Program = [Delete()] if past > 0 else []
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
            return f"stood still for {self._limit:g} seconds"
        if isinstance(code, int) and code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

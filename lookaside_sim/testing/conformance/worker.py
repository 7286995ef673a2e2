"""A process that runs examples for another one, and tells where it is."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import time
import warnings
from collections.abc import MutableSequence, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

import attrs

from lookaside_sim.testing.conformance.differences import Setting
from lookaside_sim.testing.conformance.sanitizer_reports import first_report
from lookaside_sim.testing.conformance.trials import Trials
from lookaside_sim.testing.programs.example import Example

__all__ = ["Worker", "serve"]

_LOOKS: Final = 8
"""How often in the time limit a worker is looked at."""
_MOST_LOOKS: Final = 20 * _LOOKS
"""After so many a worker hangs, even if a busy machine did not let it run."""
_CLOCK: Final = 2
"""CPUCLOCK_SCHED: which of its clocks, from linux/posix-timers.h."""
_MOST_USES: Final = 100_000
"""Uses of the backend in one call after which they are no signs of life any more."""
_READY: Final = "ready"
# Places of the shared memory: those of `Comparison`, the example, calls finished.
_STEP, _MAY_END, _EXAMPLE, _CALLS = range(4)


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


def _run(link: Connection, shared: Any, errors: str, setting: Setting) -> None:
    """What the process is made for."""
    faulthandler.disable()  # a crash is what is looked for, and told elsewhere
    with contextlib.suppress(OSError, ValueError):
        into = os.open(errors, os.O_WRONLY | os.O_APPEND)
        os.dup2(into, 2)
        os.close(into)
    serve(link, shared, errors, setting)


def serve(link: Connection, shared: Any, errors: str, setting: Setting) -> None:
    """Run examples until one differs, or nobody asks any more.

    Args:
        link: examples come from there, and what differs goes there.
        shared: gets where it is.
        errors: the file that the standard error goes to.
        setting: how to run them.
    """
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
            written = os.stat(errors).st_size if not found else 0
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
            if backend.uses < _MOST_USES:
                shared[_CALLS] += 1

        backend.on_switch = alive
        return factory(backend, size)

    return make


def _processor_time(pid: int | None) -> tuple[bool, float] | None:
    """Whether a process can run, and for how many seconds it did; None where nobody knows."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        state = text.rpartition(")")[2].split()[0]
        # How Linux numbers the clock of another process; /proc counts hundredths only.
        return state in "RD", time.clock_gettime(~int(pid or 0) << 3 | _CLOCK)
    except (OSError, ValueError, IndexError, AttributeError):
        return None


class Worker:
    """One process, ready when it is made.

    Args:
        setting: how to run examples.
        errors: a file for its standard error, emptied first.

    Attributes:
        shared: numbers it writes: step, whether it may end, example, calls.
        link: takes examples, and has its answer.
        process: the process.
    """

    def __init__(self, setting: Setting, errors: str) -> None:
        context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
        self.shared = context.RawArray("Q", 4)
        self.link, other = context.Pipe()
        Path(errors).write_bytes(b"")
        self.process = context.Process(
            target=_run, args=(other, self.shared, errors, setting), daemon=True
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
        """Wait for the answer, an end, or for too long without a sign of life.

        Args:
            seconds: how long is too long.

        Returns:
            "answer" and what it sent, "end" and the exit code, or "hang".
        """
        calls, still = self.shared[_CALLS], 0
        used = _processor_time(self.process.pid)
        while True:
            ready = wait([self.link, self.process.sentinel], seconds / _LOOKS)
            if self.link in ready:
                with contextlib.suppress(EOFError, ConnectionError):
                    return "answer", self.link.recv()
            if ready:
                self.process.join()
                return "end", self.process.exitcode
            now = self.shared[_CALLS]
            if now != calls:
                calls, still, used = now, 0, _processor_time(self.process.pid)
                continue
            still += 1
            if still >= _LOOKS and (
                still >= _MOST_LOOKS or not self._is_starved(used, seconds / 2)
            ):
                return "hang", None

    def _is_starved(self, before: tuple[bool, float] | None, needed: float) -> bool:
        """Whether the process would run, if the machine let it."""
        now = _processor_time(self.process.pid)
        return before is not None and now is not None and now[0] and now[1] - before[1] < needed

    def close(self) -> None:
        """End it."""
        self.link.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()

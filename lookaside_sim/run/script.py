"""Runs of what comes from a file: a script that is recorded, a trace, or a run itself."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Final, TextIO

import attrs

from lookaside_sim.errors import RunError
from lookaside_sim.kernel import Kernel, kernels_told
from lookaside_sim.run.driver import SUFFIX, call_of, record_driver
from lookaside_sim.run.file import MAGIC
from lookaside_sim.run.run import Run, record

_SCRIPT: Final = ".py"


@attrs.frozen
class ScriptRuns:
    """What a script did.

    Attributes:
        runs: a run for each machine it made, in that order; those it never used too.
        error: what left the script, or None; an exit is no error.
    """

    runs: tuple[Run, ...]
    error: BaseException | None

    @property
    def main(self) -> Run | None:
        """The run that a reader wants: one that stopped, else the longest one."""
        stopped = [each for each in self.runs if each.stop is not None]
        return max(stopped or self.runs, key=len, default=None)


def record_script(
    path: str | Path, argv: Sequence[str] = (), *, output: TextIO | None = None
) -> Run:
    """Run a script and record the machine it makes.

    A script that ends with an error, such as a stop, is recorded up to there.

    Args:
        path: of the script.
        argv: its arguments.
        output: where what it prints goes; None for the standard error stream.

    Returns:
        The run of its machine; of several, one that stopped, else the longest.

    Raises:
        RunError: it made no machine.
        OSError: the file cannot be read.
        BaseException: what left the script, where it made no machine before.
    """
    done = record_script_runs(path, argv, output=output)
    if done.main is None:
        if done.error is not None:
            raise done.error
        raise RunError(str(path), None, "the script made no Kernel")
    return done.main


def record_script_runs(
    path: str | Path, argv: Sequence[str] = (), *, output: TextIO | None = None
) -> ScriptRuns:
    """Run a script and record every machine it makes; see `record_script`."""
    path = Path(path)
    with path.open("rb"):  # what cannot be read is no script that failed
        pass
    runs: list[Run] = []
    error: BaseException | None = None
    with ExitStack() as recordings:

        def begin(kernel: Kernel) -> None:
            title = path.name if not runs else f"{path.name}, machine {len(runs) + 1}"
            runs.append(recordings.enter_context(record(kernel, title)))

        with (
            _as_main(path, argv),
            redirect_stdout(output or sys.stderr),
            kernels_told(begin),
        ):
            try:
                runpy.run_path(str(path), run_name="__main__")
            except SystemExit:
                pass
            except Exception as raised:
                error = raised
    return ScriptRuns(tuple(runs), error)


def open_run(
    path: str | Path,
    argv: Sequence[str] = (),
    *,
    lookaside: Iterable[int] = (),
    output: TextIO | None = None,
) -> Run:
    """Open whatever can be looked at as a run.

    Args:
        path: of a run, of a Python script (by its name's end), which is run and recorded, or
            of a compiled driver (``.sys``), which is started, called and unloaded, or of a
            trace of any format, which is replayed.
        argv: arguments of a script; for a driver its calls, each a symbol and integers.
        lookaside: sizes that get lists, of a trace.
        output: where a script prints to; None for the standard error stream.

    Raises:
        RunError, TraceError: the file is neither, or a damaged one.
        OSError: it cannot be read.
        BaseException: what left a script that made no machine.
    """
    path = Path(path)
    if path.suffix == _SCRIPT:
        return record_script(path, argv, output=output)
    if path.suffix.lower() == SUFFIX:
        return record_driver(path, map(call_of, argv), output=output)
    if is_trace(path):
        return Run.from_trace(path, lookaside=lookaside)
    return Run.load(path)


def is_trace(path: Path) -> bool:
    """Whether `open_run` takes a file for a trace.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix == _SCRIPT or path.suffix.lower() == SUFFIX:
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) != MAGIC


@contextmanager
def _as_main(path: Path, argv: Sequence[str]) -> Iterator[None]:
    """What a script finds in `sys` while it runs."""
    before = sys.argv, sys.path[:]
    sys.argv = [str(path), *argv]
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before

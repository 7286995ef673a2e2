"""What the shell can open: scripts, saved runs, traces; and what others say they can.

A kind of file has a suffix and a function that makes a recording, or a live machine, of it.
"""

from __future__ import annotations

import inspect
import runpy
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final, TypeAlias

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import Kernel
from lookaside_sim.run.run import Run, record
from lookaside_sim.run.script import record_script_runs

Opener: TypeAlias = Callable[[Path, dict[str, Any]], "Run | Kernel"]
"""Takes a file and the settings of the `Kernel` it is to have; gives what the shell looks at."""

_RUN: Final = ".lkrun"


def open_run(path: Path, settings: dict[str, Any]) -> Run:
    """Load a saved run; its machine is the recorded one."""
    return Run.load(path)


def open_script(path: Path, settings: dict[str, Any]) -> Run:
    """Run a Python script and record the machine it makes.

    A script that makes none but has a function of one argument, ``kernel``, has it called with
    a machine, as the programs of misuse have.

    Raises:
        LookasideSimError: it makes no machine.
    """
    if not settings:
        done = record_script_runs(path)
        if done.main is not None:
            return done.main
        if done.error is not None:
            raise done.error
    with redirect_stdout(sys.stderr):
        names = runpy.run_path(str(path))
    wanted = [each for each in names.values() if _takes_kernel(each, path)]
    if not wanted:
        raise LookasideSimError(
            f"{path}: the script makes no Kernel, and no function takes one"
        )
    kernel = Kernel(**settings)
    with redirect_stdout(sys.stderr), kernel, record(kernel, path.name) as run:
        try:
            wanted[0](kernel)
        except Exception as error:  # what ends the program is what there is to look at
            print(f"{type(error).__name__}: {error}")
    return run


def _takes_kernel(each: object, path: Path) -> bool:
    return (
        inspect.isfunction(each)
        and each.__code__.co_filename == str(path)
        and list(inspect.signature(each).parameters) == ["kernel"]
    )


_openers: dict[str, Opener] = {".py": open_script, _RUN: open_run}


def add_opener(suffix: str, opener: Opener) -> None:
    """Say how files of a kind are opened.

    Args:
        suffix: of their names, with the dot; case does not count.
        opener: see `Opener`.
    """
    _openers[suffix.lower()] = opener


def open_target(path: Path, settings: dict[str, Any] | None = None) -> Run | Kernel:
    """Open a file for the shell.

    Args:
        path: of the file.
        settings: of the machine, where the file does not say it.

    Raises:
        LookasideSimError: it is nothing that can be looked at.
        OSError: it cannot be read.
    """
    opener = _openers.get(path.suffix.lower())
    if opener is None:
        kinds = ", ".join(sorted(_openers))
        raise LookasideSimError(f"{path}: kd opens files that end in {kinds}")
    return opener(path, settings or {})

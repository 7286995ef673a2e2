"""What the shell can open: runs, traces, scripts, and what others say they can.

A kind of file has a suffix and a function that makes a recording, or a live machine, of it.
"""

from __future__ import annotations

import inspect
import runpy
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final, TypeAlias

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import Kernel
from lookaside_sim.run.driver import SUFFIX, record_driver
from lookaside_sim.run.run import Run, record
from lookaside_sim.run.script import open_run, record_script_runs

Opener: TypeAlias = Callable[[Path, Mapping[str, Any]], "Run | Kernel"]
"""Takes a file and the settings of the `Kernel` it is to have; gives what the shell looks at."""

_SCRIPT: Final = ".py"


def open_script(path: Path, settings: Mapping[str, Any]) -> Run:
    """Run a Python script and record the machine it makes.

    A script that makes none but has a function of one argument, ``kernel``, has it called with
    a machine, as the programs of misuse have.

    Args:
        path: of the script.
        settings: of that machine. With any, only such a function will do.

    Raises:
        LookasideSimError: it makes no machine.
        BaseException: what left a script that made no machine.
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


def open_driver(path: Path, settings: Mapping[str, Any]) -> Run:
    """Run a compiled driver's DriverEntry, and what it queues, and record that.

    Args:
        path: of a .sys file.
        settings: of the machine; its architecture is the file's.

    Raises:
        LookasideSimError: it cannot be loaded, or the extra ``drive`` is not installed.
    """
    return record_driver(path, settings=settings)


def _takes_kernel(each: object, path: Path) -> bool:
    return (
        inspect.isfunction(each)
        and each.__code__.co_filename == str(path)
        and list(inspect.signature(each).parameters) == ["kernel"]
    )


_openers: dict[str, Opener] = {_SCRIPT: open_script, SUFFIX: open_driver}


def add_opener(suffix: str, opener: Opener) -> None:
    """Say how files of a kind are opened.

    Args:
        suffix: of their names, with the dot; case does not count.
        opener: see `Opener`.
    """
    _openers[suffix.lower()] = opener


def open_target(
    path: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    lookaside: Iterable[int] = (),
) -> Run | Kernel:
    """Open a file for the shell.

    Args:
        path: of the file: what no opener is for is a run or a trace.
        settings: of the machine, where a script or another opener takes its machine.
        lookaside: sizes that get lists, of a trace.

    Raises:
        LookasideSimError: it is nothing that can be looked at.
        OSError: it cannot be read.
    """
    opener = _openers.get(path.suffix.lower())
    if opener is None:
        return open_run(path, lookaside=lookaside)
    return opener(path, settings or {})

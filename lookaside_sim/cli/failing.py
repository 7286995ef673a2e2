"""What ``shrink`` and ``pin`` share: the check that a trace fails, and whose error an error is."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lookaside_sim.cli.at_rest import as_given, is_copy
from lookaside_sim.errors import LookasideSimError, TraceError
from lookaside_sim.nt.arguments import shown

if TYPE_CHECKING:
    from lookaside_sim.testing.reduce.traces import Check

__all__ = ["load_check", "of_file", "refuse_input"]


def refuse_input(file: Path, output: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        LookasideSimError: both are one file.
    """
    if output.exists() and file.exists() and output.samefile(file):
        raise LookasideSimError(f"-o {output}: give another file than the trace itself")


@contextmanager
def of_file(options: argparse.Namespace) -> Iterator[None]:
    """Say of which file an error is that comes of its events, and that a check must not exit."""
    name = options.file.name
    told = as_given(str(options.file)) if is_copy(options.file) else name
    try:
        yield
    except SystemExit as error:
        raise LookasideSimError(
            f"--check {options.check}: it exits; give a function that raises when it fails"
        ) from error
    except TraceError as error:
        if error.file == told:
            raise
        raise TraceError(told, error.line, error.field, error.problem) from error
    except (LookasideSimError, ValueError) as error:
        raise LookasideSimError(f"{told}: {error}") from error


def load_check(name: str) -> Check:
    """Import a check, also from the current folder, as ``python -m`` does."""
    module, colon, function = name.partition(":")
    if not colon or not module or not function.isidentifier():
        raise ValueError(f"--check {name}: give MODULE:FUNCTION")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        why = str(error) or type(error).__name__
        raise LookasideSimError(f"--check {name}: {why}") from error
    if not callable(found):
        raise LookasideSimError(f"--check {name}: {shown(found)} cannot be called")
    checked: Check = found
    return checked

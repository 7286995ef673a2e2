"""``lookaside-sim shrink`` and ``lookaside-sim pin``."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookaside_sim.errors import LookasideSimError, TraceError
from lookaside_sim.nt.arguments import shown
from lookaside_sim.trace import load, replay, save

if TYPE_CHECKING:
    from lookaside_sim.testing.reduce.traces import Check

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the subcommands of this package.

    Args:
        commands: what ``add_subparsers`` returned.
    """
    shrink = commands.add_parser(
        "shrink",
        help="reduce a failing trace to what its failure needs",
        description="Reduce a trace for which a check raises: take events away and let less"
        " time pass as long as it raises the same exception.",
    )
    shrink.add_argument("file", metavar="FILE", type=Path, help="a .jsonl or .jsonl.gz trace")
    shrink.add_argument(
        "--check",
        metavar="MODULE:FUNCTION",
        help="called with the list of events, raises when they fail; by default a replay,"
        " which fails when it stops the machine",
    )
    shrink.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: FILE.min.jsonl"
    )
    shrink.set_defaults(command=_shrink)
    pin = commands.add_parser(
        "pin",
        help="write the pytest regression that keeps a trace",
        description="Write a pytest module that holds the trace and asserts what it does: that"
        " the check passes, or, without one, what a replay does now.",
    )
    pin.add_argument("file", metavar="FILE", type=Path, help="a .jsonl or .jsonl.gz trace")
    pin.add_argument(
        "--check", metavar="MODULE:FUNCTION", help="what the test calls with the events"
    )
    pin.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: the standard output"
    )
    pin.set_defaults(command=_pin)


def _shrink(options: argparse.Namespace) -> int:
    from lookaside_sim.testing.reduce.traces import default_output, shrink_trace

    check: Check = replay if options.check is None else _load_check(options.check)
    output = options.output or default_output(options.file, ".min.jsonl")
    _refuse_input(options.file, output)
    with _of_file(options):
        events = list(load(options.file))
        reduced = shrink_trace(events, check)
    save(output, reduced, f"reduced from {options.file.name}")
    print(f"{len(events):,} events reduced to {len(reduced):,}: {output}")
    return 0


def _pin(options: argparse.Namespace) -> int:
    from lookaside_sim.testing.reduce.traces import default_output, pin_trace

    if options.check is not None:
        _load_check(options.check)  # a typing mistake is better found now
    if options.output is not None:
        _refuse_input(options.file, options.output)
    name = re.sub(r"\W+", "_", default_output(options.file, "").name)
    with _of_file(options):
        source = pin_trace(list(load(options.file)), name, options.check)
    if options.output is None:
        print(source, end="")
    else:
        options.output.write_text(source, encoding="utf-8")
        print(options.output)
    return 0


def _refuse_input(file: Path, output: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        LookasideSimError: both are one file.
    """
    if output.exists() and file.exists() and output.samefile(file):
        raise LookasideSimError(f"-o {output}: give another file than the trace itself")


@contextmanager
def _of_file(options: argparse.Namespace) -> Iterator[None]:
    """Say of which file an error is that comes of its events, and that a check must not exit."""
    try:
        yield
    except SystemExit as error:
        raise LookasideSimError(
            f"--check {options.check}: it exits; give a function that raises when it fails"
        ) from error
    except TraceError as error:
        if error.file == options.file.name:
            raise
        raise TraceError(options.file.name, error.line, error.field, error.problem) from error
    except (LookasideSimError, ValueError) as error:
        raise LookasideSimError(f"{options.file.name}: {error}") from error


def _load_check(name: str) -> Check:
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

"""``lookaside-sim record-run``: run a Python script and keep what its machine did as a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from lookaside_sim.errors import RunError
from lookaside_sim.run import open_run
from lookaside_sim.run.driver import SUFFIX

EXIT_OK: Final = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``record-run`` its description, arguments and command."""
    parser.description = (
        "Run a Python script or a compiled driver and write what it does with its Kernel as a run,"
        " which other commands take; a stop is its last step. What the script prints goes to stderr."
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: SCRIPT's name with .lkrun"
    )
    parser.add_argument(
        "command_line",
        metavar="SCRIPT [ARG]",
        nargs="+",
        help="a Python program and its arguments, or a .sys file and calls such as 'Read 0 16';"
        " behind -- where one begins with a dash",
    )
    parser.set_defaults(command=_record_run)


def _record_run(options: argparse.Namespace) -> int:
    script = Path(options.command_line[0])
    if script.suffix not in (".py", SUFFIX):
        raise RunError(str(script), None, "give a Python script (.py) or a driver (.sys)")
    run = open_run(script, options.command_line[1:])
    output: Path = options.output or Path(script.stem + ".lkrun")
    run.save(output)
    ended = "" if run.stop is None else f", the last one a stop: {run.stop.error}"
    print(f"{output}: {len(run):,} steps of {script}{ended}")
    return EXIT_OK

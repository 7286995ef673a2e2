"""``lookaside-sim record-run`` and ``export``: make a run of a script, write it for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from lookaside_sim.run import export, open_run, record_script
from lookaside_sim.run.export_formats import FORMATS

EXIT_OK: Final = 0
_SUFFIXES: Final = {"perfetto": ".perfetto.json", "csv": ".csv", "json": ".json"}


def add_commands(commands: Any) -> None:
    """Add the subcommands ``record-run`` and ``export`` to a parser's subcommands."""
    made = commands.add_parser(
        "record-run",
        help="run a Python script and record the machine it makes",
        description="Run a Python script and write what it does with its Kernel as a run, which"
        " other commands take; a stop is its last step. What the script prints goes to stderr.",
    )
    made.add_argument("script", metavar="SCRIPT", type=Path, help="a Python program")
    made.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: SCRIPT's name with .lkrun"
    )
    made.add_argument("arguments", metavar="ARG", nargs="*", help="of the script, behind --")
    made.set_defaults(command=_record_run)
    exported = commands.add_parser(
        "export",
        help="write a run for Perfetto, as CSV or as JSON",
        description="Write a run, or what becomes one (a Python script, a trace), for other"
        " tools: perfetto for ui.perfetto.dev and chrome://tracing, csv for a row a step, json"
        " for all that is known of each step.",
    )
    exported.add_argument(
        "file", metavar="RUN", type=Path, help="a .lkrun file, a .py script, or a trace"
    )
    exported.add_argument("--to", choices=tuple(FORMATS), required=True, help="the format")
    exported.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: RUN's name with the format"
    )
    exported.add_argument(
        "--lookaside",
        metavar="SIZE",
        type=int,
        action="append",
        default=[],
        help="of a trace: serve allocations of exactly SIZE bytes from a list; repeatable",
    )
    exported.set_defaults(command=_export)


def _record_run(options: argparse.Namespace) -> int:
    script: Path = options.script
    run = record_script(script, options.arguments)
    output: Path = options.output or Path(script.stem + ".lkrun")
    run.save(output)
    ended = "" if run.stop is None else f", the last one a stop: {run.stop.error}"
    print(f"{len(run):,} steps of {script}{ended}")
    print(f"{output}, {output.stat().st_size:,} bytes")
    return EXIT_OK


def _export(options: argparse.Namespace) -> int:
    path: Path = options.file
    run = open_run(path, lookaside=options.lookaside)
    name = path.name.partition(".")[0]
    output: Path = options.output or Path(name + _SUFFIXES[options.to])
    export(run, output, options.to)
    print(f"{len(run):,} steps: {output}, {output.stat().st_size:,} bytes")
    return EXIT_OK

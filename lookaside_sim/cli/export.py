"""``lookaside-sim export``: write a run for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from lookaside_sim.cli.convert import add_lookaside
from lookaside_sim.run import export, open_run
from lookaside_sim.run.export_formats import FORMATS

EXIT_OK: Final = 0
_SUFFIXES: Final = {"perfetto": ".perfetto.json", "csv": ".csv", "json": ".json"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``export`` its description, arguments and command."""
    parser.description = (
        "Write a run, or what becomes one (a Python script, a compiled driver, a trace), for other"
        " tools: perfetto for ui.perfetto.dev and chrome://tracing, csv for a row a step, json"
        " for all that is known of each step."
    )
    parser.add_argument(
        "file",
        metavar="RUN",
        type=Path,
        help="a .lkrun file, a .py script, a .sys file, or a trace",
    )
    parser.add_argument("--to", choices=tuple(FORMATS), required=True, help="the format")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: RUN's name with the format"
    )
    add_lookaside(parser)
    parser.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> int:
    path: Path = options.file
    run = open_run(path, lookaside=options.lookaside)
    name = path.name.partition(".")[0]
    output: Path = options.output or Path(name + _SUFFIXES[options.to])
    export(run, output, options.to)
    print(f"{output}: {len(run):,} steps of {path}")
    return EXIT_OK

"""``lookaside-sim convert``: write a trace in another format."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from lookaside_sim.cli.at_rest import input_file
from lookaside_sim.trace import Trace, save
from lookaside_sim.trace.foreign.formats import FORMATS, POOLMON, Recording, load_any

EXIT_OK: Final = 0
_PARTIAL_HELP: Final = "use a trace that ends in the middle until there, with a warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``convert`` its description, arguments and command."""
    parser.description = (
        "Read a trace and write it in the format that the name of OUT ends in:"
        " .jsonl, .jsonl.gz, or .lkt for packed columns, a tenth of what .jsonl.gz takes."
    )
    parser.add_argument("file", metavar="IN", type=input_file, help="a trace in any format")
    parser.add_argument("output", metavar="OUT", type=Path, help="written, or replaced")
    add_format(parser)
    add_partial(parser)
    parser.set_defaults(command=_convert)


def add_partial(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets a trace end too early."""
    parser.add_argument("--partial", action="store_true", help=_PARTIAL_HELP)


def add_lookaside(parser: argparse.ArgumentParser) -> None:
    """Add the option that gives the allocations of a trace lists."""
    parser.add_argument(
        "--lookaside",
        metavar="SIZE",
        type=int,
        action="append",
        default=[],
        help="of a trace: serve allocations of exactly SIZE bytes from a list; repeatable",
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the format of a recording."""
    kinds = "; ".join(f"{name}: {each.says}" for name, each in FORMATS.items())
    parser.add_argument(
        "--from",
        dest="format",
        choices=(*FORMATS, POOLMON),
        help=f"what another tool recorded ({kinds}); by default seen by its first lines",
    )


def warn_of_end(trace: Trace | Recording) -> None:
    """Say on stderr what of a trace that was read is missing, if anything is."""
    if trace.ended is not None:
        print(f"lookaside-sim: warning: {trace.ended}; used until there", file=sys.stderr)
    if isinstance(trace, Recording) and trace.unknown:
        print(
            f"lookaside-sim: warning: {trace.name}: {trace.unknown:,} frees of what was allocated"
            " before it; left out",
            file=sys.stderr,
        )


def _convert(options: argparse.Namespace) -> int:
    trace = load_any(options.file, options.format, partial=options.partial)
    before = options.file.stat().st_size
    output: Path = options.output

    # The name's end says the format; nothing is left behind, and IN may be OUT.
    unfinished = output.with_name(
        f"{output.name.partition('.')[0]}.{os.getpid()}.{output.name}"
    )
    try:
        count = save(unfinished, trace, trace.header.source)
        unfinished.replace(output)
    except OSError as error:
        if error.filename in (unfinished, str(unfinished)):
            error.filename = str(output)  # nobody else knows the other name
        raise
    finally:
        unfinished.unlink(missing_ok=True)
    warn_of_end(trace)
    print(f"{count:,} events: {output}, {output.stat().st_size:,} bytes ({before:,} before)")
    return EXIT_OK

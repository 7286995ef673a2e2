"""``lookaside-sim record``: record the heap of a program."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from lookaside_sim.trace import save

EXIT_OK: Final = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``record`` its description, arguments and command."""
    parser.usage = "%(prog)s [-h] [-o FILE] [--frames N] -- COMMAND [ARGUMENT ...]"
    parser.description = (
        "Run a program with a small library in front of malloc and free, and write"
        " what it allocates as a trace. Needs a C compiler. Give the program itself: what a"
        " script starts is not recorded."
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: PROGRAM.lkt, packed"
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=int,
        default=1,
        help="callers that make a call site: 1 (default) is who calls malloc; 0 for no sites",
    )
    parser.add_argument("command_line", metavar="-- COMMAND", nargs="+", help="what to run")
    parser.set_defaults(command=_record)


def _record(options: argparse.Namespace) -> int:
    from lookaside_sim.trace.foreign.program import recorded

    command: list[str] = options.command_line
    output = options.output or Path(f"{Path(command[0]).name}.lkt")
    with recorded(command, options.frames) as (recording, code):
        count = save(output, recording, f"malloc and free of {' '.join(command)}")
    told = f", exit code {code}" if code else ""
    print(f"{count:,} events of {command[0]}{told}: {output}, {output.stat().st_size:,} bytes")
    return EXIT_OK

"""``lookaside-sim shrink``: reduce a failing trace to what its failure needs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lookaside_sim.cli.at_rest import input_file, is_copy
from lookaside_sim.cli.failing import load_check, of_file, refuse_input
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.trace import load, save

if TYPE_CHECKING:
    from lookaside_sim.testing.reduce.traces import Check

__all__ = ["add_arguments"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``shrink`` its description, arguments and command."""
    parser.description = (
        "Reduce a trace for which a check raises: take events away and let less"
        " time pass as long as it raises the same exception."
    )
    parser.add_argument(
        "file", metavar="FILE", type=input_file, help="a .jsonl or .jsonl.gz trace"
    )
    parser.add_argument(
        "--check",
        metavar="MODULE:FUNCTION",
        help="called with the list of events, raises when they fail; by default a replay,"
        " which fails when it stops the machine",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: FILE.min.jsonl"
    )
    parser.set_defaults(command=_shrink)


def _shrink(options: argparse.Namespace) -> int:
    from lookaside_sim.testing.reduce.misuse import replay_with_misuse
    from lookaside_sim.testing.reduce.traces import default_output, shrink_trace

    if options.output is None and is_copy(options.file):
        raise LookasideSimError("-o: give a file, since what a pipe gives has no name")
    check: Check = replay_with_misuse if options.check is None else load_check(options.check)
    output = options.output or default_output(options.file, ".min.jsonl")
    refuse_input(options.file, output)
    with of_file(options):
        events = list(load(options.file))
        reduced = shrink_trace(events, check)
    save(output, reduced, f"reduced from {options.file.name}")
    print(f"{len(events):,} events reduced to {len(reduced):,}: {output}")
    return 0

"""``lookaside-sim pin``: write the pytest regression that keeps a trace."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from lookaside_sim.cli.at_rest import input_file
from lookaside_sim.cli.failing import load_check, of_file, refuse_input
from lookaside_sim.trace import load

__all__ = ["add_arguments"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``pin`` its description, arguments and command."""
    parser.description = (
        "Write a pytest module that holds the trace and asserts what it does: that"
        " the check passes, or, without one, what a replay does now."
    )
    parser.add_argument(
        "file", metavar="FILE", type=input_file, help="a .jsonl or .jsonl.gz trace"
    )
    parser.add_argument(
        "--check", metavar="MODULE:FUNCTION", help="what the test calls with the events"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: the standard output"
    )
    parser.set_defaults(command=_pin)


def _pin(options: argparse.Namespace) -> int:
    from lookaside_sim.testing.reduce.traces import default_output, pin_trace

    if options.check is not None:
        load_check(options.check)  # a typing mistake is better found now
    if options.output is not None:
        refuse_input(options.file, options.output)
    name = re.sub(r"\W+", "_", default_output(options.file, "").name)
    with of_file(options):
        source = pin_trace(list(load(options.file)), name, options.check)
    if options.output is None:
        print(source, end="")
    else:
        options.output.write_text(source, encoding="utf-8")
        print(options.output)
    return 0

"""``lookaside-sim sweep``: what other policies would do."""

from __future__ import annotations

import argparse
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

from lookaside_sim.cli.at_rest import input_file
from lookaside_sim.cli.convert import add_format, add_partial, warn_of_end
from lookaside_sim.cli.progress import Progress
from lookaside_sim.trace.foreign.formats import load_any

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
"""Some policy failed: told with the others' results."""
_FIELDS: Final = (
    "fixed_depth",
    "minimum_depth",
    "maximum_depth",
    "period",
    "idle_step",
    "processors",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``sweep`` its description, arguments and command."""
    parser.description = (
        "Give every combination of the values to the lists of a trace, and rank them"
        " by the pool calls they save. VALUES are numbers and ranges: 4,8,16-64/16."
    )
    parser.add_argument("file", metavar="FILE", type=input_file, help="a trace in any format")
    for field in _FIELDS:
        option = "--" + field.replace("_", "-")
        parser.add_argument(option, metavar="VALUES", type=_values, help="default: NT's")
    parser.add_argument(
        "--size",
        metavar="SIZE",
        type=int,
        action="append",
        help="only lists of SIZE; repeatable",
    )
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes")
    parser.add_argument("--top", metavar="N", type=int, default=20, help="policies to show")
    parser.add_argument(
        "-o",
        "--output",
        metavar="RESULTS",
        type=Path,
        help="a JSON Lines file of all results; what it holds is not worked out again",
    )
    add_format(parser)
    add_partial(parser)
    parser.set_defaults(command=_sweep)


def _values(text: str) -> list[int]:
    found: list[int] = []
    try:
        for part in text.split(","):
            ends, _, step = part.partition("/")
            first, dash, last = ends.partition("-")
            found += range(int(first), int(last if dash else first) + 1, int(step or 1))
    except ValueError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give numbers or ranges, as in 4,8,16-64/16"
        )
    return found


def _sweep(options: argparse.Namespace) -> int:
    from lookaside_sim.advise import policies, sweep

    given = {field: getattr(options, field) for field in _FIELDS}
    varied = {field: values for field, values in given.items() if values is not None}
    if options.workers < 1:
        raise ValueError(f"--workers {options.workers}: give 1 or more")
    executor: AbstractContextManager[Executor | None] = nullcontext()
    if options.workers > 1:
        from concurrent.futures import ProcessPoolExecutor

        executor = ProcessPoolExecutor(options.workers)
    trace = load_any(options.file, options.format, partial=options.partial)
    with executor as workers, Progress(trace.name) as line:
        outcomes = sweep(
            trace,
            policies(**varied),
            workers,
            sizes=options.size,
            results=options.output,
            progress=lambda done, of: line.say(f"{done:,} of {of:,} policies"),
        )
    warn_of_end(trace)
    good = [outcome for outcome in outcomes if outcome.error is None]
    good.sort(key=lambda each: (-each.pool_calls_saved, each.bytes_held))
    names = list(varied) or ["policy"]
    print("  ".join(f"{name:>13}" for name in [*names, "saved", "peak bytes", "avg bytes"]))
    for each in good[: options.top]:
        values = [getattr(each.policy, name, "NT's") for name in names]
        numbers = [each.pool_calls_saved, each.bytes_held, round(each.average_bytes_held)]
        print("  ".join(f"{value:>13}" for value in [*values, *numbers]))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for each in failed:
        values = [f"{name} {getattr(each.policy, name, '')}" for name in names]
        print(f"failed: {', '.join(values)}: {each.error}")
    return EXIT_FAILED if failed else EXIT_OK

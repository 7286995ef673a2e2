"""``lookaside-sim advise``: which allocations of a trace should become a list."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Final

from lookaside_sim.cli.at_rest import input_file
from lookaside_sim.cli.convert import add_format, add_partial, warn_of_end
from lookaside_sim.cli.progress import Progress
from lookaside_sim.trace.foreign.formats import POOLMON, load_any, load_counts

if TYPE_CHECKING:
    from lookaside_sim.trace.foreign.poolmon import TagCounts

EXIT_OK: Final = 0
_ROWS: Final = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``advise`` its description, arguments and command."""
    parser.description = (
        "Say, for every size and tag that a trace allocates, what a lookaside list"
        " of its own would do: its hits under NT's depth tuning, what it holds, and the best"
        " fixed depth. One pass, exact for every list."
    )
    parser.add_argument("file", metavar="FILE", type=input_file, help="a trace in any format")
    parser.add_argument(
        "--by",
        choices=("size", "tag", "site"),
        default="tag",
        help="a list for each size, each size and tag (default), or each call site too",
    )
    parser.add_argument(
        "--size",
        metavar="SIZE",
        type=int,
        action="append",
        help="look at allocations of SIZE bytes only; repeatable",
    )
    parser.add_argument(
        "--groups", action="store_true", help="also look for sizes that one list serves"
    )
    parser.add_argument(
        "--arch", choices=("x64", "x86"), default="x64", help="the machine (default: x64)"
    )
    parser.add_argument(
        "--top", metavar="N", type=int, help=f"rows to show; 0 for all (default: {_ROWS})"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: all rows, unless --top says less"
    )
    parser.add_argument(
        "--curves",
        action="store_true",
        help="in JSON, what every fixed depth saves, and the tuning second by second",
    )
    add_format(parser)
    add_partial(parser)
    parser.set_defaults(command=_advise)


def _advise(options: argparse.Namespace) -> int:
    from lookaside_sim.advise import advise, as_values, table

    top: int | None = options.top
    if top is not None and top < 0:
        raise ValueError(f"--top {top}: give 0 or more")
    if top is None and not options.json:
        top = _ROWS
    counts = load_counts(options.file, options.format)
    if counts is not None:
        _advise_counts(options, counts, top)
        return EXIT_OK
    trace = load_any(options.file, options.format, partial=options.partial)
    with Progress(trace.name) as progress:
        advice = advise(
            trace,
            by=options.by,
            sizes=options.size,
            groups=options.groups,
            by_second=options.curves,
            arch=options.arch,
            progress=progress.tell,
        )
    warn_of_end(trace)
    if options.json:
        values = as_values(advice, top or None, curves=options.curves)
        json.dump(values, sys.stdout, indent=1)
        print()
    else:
        print(table(advice, top or None))
    return EXIT_OK


def _advise_counts(
    options: argparse.Namespace, counts: list[TagCounts], top: int | None
) -> None:
    """Say what is known of lists where only counts are."""
    from lookaside_sim.advise.bounds import bounds
    from lookaside_sim.advise.view import bounds_as_values, bounds_table

    if options.by != "tag" or options.groups or options.curves or options.size:
        raise ValueError(
            f"{options.file}: {POOLMON} counts by tag alone: leave out --by, --size, --groups"
            " and --curves"
        )
    rows = [bounds(each.pool_type, each.tag, each.size, each.calls) for each in counts]
    rows = [row for row in rows if row.calls]
    rows.sort(key=lambda row: (-row.at_least, -row.at_most, -row.calls, row.tag))
    if options.json:
        json.dump([bounds_as_values(row) for row in rows[: top or None]], sys.stdout, indent=1)
        print()
    else:
        print(bounds_table(str(options.file), rows, top or None))

"""``lookaside-sim run``: run a trace and print what a debugger would show."""

from __future__ import annotations

import argparse
from typing import Final

from lookaside_sim import windbg
from lookaside_sim.cli.at_rest import input_file
from lookaside_sim.cli.chart import Depths
from lookaside_sim.cli.convert import add_format, add_partial, warn_of_end
from lookaside_sim.cli.progress import Progress
from lookaside_sim.errors import BugCheck
from lookaside_sim.kernel import Kernel
from lookaside_sim.trace import Replay, Trace, replay
from lookaside_sim.trace.foreign.formats import Recording, load_any
from lookaside_sim.windbg.usage import SIDE_NAMES, bytes_each, used_sides

EXIT_OK: Final = 0
EXIT_STOPPED: Final = 1
"""The trace stopped the machine: a result, not an error of the command."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``run`` its description, arguments and command."""
    parser.description = (
        "Run a trace file, then print each lookaside list in the debugger's layout"
        " and a summary: hit rates, pool calls saved, what the pool holds by tag."
    )
    parser.set_defaults(command=_run)
    parser.add_argument(
        "file", metavar="FILE", type=input_file, help="a .jsonl or .jsonl.gz trace"
    )
    parser.add_argument(
        "--lookaside",
        metavar="SIZE",
        type=_count,
        action="append",
        default=[],
        help="serve heap allocations of exactly SIZE bytes from a lookaside list; repeatable",
    )
    parser.add_argument(
        "--arch", choices=("x64", "x86"), default="x64", help="the machine (default: x64)"
    )
    parser.add_argument(
        "--nonpaged-bytes", metavar="N", type=_count, help="limit of nonpaged pool, in bytes"
    )
    parser.add_argument(
        "--paged-bytes", metavar="N", type=_count, help="limit of paged pool, in bytes"
    )
    parser.add_argument(
        "--seed", metavar="N", type=_count, default=0, help="seed of uninitialized memory"
    )
    parser.add_argument(
        "--debugger-depth",
        action="store_true",
        help="print Current Depth 0, as WinDbg does on x64, not the true depth",
    )
    add_format(parser)
    add_partial(parser)


def _count(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, 0 or more")
    return value


def _run(options: argparse.Namespace) -> int:
    trace = load_any(options.file, options.format, partial=options.partial)
    kernel = Kernel(
        options.arch,
        nonpaged_pool_bytes=options.nonpaged_bytes,
        paged_pool_bytes=options.paged_bytes,
        seed=options.seed,
    )
    depths = Depths(kernel)
    try:
        with Progress(trace.name) as line:

            def progress(so_far: Replay) -> None:
                line.tell(so_far.events, so_far.ticks)

            done = replay(trace, kernel, lookaside=options.lookaside, progress=progress)
    except BugCheck as stop:
        print(f"*** STOP: {stop}")
        return EXIT_STOPPED
    warn_of_end(trace)
    if done.lists:
        shown = done.lists.values()
        print(windbg.lookasides(kernel, shown, debugger_depth=options.debugger_depth))
        print()
        for each in depths.charts(shown):
            print(each)
            print()
    print(summary(trace, done))
    return EXIT_OK


def summary(trace: Trace | Recording, done: Replay) -> str:
    """Summarize a replay.

    Args:
        trace: what was run.
        done: what it did.

    Returns:
        Lines of text without a final newline.
    """
    lists = done.lists.values()
    allocates = sum(each.total_allocates for each in lists)
    frees = sum(each.total_frees for each in lists)
    allocate_hits = allocates - sum(each.allocate_misses for each in lists)
    free_hits = frees - sum(each.free_misses for each in lists)
    saved = done.saved_pool_calls
    calls = done.pool_calls + done.list_calls
    lines = [
        f"Trace          {windbg.printable(trace.path.name)}:"
        f" {windbg.printable(trace.header.source) or 'no source given'}",
        f"Events         {done.events:,} in {done.ticks} s of balance set manager ticks",
        f"Allocate hits  {allocate_hits:,} of {allocates:,} list allocates"
        f" ({_percent(allocate_hits, allocates)})",
        f"Free hits      {free_hits:,} of {frees:,} list frees ({_percent(free_hits, frees)})",
        f"Pool calls     {calls - saved:,} made, {saved:,} saved by the lists"
        f" ({_percent(saved, calls)})",
        f"Held by lists  {done.held_bytes:,} bytes in {done.held_entries:,} free entries",
        f"Still live     {sum(a is not None for a in done.live.values()):,} allocations;"
        f" {done.failed:,} failed",
        "",
        " Tag  Type      Allocs      Frees      Diff       Bytes  Per Alloc",
    ]
    for tag, paged, (allocs, freed, size) in used_sides(done.kernel):
        each = bytes_each(allocs, freed, size)
        lines.append(
            f" {tag!s:4} {SIDE_NAMES[paged]:5}{allocs:11}{freed:11}"
            f"{allocs - freed:10}{size:12}{each:11}"
        )
    return "\n".join(lines)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part // whole}%" if whole else "none"

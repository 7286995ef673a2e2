"""``lookaside-sim report``: a run as one HTML file."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from lookaside_sim.advise import advise, curves
from lookaside_sim.cli.convert import add_format, add_lookaside, add_partial, warn_of_end
from lookaside_sim.cli.progress import Progress
from lookaside_sim.page.advice import advice_section
from lookaside_sim.page.render import render
from lookaside_sim.run import Run, open_run
from lookaside_sim.run.culprits import stop_of
from lookaside_sim.run.script import is_trace
from lookaside_sim.trace import Event
from lookaside_sim.trace.foreign.formats import load_any

EXIT_OK: Final = 0
_MICROSECONDS: Final = 1_000_000


def add_arguments(report: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand ``report`` to its parser."""
    report.description = (
        "Run a Python script or a compiled driver and record its machine, load a saved run, or"
        " run a trace, and write"
        " what happened as one HTML file: it opens from disk, plays every step forward and"
        " back, and asks nobody for anything."
    )
    report.add_argument(
        "file",
        metavar="FILE|SCRIPT",
        type=Path,
        help="a .py script, a compiled driver (.sys), a saved run, or a trace",
    )
    report.add_argument(
        "-o", "--output", metavar="PAGE", type=Path, help="default: FILE with .html behind it"
    )
    report.add_argument("--title", help="of the page (default: the file's name)")
    report.add_argument("--story", default="", help="a line below the title")
    report.add_argument(
        "--step",
        metavar="N",
        type=int,
        help="position it opens at; -1 is the end (default: the stop, else the beginning)",
    )
    add_lookaside(report)
    report.add_argument(
        "--advise",
        metavar="TRACE",
        type=Path,
        nargs="?",
        const=Path(),
        help="add what lists for the sizes of TRACE, by default FILE itself, would save",
    )
    report.add_argument(
        "--argument",
        metavar="TEXT",
        action="append",
        default=[],
        help="an argument that the script is given, or a routine that the driver is called with"
        " after DriverEntry and integers, as in 'Read 0 16'; repeatable",
    )
    add_format(report)
    add_partial(report)
    report.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    run = _run_of(options)
    step: int | None = options.step
    if step is None:
        step = 0 if stop_of(run) is None else -1
    text = render(
        run,
        title=options.title or options.file.name,
        story=options.story,
        step=step,
        section=_advice(options),
    )
    output: Path = options.output or options.file.with_name(f"{options.file.name}.html")
    output.write_text(text, "utf-8")
    print(f"{len(run):,} steps of {options.file}: {output}, {output.stat().st_size:,} bytes")
    return EXIT_OK


def _advice(options: argparse.Namespace) -> str:
    """The section of advice, if it is asked for."""
    path: Path | None = options.advise
    if path is None:
        return ""
    if path == Path():
        path = options.file
    trace = load_any(path, options.format, partial=options.partial)
    return advice_section(curves(advise(trace, by_second=True)))


def _run_of(options: argparse.Namespace) -> Run:
    """What `open_run` opens; of a trace, which may take a while, with words on how far it is."""
    path: Path = options.file
    if not is_trace(path):
        return open_run(path, options.argument)
    trace = load_any(path, options.format, partial=options.partial)
    with Progress(trace.name) as line:
        run = Run.from_trace(_told(trace, line), lookaside=options.lookaside, title=path.name)
    warn_of_end(trace)
    return run


def _told(trace: Iterable[Event], line: Progress) -> Iterator[Event]:
    """The events of a trace, with a word now and then on how far it is."""
    for number, event in enumerate(trace):
        if not number & 0xFFF:
            line.tell(number, event.time // _MICROSECONDS)
        yield event

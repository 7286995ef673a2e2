"""Runs for other tools: what each format is called, and who writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

from lookaside_sim.run.export_perfetto import write_perfetto
from lookaside_sim.run.export_table import write_csv, write_json
from lookaside_sim.run.run import Run

FORMATS: Final[Mapping[str, Callable[[Run, IO[str]], None]]] = {
    "perfetto": write_perfetto,
    "csv": write_csv,
    "json": write_json,
}
"""By name: writes a run to an open text file."""


def export(run: Run, path: str | Path, to: str) -> None:
    """Write a run for another tool.

    Args:
        run: the run.
        path: of the file.
        to: ``"perfetto"`` for Perfetto and chrome://tracing, ``"csv"`` for a row a step, or
            ``"json"`` for all that is known of each step.

    Raises:
        ValueError: no such format.
        RunError: the replay came out otherwise than the recording.
        OSError: the file cannot be written.
    """
    write = FORMATS.get(to)
    if write is None:
        raise ValueError(f"to={to!r}: give one of {', '.join(map(repr, FORMATS))}")
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        write(run, file)

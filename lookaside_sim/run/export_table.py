"""Runs as tables: a row a step, or all that is known of each step."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from typing import IO, Any, Final

from lookaside_sim.nt.types import PoolTag
from lookaside_sim.run.run import Run
from lookaside_sim.run.step import Step
from lookaside_sim.verifier.settings import Verifier

COLUMNS: Final = (
    "step",
    "seconds",
    "word",
    "routine",
    "list",
    "branch",
    "outcome",
    "arguments",
    "result",
    "error",
    "file",
    "line",
    "function",
)
"""Of a CSV file. Addresses are written in hexadecimal, with 0x."""
JSON_FORMAT: Final = "lookaside-run"
JSON_VERSION: Final = 1


def write_csv(run: Run, file: IO[str]) -> None:
    """Write a heading and a row for each step."""
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    names = run.list_names
    for step in run:
        site = step.site
        rows.writerow(
            (
                step.number,
                step.time,
                step.word,
                step.routine,
                "" if step.obj is None else names.get(step.obj) or hex(step.obj),
                "" if step.branch is None else step.branch.value,
                step.outcome.value,
                " ".join(f"{name}={_text(value)}" for name, value in step.arguments.items()),
                "" if step.result is None else _text(step.result),
                step.error,
                "" if site is None else site.file,
                "" if site is None else site.line,
                "" if site is None else site.function,
            )
        )


def write_json(run: Run, file: IO[str]) -> None:
    """Write one object: ``format``, ``version``, ``title``, ``settings``, ``notes``, ``steps``.

    Numbers are numbers, addresses too; bytes are texts of hexadecimal digits.
    """
    head = {
        "format": JSON_FORMAT,
        "version": JSON_VERSION,
        "title": run.title,
        "settings": {name: _plain(value) for name, value in run.settings.items()},
        "notes": [{"position": at, "texts": texts} for at, texts in sorted(run.notes.items())],
        "lists": [{"address": at, "name": name} for at, name in run.list_names.items()],
    }
    file.write(json.dumps(head)[:-1] + ', "steps": [')
    for step in run:
        file.write("\n" if step.number == 0 else ",\n")
        json.dump(_step(step), file)
    file.write("\n]}\n")


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.number,
        "seconds": step.time,
        "word": step.word,
        "routine": step.routine,
        "list": step.obj,
        "branch": None if step.branch is None else step.branch.value,
        "outcome": step.outcome.value,
        "arguments": {name: _plain(value) for name, value in step.arguments.items()},
        "result": _plain(step.result),
        "error": step.error or None,
        "stack": [
            {"file": site.file, "line": site.line, "function": site.function}
            for site in step.stack
        ],
        "inner": [_step(each) for each in step.inner],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, PoolTag):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Verifier):
        return repr(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, PoolTag) or not isinstance(value, int) or isinstance(value, bool):
        return str(value)
    return hex(value) if value > 0xFFFF else str(int(value))

"""The subcommands: a row for each, and its parser, which opens the module only when it is chosen."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any, Final, NoReturn

__all__ = ["COMMANDS", "EXIT_BAD_INPUT", "OneLineParser", "add_commands"]

COMMANDS: Final = {
    "run": "run a trace and print the lists and the pool at its end",
    "advise": "rank what a trace allocates by what a lookaside list would save",
    "sweep": "try many policies for the lists of a trace",
    "convert": "write a trace in another format",
    "report": "write a run as one HTML file to step through",
    "record-run": "run a Python script and record the machine it makes",
    "export": "write a run for Perfetto, as CSV or as JSON",
    "kd": "look at a run with a debugger's commands, forward and back in time",
    "drive": "run a compiled driver, x64 or x86, and say what is wrong with it",
    "lesson": "learn how lists and pool work by predicting what small programs do",
    "record": "record the heap of a Linux program as a trace",
    "shrink": "reduce a failing trace to what its failure needs",
    "pin": "write the pytest regression that keeps a trace",
    "check": "check an allocator in C",
}
"""Each subcommand with its line of help, in the order of the help.

The module of the same name (with an underscore for the hyphen) in this package has ``add_arguments(parser)``, which sets the
parser's description, its arguments, and the default ``command``: a function of the parsed
arguments that returns the exit code.
"""
EXIT_BAD_INPUT: Final = 2


class OneLineParser(argparse.ArgumentParser):
    """Reports bad arguments in one line, as bad input is reported everywhere here."""

    def error(self, message: str) -> NoReturn:
        """End the process with the message, on one line."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {' '.join(message.split())}\n")


class _Subcommand(OneLineParser):
    """Knows its arguments when it has some to parse: importing the modules of all would be slow.

    Args:
        module: its name in this package.
        options: of an `argparse.ArgumentParser`.
    """

    def __init__(self, *, module: str, **options: Any) -> None:
        super().__init__(**options)
        self._unopened: str | None = module

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse, after the module has said what."""
        if self._unopened is not None:
            name, self._unopened = self._unopened, None
            importlib.import_module(f"{__package__}.{name.replace('-', '_')}").add_arguments(
                self
            )
        return super().parse_known_args(args, namespace)


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add every subcommand to a parser."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Subcommand)
    for name, line in COMMANDS.items():
        commands.add_parser(name, help=line, module=name)

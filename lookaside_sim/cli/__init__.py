"""The command ``lookaside-sim``: one module a group of subcommands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from lookaside_sim import __version__
from lookaside_sim.cli import advise, check, convert, record, reduce, run, sweep
from lookaside_sim.errors import LookasideSimError

EXIT_BAD_INPUT: Final = 2
EXIT_BROKEN_PIPE: Final = 141
"""What a shell reports for a program that wrote to a closed pipe."""


class _Parser(argparse.ArgumentParser):
    """Reports bad arguments in one line, as bad input is reported everywhere here."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {' '.join(message.split())}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: without the program's name; None for those of the process.

    Returns:
        The exit code: 0, 1 when a trace stopped the machine or an allocator is wrong, 2 on bad input.
    """
    parser = _build_parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has enough. What is still buffered must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (LookasideSimError, OSError, ValueError) as error:
        print(f"{parser.prog}: {_one_line(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lookaside-sim",
        description="Simulate NT lookaside lists and the pool under them.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run.add_command(commands)
    advise.add_command(commands)
    sweep.add_command(commands)
    convert.add_command(commands)
    record.add_command(commands)
    reduce.add_commands(commands)
    check.add_command(commands)
    return parser


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return " ".join(text.split())

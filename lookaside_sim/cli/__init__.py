"""The command ``lookaside-sim``: one module a subcommand, imported when it is chosen."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Final

from lookaside_sim import __version__
from lookaside_sim.cli.commands import EXIT_BAD_INPUT, OneLineParser, add_commands

EXIT_INTERRUPTED: Final = 130
"""What a shell reports for a program that Ctrl-C ended."""
EXIT_BROKEN_PIPE: Final = 141
"""What a shell reports for a program that wrote to a closed pipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: without the program's name; None for those of the process.

    Returns:
        The exit code: 0, 1 when a trace stopped the machine or an allocator is wrong, 2 on bad
        input or output, 130 after Ctrl-C, 141 when whoever read the output has gone.
    """
    parser = _build_parser()
    try:
        options = parser.parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        _prepare_output()
        code = command(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has enough.
        _drop_output()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        _drop_output()
        return EXIT_INTERRUPTED
    except Exception as error:
        if not _is_bad_input(error):
            raise
        if sys.stderr is not None:
            print(f"{parser.prog}: {_one_line(error)}", file=sys.stderr)
        if isinstance(error, OSError):
            _drop_output()
        return EXIT_BAD_INPUT


def _prepare_output() -> None:
    """Have what a terminal cannot show written as escapes.

    Raises:
        OSError: there is no standard output.
    """
    if sys.stdout is None:
        raise OSError("the standard output is closed")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that it cannot fail again."""
    with suppress(AttributeError, OSError, ValueError):
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def _build_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="lookaside-sim",
        description="Simulate NT lookaside lists and the pool under them.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_commands(parser)
    return parser


def _is_bad_input(error: Exception) -> bool:
    """Whether an exception says what is wrong with the input, and not with the program."""
    from lookaside_sim.errors import LookasideSimError

    return isinstance(
        error, (LookasideSimError, OSError, ValueError, RecursionError, MemoryError)
    )


def _one_line(error: Exception) -> str:
    from lookaside_sim.cli.at_rest import as_given
    from lookaside_sim.windbg.lookaside import printable

    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    text = as_given(text)
    return printable(" ".join(text.split()))

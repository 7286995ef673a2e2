"""``lookaside-sim kd``: the debugger's shell over a script, a saved run or a trace."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from lookaside_sim.cli.at_rest import input_file
from lookaside_sim.cli.convert import add_lookaside
from lookaside_sim.kd.faces import ask_lines, is_terminal, plain_ask, run_lines
from lookaside_sim.kd.openers import open_target
from lookaside_sim.kd.session import Session
from lookaside_sim.run.driver import SUFFIX
from lookaside_sim.verifier.settings import Verifier

EXIT_OK: Final = 0
_LOADED: Final = 1
"""The position at which a driver is loaded, and its symbols are there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``kd`` its description, arguments and command."""
    parser.description = (
        "Open a Python script (it is run and recorded), a saved run, a trace, or a compiled driver"
        " (it is started and unloaded), and give commands in WinDbg's words: g, g-, p-, !tt, ba, !lookaside, !pool, dx. Type .help"
        " for all. Reads commands from a terminal or a pipe."
    )
    parser.set_defaults(command=_kd)
    parser.add_argument(
        "file",
        metavar="FILE",
        type=input_file,
        help="a .py script, a run, a trace, or a .sys file",
    )
    add_lookaside(parser)
    parser.add_argument(
        "-c",
        metavar="COMMANDS",
        action="append",
        dest="commands",
        help="execute commands and leave; repeatable",
    )
    parser.add_argument(
        "--plain", action="store_true", help="no menus, even where prompt_toolkit is there"
    )
    parser.add_argument(
        "--verifier",
        action="store_true",
        help="for a driver, or a script that takes its machine: with Driver Verifier's standard settings",
    )
    parser.add_argument(
        "--sanitizer",
        action="store_true",
        help="for those: with the sanitizer",
    )


def _kd(options: argparse.Namespace) -> int:
    settings: dict[str, Any] = {}
    if options.verifier:
        settings["verifier"] = Verifier.standard()
    if options.sanitizer:
        settings["sanitizer"] = True
    session = Session(open_target(options.file, settings, lookaside=options.lookaside))
    if options.file.suffix.lower() == SUFFIX:
        session.shell.target.seek(_LOADED)
    print(session.greeting(), flush=True)
    if options.commands:
        run_lines(session, options.commands)
    elif is_terminal():
        ask_lines(session, _ask(session, plain=options.plain))
    else:
        run_lines(session, sys.stdin)
    return EXIT_OK


def _ask(session: Session, *, plain: bool) -> Any:
    """Who asks in a terminal: with menus where the extra is installed and wanted."""
    if not plain:
        try:
            from lookaside_sim.kd.toolkit import Prompt
        except ImportError:  # the extra is not installed, and readline does
            pass
        else:
            return Prompt(session).ask
    return plain_ask(session)

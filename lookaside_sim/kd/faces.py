"""Who types: a pipe, an argument, a terminal. All show the same text.

A face reads lines, has the engine execute them, and writes what it printed; the prompt and the
line stand before that whoever typed it, so that a transcript is one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import ModuleType

from lookaside_sim.kd.completion import BREAKS, completions
from lookaside_sim.kd.session import Session

Write = Callable[[str], object]
Ask = Callable[[], str]


def _print(text: str) -> None:
    print(text, flush=True)


def run_lines(session: Session, lines: Iterable[str], write: Write = _print) -> None:
    """Execute lines that come from a pipe or an argument.

    Args:
        session: the engine.
        lines: with or without their newlines.
        write: takes each text without a final newline.
    """
    for line in lines:
        line = line.rstrip("\r\n")
        write(f"{session.prompt}{line}")
        printed = session.execute(line)
        if printed:
            write(printed)
        if session.has_ended:
            return


def ask_lines(session: Session, ask: Ask, write: Write = _print) -> None:
    """Execute lines that somebody types, until ``q`` or the end of input.

    Args:
        session: the engine.
        ask: shows the prompt and gives a line; Ctrl-C in it drops the line.
        write: takes each text without a final newline.
    """
    while not session.has_ended:
        try:
            line = ask()
        except EOFError:
            write("")
            return
        except KeyboardInterrupt:
            write("")
            continue
        printed = session.execute(line)
        if printed:
            write(printed)


def plain_ask(session: Session) -> Ask:
    """Ask in a terminal, with editing, history and completion where ``readline`` is there."""
    with suppress(ImportError):  # Python on Windows has none
        import readline

        _set_up(readline, session)
    return lambda: input(session.prompt)


def _set_up(readline: ModuleType, session: Session) -> None:
    def complete(text: str, number: int) -> str | None:
        _, found = completions(session, readline.get_line_buffer()[: readline.get_endidx()])
        return found[number] if number < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(BREAKS.replace("-", ""))
    readline.parse_and_bind("tab: complete")
    # Pasted lines run one by one, as typed ones do.
    readline.parse_and_bind("set enable-bracketed-paste off")


def is_terminal() -> bool:
    """Whether somebody sits at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()

"""Breakpoints: ``bp``, ``ba``, ``bl``, ``bc``, ``bd``, ``be``."""

from __future__ import annotations

import re
from typing import Final

from lookaside_sim.kd.breakpoints import Breakpoint, Kind
from lookaside_sim.kd.refusal import Refusal, missing
from lookaside_sim.kd.search import known_routines, matches
from lookaside_sim.kd.shell import Shell
from lookaside_sim.kd.symbols import NT

_COMMAND: Final = re.compile(r'"([^"]*)"\s*\Z')
_LINE: Final = re.compile(r"`(?:[^`]*!)?([^`]+):([0-9]+)`\s*(.*)\Z")
_ACCESS: Final = re.compile(r"([rwe])\s*([1248])\s+", re.IGNORECASE)
_ROUTINE: Final = re.compile(r"(?:(\w+|\*)!)?([\w*?]+)\s*(.*)\Z")


def _passes_and_command(shell: Shell, text: str) -> tuple[int, str]:
    """What may follow a breakpoint: how often it is met before it stops, and a command."""
    command = ""
    quoted = _COMMAND.search(text)
    if quoted is not None:
        command, text = quoted[1], text[: quoted.start()]
    passes = shell.evaluate(text) if text.strip() else 1
    if not 1 <= passes <= 0xFFFF:
        raise Refusal(f"Passes 0x{passes:x}: give 1 to ffff")
    return passes, command


def on_routine(shell: Shell, arguments: str) -> str:
    """The commands ``bp``, ``bu`` and ``bm``: stop for a routine, or a line of the program."""
    text = arguments.strip()
    if not text:
        raise missing()
    line = _LINE.match(text)
    if line is not None:
        passes, command = _passes_and_command(shell, line[3])
        shell.breakpoints.add(
            Breakpoint(
                0,
                Kind.LINE,
                line[1],
                int(line[2]),
                passes=passes,
                left=passes,
                command=command,
            )
        )
        return ""
    found = _ROUTINE.match(text)
    if found is None:
        raise Refusal(f"Couldn't resolve error at '{text}'")
    module, routine, rest = found.groups()
    passes, command = _passes_and_command(shell, rest)
    pattern = f"{module or NT}!{routine}"
    if module is None and any(matches(routine, each) for each in known_routines()):
        pattern = routine  # of the program, or time
    if not any(matches(pattern, each) for each in known_routines()):
        raise Refusal(f"Couldn't resolve error at '{text}'")
    shell.breakpoints.add(
        Breakpoint(0, Kind.CODE, pattern, passes=passes, left=passes, command=command)
    )
    return ""


def on_access(shell: Shell, arguments: str) -> str:
    """The command ``ba``: stop where memory is written, or read."""
    access = _ACCESS.match(arguments.strip() + " ")
    if access is None:
        raise Refusal(f"ba {arguments.strip()}: give w or r and 1, 2, 4 or 8, then an address")
    if access[1].lower() == "e":
        raise Refusal("ba e: no instructions run here; bp stops for a routine")
    reader = shell.reader((arguments.strip() + " ")[access.end() :])
    address = reader.address()
    size = int(access[2])
    if address % size:
        raise Refusal(f"Data breakpoint must be aligned: {shell.text(address)} by {size}")
    passes, command = _passes_and_command(shell, reader.rest)
    shell.breakpoints.add(
        Breakpoint(
            0,
            Kind.DATA,
            address=address,
            size=size,
            access=access[1].lower(),
            passes=passes,
            left=passes,
            command=command,
        )
    )
    return ""


def listed(shell: Shell, arguments: str) -> str:
    """The command ``bl``."""
    shell.reader(arguments).end()
    symbols = shell.symbols
    return "\n".join(each.text(shell.text, symbols.text) for each in shell.breakpoints)


def clear(shell: Shell, arguments: str) -> str:
    """The command ``bc``."""
    shell.breakpoints.clear(arguments)
    return ""


def enable(shell: Shell, arguments: str) -> str:
    """The command ``be``."""
    for each in shell.breakpoints.chosen(arguments):
        each.enabled = True
    return ""


def disable(shell: Shell, arguments: str) -> str:
    """The command ``bd``."""
    for each in shell.breakpoints.chosen(arguments):
        each.enabled = False
    return ""

"""Moving in a recording: ``g``, ``g-``, ``p``, ``p-``, ``t``, ``t-``, ``!tt``.

Source:
    [doc] Microsoft, Debugging Tools for Windows: Time Travel Debugging, navigating a trace.
    Choice: a position is the moment after a call, since what this machine does between two
    calls is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from lookaside_sim.kd.refusal import Refusal
from lookaside_sim.kd.search import next_stop
from lookaside_sim.kd.shell import Shell
from lookaside_sim.kd.target import END, START
from lookaside_sim.kd.where import call_text, where

_POSITION: Final = re.compile(r"([0-9a-f]+):([0-9a-f]*)\Z", re.IGNORECASE)
_PERCENT: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)%?\Z")


def go(*, back: bool) -> Callable[[Shell, str], str]:
    """Make ``g`` or ``g-``: on to the next breakpoint, the stop, or the end."""

    def move(shell: Shell, arguments: str) -> str:
        shell.reader(arguments).end()
        target = shell.target
        run = target.run
        said = shell.drop_changes()
        enabled = shell.breakpoints.enabled()
        found = next_stop(target.searches, target.position, enabled, back=back)
        if found is None:
            edge = START if back else END
            target.seek(0 if back else len(run))
            stopped = not back and shell.kernel.bugcheck is not None
            return f"{said}{where(shell)}" if stopped else f"{said}{edge}\n{where(shell)}"
        target.seek(found.position)
        hit = found.breakpoint
        text = f"{said}Breakpoint {hit.number:x} hit\n{where(shell)}"
        return text if not hit.command else f"{text}\n{shell.execute(hit.command)}"

    return move


def step(*, back: bool, inside: bool = False) -> Callable[[Shell, str], str]:
    """Make ``p``, ``p-``, ``t`` or ``t-``.

    Args:
        back: whether it goes back.
        inside: whether the calls made inside the last one are shown.
    """

    def move(shell: Shell, arguments: str) -> str:
        count = shell.evaluate(arguments) if arguments.strip() else 1
        target = shell.target
        length = len(target.run)
        said = shell.drop_changes()
        wanted = target.position + (-count if back else count)
        target.seek(wanted)
        edge = f"{START}\n" if wanted < 0 else f"{END}\n" if wanted > length else ""
        text = f"{said}{edge}{where(shell)}"
        made = target.step
        if inside and made is not None:
            text += "".join(f"\n    {call_text(shell, each)}" for each in made.inner)
        return text

    return move


def travel(shell: Shell, arguments: str) -> str:
    """The command ``!tt``."""
    text = arguments.strip()
    target = shell.target
    length = len(target.run)
    position, percent = _POSITION.match(text), _PERCENT.match(text)
    if position is not None:
        wanted = int(position[1], 16)
        if wanted > length:
            raise Refusal(f"!tt {text}: the last position is {length:X}:0")
    elif percent is not None and float(percent[1]) <= 100:
        wanted = int(length * float(percent[1]) / 100)
    else:
        raise Refusal(f"!tt {text}: give a position such as A:0, or a percentage, 0 to 100")
    said = shell.drop_changes()
    target.seek(wanted)
    edge = f"{START}\n" if wanted == 0 else f"{END}\n" if wanted == length else ""
    return f"{said}Setting position: {target.position_text}\n{edge}{where(shell)}"

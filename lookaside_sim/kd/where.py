"""Where the shell stands: the call that led to the position, its line, the stop."""

from __future__ import annotations

from typing import Final

from lookaside_sim.errors import BugCheck
from lookaside_sim.kd.shell import Shell
from lookaside_sim.machine.calls import Outcome
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.run.sites import Site
from lookaside_sim.run.step import Step

PROGRAM: Final = "program"
"""What a step says instead of a routine where the program's own code touches memory."""
_NOT_NT: Final = frozenset({PROGRAM, "time"})
_VERBS: Final = {"write": "writes", "read": "reads", "touch": "touches"}
_SHOWN_BYTES: Final = 8


def where(shell: Shell) -> str:
    """What is printed after each move."""
    target = shell.target
    lines = []
    stop = shell.kernel.bugcheck if _has_stopped(shell) else None
    if stop is not None:
        lines.append(banner(stop))
    if target.is_recorded:
        lines.append(f"Time Travel Position: {target.position_text}")
    step = target.step
    if step is not None:
        lines += [call_text(shell, step), *site_lines(shell, step)]
    return "\n".join(lines)


def _has_stopped(shell: Shell) -> bool:
    """Whether the machine has stopped; does not make the machine of a running position."""
    step = shell.target.step
    if not shell.target.is_recorded:
        return True
    return shell.what_if is not None or (step is not None and step.outcome is Outcome.STOPPED)


def banner(stop: BugCheck) -> str:
    """What the debugger prints when the machine stops."""
    digits = ",".join(f"{each:016x}" for each in stop.parameters)
    return (
        f"\n*** Fatal System Error: 0x{int(stop.code):08x}\n"
        f"                       ({digits})\n\nA fatal system error has occurred.\n"
    )


def symbol_of(step: Step) -> str:
    """The routine of a call with its module; what is no routine of NT's has none."""
    return step.routine if step.routine in _NOT_NT else f"nt!{step.routine}"


def call_text(shell: Shell, step: Step) -> str:
    """A call with its arguments, what it returned, and which way it went."""
    name = symbol_of(step)
    names = shell.target.list_names
    words = [] if step.obj is None else [names.get(step.obj) or shell.text(step.obj)]
    for argument, value in step.arguments.items():
        if name != PROGRAM or argument != "Size" or "Data" not in step.arguments:
            words.append(_argument(shell, value))
    text = f"{PROGRAM} {_VERBS.get(step.word, step.word)}" if name == PROGRAM else name
    text += f"({', '.join(words)})"
    if step.outcome is Outcome.RAISED or (step.error and step.outcome is Outcome.REFUSED):
        text += f" raises {step.error}"
    elif isinstance(step.result, int):
        text += f" -> {shell.text(step.result)}"
    elif step.outcome is Outcome.REFUSED:
        text += " -> NULL"
    if step.branch is not None:
        text += f"   *{step.branch.value}*"
    return text


def _argument(shell: Shell, value: object) -> str:
    if isinstance(value, bytes):
        shown = value[:_SHOWN_BYTES].hex(" ")
        return f"{shown} ..." if len(value) > _SHOWN_BYTES else shown
    if isinstance(value, PoolTag):
        return f"'{value!s}'"
    if isinstance(value, int) and not isinstance(value, bool):
        return shell.text(value) if value > 0xFFFF_FFFF or value >> 28 else f"{int(value):x}"
    return str(value)


def site_lines(shell: Shell, step: Step) -> list[str]:
    """The program's line that made a call, with its text where it is known."""
    site = step.site
    if site is None:
        return []
    lines = source_text(shell, site)
    text = lines[site.line - 1].strip() if 0 < site.line <= len(lines) else ""
    return [f"{site.file} @ {site.line}: {text}" if text else f"{site.file} @ {site.line}"]


def source_text(shell: Shell, site: Site) -> list[str]:
    """The lines of the file of a site, as far as the recording kept them."""
    return shell.target.run.stacks.texts.get(site.path, "").splitlines()

"""The exported routines that print and format.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.ddi.printf import formatted
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export


@export("DbgPrint")
def _print(env: Environment, text: int) -> None:
    env.says(formatted(env, env.text(text), env.more_arguments(1)))


@export("DbgPrintEx")
def _print_of_component(env: Environment, component: int, level: int, text: int) -> None:
    env.says(formatted(env, env.text(text), env.more_arguments(3)))


@export("DbgBreakPoint", "KdDisableDebugger")
def _no_debugger(env: Environment) -> None:
    """Nobody debugs."""


def _store(env: Environment, to: int, most: int, text: str, width: int) -> int:
    """Store a text as the routines with a bound do.

    Returns:
        Its characters, or -1 where they do not all fit; a text that just fits gets no end.
    """
    raw = text.encode("latin-1" if width == 1 else "utf-16-le", "replace")
    count = len(raw) // width
    kept = raw[: most * width]
    if count < most:
        kept += bytes(width)
    if kept:
        env.write(to, kept)
    return count if count <= most else -1


_NO_BOUND = 1 << 31


@export("_snprintf")
def _format_some(env: Environment, to: int, most: int, text: int) -> int:
    return _store(env, to, most, formatted(env, env.text(text), env.more_arguments(3)), 1)


@export("_snwprintf")
def _format_some_wide(env: Environment, to: int, most: int, text: int) -> int:
    return _store(env, to, most, formatted(env, env.text(text, 2), env.more_arguments(3)), 2)


@export("sprintf")
def _format(env: Environment, to: int, text: int) -> int:
    done = formatted(env, env.text(text), env.more_arguments(2))
    return _store(env, to, _NO_BOUND, done, 1)


@export("swprintf")
def _format_wide(env: Environment, to: int, text: int) -> int:
    done = formatted(env, env.text(text, 2), env.more_arguments(2))
    return _store(env, to, _NO_BOUND, done, 2)


@export("_vsnprintf")
def _format_list(env: Environment, to: int, most: int, text: int, arguments: int) -> int:
    done = formatted(env, env.text(text), env.arguments_at(arguments))
    return _store(env, to, most, done, 1)


@export("_vsnwprintf")
def _format_list_wide(env: Environment, to: int, most: int, text: int, arguments: int) -> int:
    done = formatted(env, env.text(text, 2), env.arguments_at(arguments))
    return _store(env, to, most, done, 2)

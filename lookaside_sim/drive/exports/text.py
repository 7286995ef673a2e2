"""The exported routines that print and format.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.printf import formatted
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

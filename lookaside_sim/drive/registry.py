"""Exports by name: those that modules of this folder define, and the rest of `lookaside_sim.ddi`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from lookaside_sim.drive.environment import Environment

Handler = Callable[..., Any]
F = TypeVar("F", bound=Handler)

EXPORTS: Final[dict[str, Handler]] = {}
"""What each export does: called with the environment and its arguments, as integers."""

DATA: Final[dict[str, tuple[int, Callable[[Environment], bytes]]]] = {}
"""Variables that are exported: bytes of each, and what it holds."""


def export(*names: str) -> Callable[[F], F]:
    """Let a function be what some exports do; its first argument is the `Environment`."""

    def put(function: F) -> F:
        for name in names:
            assert name not in EXPORTS, name
            EXPORTS[name] = function
        return function

    return put


def variable(name: str, size: int, value: Callable[[Environment], bytes]) -> None:
    """Export a variable.

    Args:
        name: of it.
        size: bytes.
        value: what it holds; zeros follow.
    """
    DATA[name] = size, value

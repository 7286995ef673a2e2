"""What makes a function one of the routines: it takes its arguments by their C types, and is told.

NT's own code is a `routine`: whoever listens to the machine hears a `CallRoutine`, and what it
touches, the kernel touches. What wdm.h has as a macro or an inline function is the driver's own
code, `inlined` into it: there is no call to hear of, and what it touches, the driver touches.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from lookaside_sim.ddi.arguments import TAKERS
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql
from lookaside_sim.system.calls import CallRoutine

P = ParamSpec("P")
R = TypeVar("R")

ROUTINES: Final[dict[str, Callable[..., Any]]] = {}
"""The routines of NT's that are told as a `CallRoutine`, by their names."""
INLINED: Final[dict[str, Callable[..., Any]]] = {}
"""The macros, which are the driver's own code."""


def routine(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function a routine of NT's.

    Args:
        function: gets its arguments as plain values: addresses as integers, and so on.

    Returns:
        What a driver calls. An argument that its C type cannot hold is refused before anybody is
        told of the call.
    """
    take = _taker(function)
    name = function.__name__

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        machine = current_kernel().machine
        machine.check_running()
        taken = take(args, kwargs)
        do: Callable[..., R] = function
        return machine.hooks.run(CallRoutine(name, taken), do, *taken)

    ROUTINES[name] = call
    return call


def routine_up_to(
    highest: Irql,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make functions routines that may be called at an IRQL or below.

    Choice: above it the machine stops with IRQL_NOT_LESS_OR_EQUAL, whether or not NT would have
    got away with it. What the verifier says of the same call comes first.
    """

    def make(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            machine = current_kernel().machine
            irql = int(machine.processors.irql)
            if irql > highest:
                first = args[0] if args and isinstance(args[0], int) else 0
                machine.stop(
                    BugCheckCode.IRQL_NOT_LESS_OR_EQUAL,
                    (first, irql, 0, machine.program.call_site().address),
                    f"{function.__name__} was called at IRQL {irql}: it may be called at"
                    f" {highest.name} ({int(highest)}) or below",
                )
            return function(*args, **kwargs)

        return routine(checked)

    return make


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function a piece of the driver's own code, as a macro is."""
    take = _taker(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        current_kernel().check_running()
        do: Callable[..., R] = function
        return do(*take(args, kwargs))

    INLINED[function.__name__] = call
    return call


def _taker(function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """What checks the arguments of a call and puts them into their order."""
    signature = inspect.signature(function)
    ways = [(each.name, TAKERS[each.annotation]) for each in signature.parameters.values()]

    def take(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if kwargs or len(args) != len(ways):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args = tuple(bound.arguments.values())
        return tuple([way(name, value) for (name, way), value in zip(ways, args, strict=True)])

    return take

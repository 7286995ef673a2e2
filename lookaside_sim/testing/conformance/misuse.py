"""Misuse that an allocator promises to notice: double, foreign and interior frees."""

from __future__ import annotations

from collections.abc import MutableSequence

from lookaside_sim.testing.conformance.differences import Broken
from lookaside_sim.testing.conformance.sides import Sides
from lookaside_sim.testing.programs.steps import FreeForeign, FreeInside, FreeTwice, Step

__all__ = ["misuse"]


def misuse(sides: Sides, step: Step, progress: MutableSequence[int]) -> None:
    """Free something wrongly, and see that what was promised becomes of it.

    Does nothing if the contract promises nothing.

    Args:
        sides: the allocator.
        step: `FreeTwice`, `FreeForeign` or `FreeInside`.
        progress: its second place is set while the process may end, and stays so if the
            allocator stopped as it promised.

    Raises:
        Broken: something else happened.
    """
    contract, live, subject = sides.contract, sides.live, sides.subject
    promise = {
        FreeTwice: contract.double_free,
        FreeForeign: contract.foreign_free,
        FreeInside: contract.interior_free,
    }[type(step)]
    if promise is None:
        return
    if isinstance(step, FreeForeign):
        what = "of memory that is not its own"
        address = sides.backend.lend(subject.size)
    elif not live:
        return
    elif isinstance(step, FreeInside):
        what = "of an address inside an entry"
        if step.offset >= live[-1].size:
            return
        address = live[-1].entry + step.offset
    else:
        what = "of an entry that is free"
        address = live[-1].entry
        sides.free(live.pop())
    progress[1] = promise == "stops"
    try:
        raised = subject.free_wrongly(address)
    except Broken:
        progress[1] = 0
        raise
    if promise == "ignored" and raised is not None:
        happened = f"raised {type(raised).__name__}: {raised}"
    elif promise != "ignored" and raised is None:
        happened = "returned as if nothing were wrong"
    else:
        return
    progress[1] = 0
    raise Broken(
        f"a free {what} is not {'stopped' if promise == 'stops' else promise}: it {happened}",
        {"free()": promise},
        {"free()": happened},
    ) from raised

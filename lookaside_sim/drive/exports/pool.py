"""The exported pool routines that `ddi` has with other arguments, or not.

Source:
    [doc] the page of each routine (wdm.h, ntifs.h).
"""

from __future__ import annotations

from typing import Final

from lookaside_sim import ddi
from lookaside_sim.drive.environment import Environment
from lookaside_sim.drive.registry import export

_PARAMETER_SIZE: Final = 16
"""POOL_EXTENDED_PARAMETER: Type in 8 bits and Optional in the ninth of a ULONG64, then a value."""
_MOST_PARAMETERS: Final = 16


@export("ExAllocatePool3")
def _allocate(
    env: Environment, flags: int, size: int, tag: int, parameters: int, count: int
) -> int:
    given = []
    for index in range(min(count, _MOST_PARAMETERS) if parameters else 0):
        at = parameters + _PARAMETER_SIZE * index
        head, value = env.number(at, 8), env.number(at + 8, 8)
        given.append(ddi.POOL_EXTENDED_PARAMETER(head & 0xFF, value, bool(head >> 8 & 1)))
    return ddi.ExAllocatePool3(flags, size, tag, given, len(given))

"""What is tried on an allocator: a program with its setting, and the numbers worth trying."""

from __future__ import annotations

from typing import Final

import attrs

from lookaside_sim.testing.programs.steps import AllocateEachSecond, Fail, Step

__all__ = [
    "BOUNDARY_COUNTS",
    "BOUNDARY_ROUNDS",
    "BOUNDARY_SECONDS",
    "BOUNDARY_SIZES",
    "Example",
    "cost",
]

BOUNDARY_COUNTS: Final = (1, 2, 3, 4, 5, 6, 8, 15, 24, 34, 35, 74, 75, 76, 95)
"""Entries at a time: around the least depth 4, the steps 5, 10 and 30, and 75 in a scan."""
BOUNDARY_ROUNDS: Final = (1, 2, 5, 70, 71, 74, 75, 76, 164, 195, 196, 245, 249)
"""Allocate-and-free rounds that make few misses a ratio near 5 or 30 in a thousand."""
BOUNDARY_SECONDS: Final = (1, 1, 1, 2, 3, 3, 4, 6, 9, 30)
"""Seconds: inside a scan period of 3, at its end, and enough to bring any depth down to 4."""
BOUNDARY_SIZES: Final = (1, 4, 7, 8, 9, 16, 24, 32, 48, 64, 100, 256, 512, 1024, 4000)
"""Entry sizes: around the least one, with and without 16 byte alignment, nearly a page."""


@attrs.frozen
class Example:
    """One thing to try.

    Attributes:
        program: the steps.
        size: bytes of an entry.
        reuse: whether the backend hands out addresses again.
        refused: which requests are refused while the allocator is made.
    """

    program: tuple[Step, ...]
    size: int = 32
    reuse: bool = False
    refused: Fail | None = None


def cost(program: tuple[Step, ...]) -> int:
    """Calls a program makes, about.

    Args:
        program: its steps.
    """
    return (
        sum(
            getattr(step, "count", 1)
            * getattr(step, "entries", 1)
            * (step.seconds if isinstance(step, AllocateEachSecond) else 1)
            for step in program
        )
        + 20
    )

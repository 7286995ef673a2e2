"""Low resources simulation: allocations that fail on purpose.

Randomized: a seeded generator fails each with a probability, after a delay. Systematic: each
call stack fails the first time it is seen, then succeeds, so a run that repeats until nothing
fails has been down every failure path once.

Source:
    [doc] Low Resources Simulation, Systematic low resources simulation; docs/sources.md, pool section 7.4.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Final

import attrs

from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.machine.program import Program
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.verifier.settings import Verifier, VerifierFlags

HISTORY_ENTRIES: Final = 80
"""Faults that the tracker keeps, as in the documented transcript."""
_OUT_OF: Final = 10_000


@attrs.frozen
class InjectedFault:
    """An allocation that was made to fail.

    Attributes:
        size: bytes asked for.
        tag: its tag.
        stack: the program's frames, innermost first.
    """

    size: int
    tag: PoolTag
    stack: tuple[CallSite, ...]


class LowResources:
    """Decides which allocations fail.

    Args:
        verifier: the settings.
        program: whose stacks are told apart.

    Attributes:
        history: the newest faults, oldest first.
        injected: how many there were in all.
    """

    __slots__ = ("_program", "_random", "_seen", "_verifier", "history", "injected")

    def __init__(self, verifier: Verifier, program: Program) -> None:
        self._verifier = verifier
        self._program = program
        self._random = random.Random(verifier.seed)
        self._seen: dict[tuple[CallSite, ...], None] = {}
        self.history: deque[InjectedFault] = deque(maxlen=HISTORY_ENTRIES)
        self.injected = 0

    def fails(self, size: int, tag: PoolTag, seconds: int, process: str) -> bool:
        """Whether this allocation is to fail.

        Args:
            size: bytes asked for.
            tag: its tag.
            seconds: simulated seconds since boot.
            process: name of the current process.
        """
        verifier = self._verifier
        if not verifier.may_fail_tag(tag):
            return False
        if verifier.applications is not None and process not in verifier.applications:
            return False
        fails = False
        if verifier.flags & VerifierFlags.SYSTEMATIC_LOW_RESOURCES:
            stack = self._program.calling_stack()
            fails = stack not in self._seen
            self._seen[stack] = None
        if (
            not fails
            and verifier.flags & VerifierFlags.LOW_RESOURCES_SIMULATION
            and seconds >= verifier.delay_seconds
        ):
            fails = self._random.randrange(_OUT_OF) < verifier.probability
        if fails:
            self.injected += 1
            self.history.append(InjectedFault(size, tag, self._program.calling_stack()))
        return fails

"""Run examples on one kind of allocator, in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, MutableSequence
from typing import Final

import attrs

from lookaside_sim.testing.conformance.comparison import Comparison
from lookaside_sim.testing.conformance.differences import AllocatorDifference, Setting
from lookaside_sim.testing.conformance.overtime import Overtime, time_limited
from lookaside_sim.testing.conformance.sides import model_of
from lookaside_sim.testing.programs.example import Example, cost

__all__ = ["Trials"]

_SECONDS: Final = 1.0
"""Seconds of processor time that any program has: more than a collection of garbage takes."""
_SECONDS_A_CALL: Final = 0.0005
"""Seconds more for each call: much more than one takes."""


class Trials:
    """Runs examples; one model serves all of them.

    Args:
        setting: how; reuse is each example's own.
        progress: see `Comparison`.
    """

    def __init__(self, setting: Setting, progress: MutableSequence[int] | None = None) -> None:
        self.setting = setting
        self._model = model_of(setting.contract)
        self._progress = progress
        self._quick = False

    def difference(self, example: Example) -> AllocatorDifference | None:
        """Run one example.

        Args:
            example: the program and its setting.

        Returns:
            What differs, or None.
        """
        comparison = Comparison(
            self.setting.factory,
            example.size,
            self.setting.contract,
            model=self._model,
            reuse=example.reuse,
            refused=example.refused,
            progress=self._progress,
        )
        try:
            with self._limit(example):
                comparison.execute(list(example.program))
        except Overtime:
            what = "the program does not end"  # between two calls: what looped is not known
            difference = AllocatorDifference(
                what, list(example.program), {}, {"time": "over"}, steps=example.program
            )
            difference.setting = attrs.evolve(self.setting, reuse=example.reuse)
            return difference
        except AllocatorDifference as difference:
            difference.setting = attrs.evolve(self.setting, reuse=example.reuse)
            return difference
        return None

    def _limit(self, example: Example) -> contextlib.AbstractContextManager[None]:
        if self._progress is not None:
            return contextlib.nullcontext()  # another process looks after this one
        waits = sum(getattr(step, "seconds", 0) for step in example.program)
        seconds = _SECONDS + _SECONDS_A_CALL * (cost(example.program) + waits)
        return time_limited(seconds / 4 if self._quick else seconds)

    def be_quick(self, quick: bool) -> None:
        """Wait only for a part of the time limit, or for all of it again.

        Args:
            quick: whether a program that may not end is being made small.
        """
        self._quick = quick

    def first_difference(
        self, examples: Iterable[Example]
    ) -> tuple[Example, AllocatorDifference] | None:
        """Run examples up to the first that shows a difference.

        Args:
            examples: in order.

        Returns:
            It, and what differs.
        """
        for example in examples:
            difference = self.difference(example)
            if difference is not None:
                return example, difference
        return None

    def close(self) -> None:
        """Nothing to end."""

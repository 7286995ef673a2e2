"""Run examples on one kind of allocator, in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, MutableSequence
from typing import Final

import attrs

from lookaside_sim.testing.conformance.comparison import Comparison, reported_program
from lookaside_sim.testing.conformance.differences import AllocatorDifference, Setting
from lookaside_sim.testing.conformance.overtime import Overtime, time_limited
from lookaside_sim.testing.conformance.sides import model_of
from lookaside_sim.testing.programs.example import Example, cost

__all__ = ["Trials"]

_SECONDS_A_CALL: Final = 0.0005
"""Seconds more that any call has for each call of its program: one may do what all left behind."""
_THREADS_LIMIT: Final = 2.5
"""Time limits in which all threads sleep, after which they do for ever."""
_SMALL_WAIT: Final = 0.05
_LEAST_WAIT: Final = 0.02
"""Part of the time limit that is enough while a program that hangs is made small, and seconds."""


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
        self._quick = self._hung = False
        # A factory that waits for another process has a limit of its own.
        self._outside: Callable[[bool], None] | None = getattr(
            setting.factory, "be_quick", None
        )

    def difference(self, example: Example) -> AllocatorDifference | None:
        """Run one example.

        Args:
            example: the program and its setting.

        Returns:
            What differs, or None.
        """
        limit = self.setting.time_limit
        if self._quick and self._hung:
            limit = min(limit, max(limit * _SMALL_WAIT, _LEAST_WAIT))
        comparison = Comparison(
            self.setting.factory,
            example.size,
            self.setting.contract,
            model=self._model,
            reuse=example.reuse,
            refused=example.refused,
            progress=self._progress,
            patience=limit * _THREADS_LIMIT,
        )
        try:
            with self._limited(example, comparison, limit):
                comparison.execute(list(example.program))
        except Overtime:
            self._hung = True
            # Between two calls: what looped is not known.
            steps = example.program
            return AllocatorDifference(
                "the program does not end",
                reported_program(example.size, example.refused, list(steps)),
                {"time": "left"},
                {"time": "over"},
                setting=attrs.evolve(self.setting, reuse=example.reuse),
                steps=steps,
            )
        except AllocatorDifference as difference:
            self._hung |= isinstance(difference.__cause__, Overtime)
            difference.setting = attrs.evolve(self.setting, reuse=example.reuse)
            return difference
        return None

    def _limited(
        self, example: Example, comparison: Comparison, limit: float
    ) -> contextlib.AbstractContextManager[None]:
        if self._progress is not None or self._outside is not None:
            return contextlib.nullcontext()  # somebody else looks after it
        waits = sum(getattr(step, "seconds", 0) for step in example.program)
        more = _SECONDS_A_CALL * (cost(example.program) + waits)
        seconds = limit * (1 + more / self.setting.time_limit)
        return time_limited(seconds, lambda: comparison.calls)

    def be_quick(self, quick: bool) -> None:
        """Wait only for a part of the time limit, or for all of it again.

        Args:
            quick: whether a program is being made small. The first that hangs is waited for
                as long as ever: an allocator of slow calls is none that hangs.
        """
        self._quick = quick
        if self._outside is not None:
            self._outside(quick)

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

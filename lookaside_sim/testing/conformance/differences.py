"""What `check_allocator` reports: the first difference, as a minimal program."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from lookaside_sim.errors import made_again
from lookaside_sim.testing.conformance.contract import LEVELS, Contract
from lookaside_sim.testing.conformance.regression import write_regression
from lookaside_sim.testing.programs.steps import Program, Step, format_program

__all__ = ["TIME_LIMIT", "AllocatorDifference", "Broken", "Setting", "State"]

TIME_LIMIT: Final = 0.4
"""Seconds in which an allocator in a process of its own must finish a step or use the backend."""

State: TypeAlias = Mapping[str, object]
"""What one side did in the last step: its result, counters and memory, by name."""


class Broken(Exception):  # noqa: N818 - a signal between these modules, never seen outside
    """The contract is broken here.

    Args:
        what: what is wrong, in a sentence.
        expected: what the contract asks for.
        actual: what the allocator did instead.
    """

    def __init__(self, what: str, expected: State, actual: State) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.actual = actual


@attrs.frozen
class Setting:
    """Everything but the program that a run depends on.

    Attributes:
        factory: what makes the allocator.
        contract: what is checked.
        reuse: whether the backend hands out addresses again at once.
        isolate: whether it was asked to run, or not to run, in a process of its own.
        time_limit: seconds without any progress after which it hangs there.
    """

    factory: Any = None
    contract: Contract = LEVELS["memory"]
    reuse: bool = False
    isolate: bool | None = None
    time_limit: float = TIME_LIMIT

    @property
    def level(self) -> str:
        """The name of the contract, or its source."""
        return self.contract.level or repr(self.contract)

    def arguments(self) -> str:
        """The setting as arguments of `run_program`, those that are the default left out."""
        level = self.contract.level
        shown = [f"level={level!r}" if level else f"contract={self.contract!r}"]
        if self.reuse:
            shown.append("reuse=True")
        if self.isolate is not None:
            shown.append(f"isolate={self.isolate}")
        if self.time_limit != TIME_LIMIT:
            shown.append(f"time_limit={self.time_limit!r}")
        return ", ".join(shown)


class AllocatorDifference(AssertionError):  # noqa: N818 - its public name
    """An allocator under test broke its contract.

    Args:
        what: the difference, in one sentence.
        program: the shortest program found that shows it.
        expected: what the simulator did, or what the contract asks for.
        actual: what the allocator did.
        setting: how the program was run.
        steps: those that ran after the creation, before everything was freed and deleted; the
            reported program spells that end out.

    Attributes:
        program: its steps.
        expected: the simulator's result and counters, by name.
        actual: the allocator's.
        what: the difference, in one sentence.
        steps: see above.
        setting: see above.
        level: the name of the contract, or its source.
        reuse: whether the backend handed out addresses again.
        minimal: no step and no count can be taken away; false where making a program of many
            thousands of steps small took too many calls.
        flaky: the program, run again, showed no difference: the allocator depends on what ran
            before, or on chance.
    """

    def __init__(
        self,
        what: str,
        program: Program,
        expected: State,
        actual: State,
        *,
        setting: Setting = Setting(),
        steps: Sequence[Step] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.program: list[Step] = list(program)
        self.expected = dict(expected)
        self.actual = dict(actual)
        self.steps = tuple(steps)
        self.setting = setting
        self.level = setting.level
        self.reuse = setting.reuse
        self.flaky = False
        self.minimal = True
        self._regression: str | None = None

    @property
    def regression(self) -> str:
        """Source of a pytest test that fails as long as the difference is there."""
        if self._regression is not None:
            return self._regression
        return write_regression(self.program, self.setting.factory, self.setting.arguments())

    def __reduce__(self) -> tuple[Any, ...]:
        state = vars(self)
        try:
            pickle.dumps(self.setting.factory)
        except Exception:
            # The test that names what made the allocator can be sent, if that cannot.
            setting = attrs.evolve(self.setting, factory=None)
            state = {**state, "setting": setting, "_regression": self.regression}
        return made_again, (type(self), self.args, state)

    def __str__(self) -> str:
        return "\n".join((self.report(), "", "A test to keep:", "", self.regression))

    def _repr_html_(self) -> str:
        from lookaside_sim.testing.conformance.shown import as_html

        return as_html(self.what, self.report(), self.program)

    def report(self) -> str:
        """The difference, its program and both sides, without the test."""
        warning = (
            "\n\nFLAKY: run again, alone, the program shows no difference. The allocator depends"
            "\non programs that ran before in the same process, or on chance."
            if self.flaky
            else ""
        )
        if not self.minimal:
            warning += "\n\nNot known to be the shortest program: it is too long to try all."
        return "\n".join(
            (
                self.what + warning,
                "",
                "The program:",
                format_program(self.program),
                "",
                _table(self.expected, self.actual),
            )
        )


def _table(expected: State, actual: State) -> str:
    """Both sides beside each other, differing lines marked."""
    rows = [("", "", "expected", "actual")]
    for name in [*expected, *(name for name in actual if name not in expected)]:
        left, right = _cell(expected, name), _cell(actual, name)
        mark = "!" if left and right and left != right else ""
        rows.append((mark, name, left, right))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cell(state: State, name: str) -> str:
    if name not in state:
        return ""
    value = state[name]
    return f"{value:#x}" if isinstance(value, int) and value > 1 << 32 else str(value)

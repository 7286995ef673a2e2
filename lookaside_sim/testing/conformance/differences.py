"""What `check_allocator` reports: the first difference, as a minimal program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from lookaside_sim.errors import made_again
from lookaside_sim.testing.programs.steps import Program, Step, format_program

__all__ = ["AllocatorDifference", "State"]

State: TypeAlias = Mapping[str, object]
"""What one side did in the last step: its result, counters and memory, by name."""


class AllocatorDifference(AssertionError):  # noqa: N818 - its public name
    """An allocator under test broke its contract.

    Args:
        what: the difference, in one sentence.
        program: the shortest program found that shows it.
        expected: what the simulator did, or what the contract asks for.
        actual: what the allocator did.
        level: the contract checked.
        reuse: whether the backend handed out addresses again.
        factory: what made the allocator, to be named in the regression.
        steps_run: how many steps ran before everything was freed and deleted; the reported
            program spells that end out.

    Attributes:
        program: its steps.
        expected: the simulator's result and counters, by name.
        actual: the allocator's.
        what: the difference, in one sentence.
        steps_run: see above.
        regression: source of a pytest test that fails as long as the difference is there.
    """

    def __init__(
        self,
        what: str,
        program: Program,
        expected: State,
        actual: State,
        *,
        level: str,
        reuse: bool = False,
        factory: object = None,
        steps_run: int | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.program: list[Step] = list(program)
        self.expected = dict(expected)
        self.actual = dict(actual)
        self.level = level
        self.reuse = reuse
        self.steps_run = len(self.program) if steps_run is None else steps_run
        self.regression = _regression(self.program, level, reuse, factory)

    def __reduce__(self) -> tuple[Any, ...]:
        return made_again, (type(self), self.args, vars(self))

    def __str__(self) -> str:
        return "\n".join(
            (
                self.what,
                "",
                "The program:",
                format_program(self.program),
                "",
                _table(self.expected, self.actual),
                "",
                "A test to keep:",
                "",
                self.regression,
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


def _regression(program: Program, level: str, reuse: bool, factory: object) -> str:
    """Write the pytest test."""
    steps = sorted({type(step).__name__ for step in program})
    lines = [f"from lookaside_sim.testing import {', '.join([*steps, 'run_program'])}"]
    module = getattr(factory, "__module__", None)
    name = getattr(factory, "__qualname__", "")
    if module not in (None, "__main__") and all(
        part.isidentifier() for part in name.split(".")
    ):
        lines.append(f"from {module} import {name.partition('.')[0]}")
    else:
        # Nothing at the top of a module: a lambda, a partial, a class inside a function or script.
        lines.append(f"# Define or import here, as `factory`: {name or repr(factory)}")
        name = "factory"
    lines += [
        "",
        "",
        "def test_regression():",
        "    program = [",
        format_program(program, " " * 8),
        "    ]",
        f"    run_program({name}, program, level={level!r}{', reuse=True' if reuse else ''})",
        "",
    ]
    return "\n".join(lines)

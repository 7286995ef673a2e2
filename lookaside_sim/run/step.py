"""A step of a run, as a reader sees it; made when somebody asks for it."""

from __future__ import annotations

from typing import Any, Final

import attrs

from lookaside_sim.machine.calls import Branch, Outcome
from lookaside_sim.run.kinds import KINDS
from lookaside_sim.run.rows import Node, Ran, Row, Rows
from lookaside_sim.run.sites import Site, Stacks

_WORD: Final = 8
_BLOCKS: Final = "contextlib.py"
"""Where Python leaves a ``with`` block that is a generator."""


@attrs.frozen
class Step:
    """One call of the program.

    Attributes:
        number: its place in the run, from 0; for an inner one that of the step around it.
        word: what traces and programs call it, see `Call.word`.
        routine: documented name of the routine; "program" for what the program's own code does
            to memory.
        arguments: what it took, by documented names; ``Data`` for bytes.
        obj: address of the list it is on, or None.
        branch: which way a list's routine went, or None.
        result: what it returned: a number, bytes that were read, or None.
        outcome: how it ended.
        error: what it raised, as a text; empty for nothing.
        time: when it began, in seconds: what the machine's clock said, and in a trace with
            finer times the time there.
        stack: the program's lines, innermost first.
        inner: the calls that the program's own routines made inside.
    """

    number: int
    word: str
    routine: str
    arguments: dict[str, Any]
    obj: int | None
    branch: Branch | None
    result: int | bytes | None
    outcome: Outcome
    error: str
    time: float
    stack: tuple[Site, ...]
    inner: tuple[Step, ...]

    @property
    def site(self) -> Site | None:
        """The program's line, or None where it is not known; not that of `contextlib`."""
        for site in self.stack:
            if site.file != _BLOCKS:
                return site
        return self.stack[0] if self.stack else None

    @property
    def name(self) -> str:
        """The error's class without its text; empty for none."""
        return self.error.partition(":")[0]

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        text = f"{self.routine}({shown})"
        if self.error:
            text += f" raised {self.error}"
        elif self.result is not None:
            text += f" = {_shown(self.result)}"
        if self.branch is not None:
            text += f"  [{self.branch.value}]"
        return text


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int) and type(value) is int:
        return f"{value:#x}" if value > 0xFFFF else str(value)
    return value.hex(" ") if isinstance(value, bytes) else str(value)


class StepMaker:
    """Makes the steps of one run.

    Args:
        rows: its rows.
        stacks: its stacks.
    """

    def __init__(self, rows: Rows, stacks: Stacks) -> None:
        self._rows = rows
        self._stacks = stacks
        self.list_addresses: list[int] = []

    def step(self, number: int, row: Row) -> Step:
        """Make a step of a row."""
        shape, words, stack, inside = row
        kind = KINDS[shape.kind]
        key = shape.key
        result: int | bytes | None = None
        operands = words
        if kind.has_result and shape.error < 0:
            operands, result = words[:-1], words[-1]
            if kind.makes_blocks and not result:
                result = None
            if shape.kind == "ReadMemory":
                result = self._bytes(key[0], words[-1])
        arguments = kind.arguments(key, operands)
        if shape.kind == "WriteMemory":
            arguments["Data"] = self._bytes(key[0], words[1])
        return Step(
            number=number,
            word=kind.call.word,
            routine=key[0] if shape.kind == "CallRoutine" else kind.routine,
            arguments=arguments,
            obj=self.list_addresses[key[0]] if kind.on_list else None,
            branch=Branch(shape.branch) if shape.branch else None,
            result=result,
            outcome=self.outcome(row),
            error=self._error(shape.error),
            time=self._rows.time_of(number),
            stack=self._stacks.stack(stack),
            inner=tuple(self._inner(number, inside)),
        )

    def _bytes(self, size: int, word: int) -> bytes:
        return word.to_bytes(size, "little") if size <= _WORD else self._rows.blobs[word]

    def _error(self, number: int) -> str:
        if number < 0:
            return ""
        failure = self._rows.errors[number]
        return f"{failure.kind}: {failure.text}" if failure.text else failure.kind

    def outcome(self, row: Row) -> Outcome:
        """How a row ended."""
        shape = row.shape
        result = row.words[-1] if row.words else 0
        if shape.error >= 0:
            kind = self._rows.errors[shape.error].kind
            if kind == "BugCheck":
                return Outcome.STOPPED
            inner = any(
                isinstance(node, Ran) and node.error == shape.error for node in row.inside
            )
            if kind == "SanitizerError" and not inner:
                return Outcome.REFUSED
            return Outcome.RAISED
        refused = (
            (KINDS[shape.kind].makes_blocks and not result)
            or (shape.kind == "InitializeList" and bool(shape.key[3]))
            or (shape.kind == "PopEntry" and not result)
        )
        return Outcome.REFUSED if refused else Outcome.RETURNED

    def _inner(self, number: int, inside: tuple[Node, ...]) -> list[Step]:
        found: list[Step] = []
        for node in inside:
            if isinstance(node, Row):
                found.append(self.step(number, node))
            elif isinstance(node, Ran):
                found += self._inner(number, node.inside)
        return found

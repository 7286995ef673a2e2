"""Looking for steps: by what they are, without playing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from lookaside_sim.machine.calls import Branch, Outcome
from lookaside_sim.run.kinds import KINDS
from lookaside_sim.run.rows import Node, Ran, Row, Rows, Shape
from lookaside_sim.run.step import StepMaker


@attrs.frozen
class Wanted:
    """What a step has to be; None is anything.

    Attributes:
        word: see `Step.word`.
        routine: see `Step.routine`.
        branch: which way a list's routine went.
        outcome: how it ended.
        address: what it takes, returns, or reads or writes a byte of.
        obj: address of the list it is on.
    """

    word: str | None = None
    routine: str | None = None
    branch: Branch | None = None
    outcome: Outcome | None = None
    address: int | None = None
    obj: int | None = None


class Search:
    """A search in one run.

    Args:
        rows: its rows.
        maker: knows its lists.
        wanted: what is looked for.
    """

    def __init__(self, rows: Rows, maker: StepMaker, wanted: Wanted) -> None:
        self._rows = rows
        self._maker = maker
        self._wanted = wanted
        self._fits = {
            number for number, shape in enumerate(rows.shapes) if self._shape_fits(shape)
        }
        self._shapes = {rows.shapes[number] for number in self._fits}

    def numbers(self, start: int, *, back: bool) -> Iterator[int]:
        """The numbers of the steps that fit, from a position on or back."""
        rows, fits = self._rows, self._fits
        inside = rows.inside
        shape_of = rows.columns()[0]
        numbers = range(start - 1, -1, -1) if back else range(start, len(rows))
        whole = self._wanted.address is None and self._wanted.outcome is None
        for number in numbers:
            if shape_of[number] in fits:
                if whole or self._row_fits(rows.row(number)):
                    yield number
            elif number in inside and any(map(self._fits_inside, inside[number])):
                yield number

    def _shape_fits(self, shape: Shape) -> bool:
        wanted, kind = self._wanted, KINDS[shape.kind]
        if wanted.word is not None and kind.call.word != wanted.word:
            return False
        routine = shape.key[0] if shape.kind == "CallRoutine" else kind.routine
        if wanted.routine is not None and routine != wanted.routine:
            return False
        if wanted.branch is not None and shape.branch != wanted.branch.value:
            return False
        if wanted.obj is None:
            return True
        return kind.on_list and self._maker.list_addresses[shape.key[0]] == wanted.obj

    def _row_fits(self, row: Row) -> bool:
        wanted = self._wanted
        if wanted.outcome is not None and self._maker.outcome(row) is not wanted.outcome:
            return False
        return wanted.address is None or wanted.address in _addresses(row)

    def _fits_inside(self, node: Node) -> bool:
        if isinstance(node, Row) and node.shape in self._shapes and self._row_fits(node):
            return True
        return isinstance(node, (Row, Ran)) and any(map(self._fits_inside, node.inside))


def _addresses(row: Row) -> Iterable[int]:
    """What a row is about, as far as it may be an address."""
    shape, words = row.shape, row.words
    if shape.kind in ("ReadMemory", "WriteMemory"):
        return range(words[0], words[0] + shape.key[0])
    plain = tuple(each for each in shape.key if isinstance(each, int))
    return words if KINDS[shape.kind].on_list else (*words, *plain)

"""Watching a value through a run: a field, or bytes in memory, step by step, both ways."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.run.bulk import Plan, play_range
from lookaside_sim.run.player import Player
from lookaside_sim.run.rows import Row, Rows, rows_in
from lookaside_sim.run.state import GETTERS, MACHINE_FIELDS, machine_fields
from lookaside_sim.run.step import Step

Value = Callable[[Kernel], Any]
"""Looks at a machine."""

_FIRST_CHUNK: Final = 64
_FIRST_GROUP: Final = 16
_LARGEST_GROUP: Final = 1 << 13
"""Suspects that are looked at together."""
_FAR: Final = 1 << 15
"""Steps that a machine from a checkpoint is sooner made than played."""
_GROWTH: Final = 8
_LARGEST_CHUNK: Final = 1 << 15
_BATCH: Final = 1 << 9


@attrs.frozen
class Access:
    """A step wrote or read bytes somebody asked about.

    Attributes:
        step: which.
        kind: ``"w"`` for a write, ``"r"`` for a read.
        address: of the first byte asked about.
        old: the bytes before the step; holes, where nothing is mapped, are left out.
        new: the bytes after it.
    """

    step: Step
    kind: str
    address: int
    old: bytes
    new: bytes


def field_of(obj: int | None, field: str) -> Value:
    """Look at a field of the list at an address, or of the machine.

    Raises:
        ValueError: no such field.
    """
    if obj is None:
        if field not in MACHINE_FIELDS:
            raise ValueError(f"field {field!r}: give one of {', '.join(MACHINE_FIELDS)}")
        return lambda kernel: machine_fields(kernel)[field]
    getter = GETTERS.get(field)
    if getter is None:
        raise ValueError(f"field {field!r}: give one of {', '.join(GETTERS)}")

    def value(kernel: Kernel) -> int | None:
        found = kernel.registry.at(obj)
        seen = found.peek() if isinstance(found, LookasideList) else None
        return None if seen is None else int(getattr(seen, getter))

    return value


def bytes_at(address: int, size: int) -> Value:
    """Look at bytes in memory."""
    return lambda kernel: bytes(each for each in kernel.peek(address, size) if each is not None)


class Watch:
    """Plays a run and looks at a value after each step.

    Args:
        rows: what is played.
        player: gives a player at a position, one of the caller's own.
        value: looks.
        touches: whether a row counts although the value is the same afterwards.
        suspects: numbers of the rows that can have changed it; None for all.
    """

    def __init__(
        self,
        rows: Rows,
        player: Callable[[int], Player],
        value: Value,
        touches: Callable[[Row], bool] | None = None,
        suspects: Sequence[int] | None = None,
    ) -> None:
        self._suspects = suspects
        self._plan: Plan | None = None
        self._rows = rows
        self._player = player
        self._value = value
        self._touches = touches
        self._old: Any = None

    def changes(self, start: int, *, back: bool) -> Iterator[tuple[int, Any, Any]]:
        """The steps that changed the value: number, the value before, the value after."""
        if self._suspects is not None:
            yield from self._among(self._suspects, start, back=back)
            return
        if not back:
            yield from self._play(start, len(self._rows))
            return
        size = _FIRST_CHUNK
        end = start
        while end > 0:
            begin = (end - 1) // size * size  # where checkpoints are
            yield from reversed(list(self._play(begin, end)))
            end, size = begin, min(size * _GROWTH, _LARGEST_CHUNK)

    def _among(
        self, suspects: Sequence[int], start: int, *, back: bool
    ) -> Iterator[tuple[int, Any, Any]]:
        """The same, looking only after the suspects, a few at first."""
        at, size = bisect_left(suspects, start), _FIRST_GROUP
        while at > 0 if back else at < len(suspects):
            if back:
                begin = max(0, at - size)
                yield from reversed(self._play_suspects(suspects[begin:at]))
                at = begin
            else:
                yield from self._play_suspects(suspects[at : at + size])
                at += size
            size = min(size * _GROWTH, _LARGEST_GROUP)

    def _play_suspects(self, numbers: Sequence[int]) -> list[tuple[int, Any, Any]]:
        rows, value, touches = self._rows, self._value, self._touches
        position = -_FAR
        found = []
        old: Any = None
        if self._plan is None:
            self._plan = Plan.of(rows)
        for number in numbers:
            if number - position >= _FAR:
                player, position = self._player(number), number
                old = value(player.kernel)  # nothing between two suspects changes it
            else:
                play_range(player, rows, position, number, self._plan)
            row = rows.row(number)
            with player.playing():
                player.play(number, row)
            position = number + 1
            new = value(player.kernel)
            if new != old or (touches is not None and touches(row)):
                found.append((number, old, new))
                old = new
        return found

    def _play(self, start: int, end: int) -> Iterator[tuple[int, Any, Any]]:
        if start >= end:
            return
        player = self._player(start)
        self._old = self._value(player.kernel)
        while start < end:
            behind = min(start + _BATCH, end)
            yield from self._play_some(player, start, behind)
            start = behind

    def _play_some(self, player: Player, start: int, end: int) -> list[tuple[int, Any, Any]]:
        kernel, value, touches = player.kernel, self._value, self._touches
        found = []
        old = self._old
        with player.playing():
            for number, row in self._rows.walk(start, end):
                player.play(number, row)
                new = value(kernel)
                if new != old or (touches is not None and touches(row)):
                    found.append((number, old, new))
                    old = new
        self._old = old
        return found


def writes_to(address: int, size: int) -> Callable[[Row], bool]:
    """Whether a row, or one inside it, is a write of the program to a range."""

    def wrote(row: Row) -> bool:
        if not row.inside and row.shape.kind != "WriteMemory":
            return False
        return any(
            each.shape.kind == "WriteMemory"
            and each.words[0] < address + size
            and address < each.words[0] + each.shape.key[0]
            for each in rows_in(row)
        )

    return wrote


def reads_of(address: int, size: int, link: int) -> Callable[[Row], bool]:
    """Whether a row reads a range: the program does, or a list takes an entry's link.

    Args:
        address: of the range.
        size: bytes of it.
        link: bytes of a link.
    """

    def reads(row: Row) -> bool:
        for each in rows_in(row):
            shape, words = each.shape, each.words
            if shape.kind == "ReadMemory":
                first, length = words[0], shape.key[0]
            elif shape.kind == "AllocateEntry" and shape.branch == "hit" and words:
                first, length = words[-1], link
            else:
                continue
            if first < address + size and address < first + length:
                return True
        return False

    return reads


def list_named(rows: Rows, base: Kernel | None, name: str) -> int:
    """The address of a list by its name.

    Raises:
        LookasideSimError: there is none.
    """
    for address, each in rows.names_made():
        if each == name:
            return address
    for known in () if base is None else base.lookaside_lists:
        if known.name == name:
            return known.address
    names = ", ".join(repr(each) for _, each in rows.names_made()) or "none"
    raise LookasideSimError(
        f"list {name!r}: give the name or the address of one; there are {names}"
    )

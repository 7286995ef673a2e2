"""The machines of a run: as it was after so many steps, by a clone and a replay.

Going back is going forward from an earlier *checkpoint*, a machine that was put aside. Near the
place where one stands there are many of them, farther away fewer: for each power of eight the
last multiple of it, and a few spread over the whole run.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.run.bulk import play_range
from lookaside_sim.run.player import Player
from lookaside_sim.run.rows import Rows

_NEAREST: Final = 64
"""Steps between checkpoints where one stands."""
_FACTOR: Final = 8
_FEWEST: Final = 2
_MOST: Final = 16
"""Checkpoints that are spread over the whole run."""
_ROOM: Final = 96 << 20
"""Bytes that those may have, about."""
_SLOT_BYTES: Final = 160


class Machines:
    """The machines of one run.

    Args:
        rows: its rows, which may grow.
        base: a player at position 0; it becomes theirs.
    """

    def __init__(self, rows: Rows, base: Player) -> None:
        self._rows = rows
        self._kept: dict[int, Player] = {0: base}
        self._player = base.copy()
        self._position = 0

    def player(self, position: int) -> Player:
        """A player of the caller's own that has played so many rows.

        Raises:
            RunError: the replay came out otherwise than the recording.
        """
        self._move(position)
        return self._player.copy()

    def _move(self, position: int) -> None:
        if position == self._position:
            return
        wanted = self._wanted(position)
        start = max(each for each in self._kept if each <= position)
        if not start <= self._position <= position or self._position < 0:
            self._player, self._position = self._kept[start].copy(), start
        stops = sorted(each for each in wanted if self._position < each < position)
        for stop in (*stops, position):
            self._play(stop)
            if stop in wanted and stop not in self._kept:
                self._kept[stop] = self._player.copy()
        self._kept = {each: at for each, at in self._kept.items() if each in wanted}

    def _play(self, end: int) -> None:
        start, self._position = self._position, -1  # nowhere, should it not get there
        play_range(self._player, self._rows, start, end)
        self._position = end

    def _wanted(self, position: int) -> set[int]:
        """Where checkpoints are worth their memory for one who stands at a position."""
        length = len(self._rows)
        wanted = {0}
        distance = _NEAREST
        while distance <= position:
            wanted.add((position - 1) // distance * distance)
            distance *= _FACTOR
        spread = length // self._spread // _NEAREST * _NEAREST
        if spread:
            wanted.update(range(0, length, spread))
        return wanted

    @property
    def _spread(self) -> int:
        """How many checkpoints are spread over the whole run: as many as memory has room for."""
        memory, pool = self._player.kernel.memory, self._player.kernel.pool
        size = sum(each.bytes_in_use for each in pool.descriptors)
        size += len(memory.slots.by_address) * _SLOT_BYTES
        return max(_FEWEST, min(_MOST, _ROOM // (size + 1)))

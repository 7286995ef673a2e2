"""Playing many rows: what `Player.play` does, for the four kinds of which runs are full.

Nothing here is another rule: a row with anything unusual about it, and whatever comes out
otherwise than it was written down, goes to `Player.play`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lookaside_sim.errors import RunError
from lookaside_sim.run.player import Player
from lookaside_sim.run.rows import Key, Rows, Shape
from lookaside_sim.run.state import block_of_list

_ALLOCATE_ENTRY: Final = 0
_FREE_ENTRY: Final = 1
_ALLOCATE_BLOCK: Final = 2
_FREE_BLOCK: Final = 3
_SLOW: Final = 4
_CODES: Final = {
    "AllocateEntry": _ALLOCATE_ENTRY,
    "FreeEntry": _FREE_ENTRY,
    "AllocateBlock": _ALLOCATE_BLOCK,
    "FreeBlock": _FREE_BLOCK,
}


class _Way(NamedTuple):
    """How the rows of a shape are played."""

    code: int
    key: Key
    words: int
    makes_block: bool


def _way_of(shape: Shape) -> _Way:
    code = _CODES.get(shape.kind, _SLOW)
    plain = shape.error < 0 and not shape.context
    if code == _ALLOCATE_BLOCK:
        _, _, _, charged, priority, special = shape.key
        plain = plain and not charged and not special and priority < 0
    elif code == _FREE_BLOCK:
        plain = plain and not shape.key[1]
    makes = code == _ALLOCATE_ENTRY and shape.branch != "hit"
    return _Way(code if plain else _SLOW, shape.key, shape.words, makes)


class Plan(NamedTuple):
    """How the rows of a run are played; worth keeping by who plays many short ranges.

    Attributes:
        ways: by the number of the shape.
        unusual: rows that `Player.play` has to play.
    """

    ways: list[_Way]
    unusual: set[int]

    @classmethod
    def of(cls, rows: Rows) -> Plan:
        """The plan of some rows, as they are now."""
        return cls(list(map(_way_of, rows.shapes)), {*rows.inside, *rows.between})


def play_range(
    player: Player, rows: Rows, start: int, end: int, plan: Plan | None = None
) -> None:
    """Play the rows of a range, one after the other.

    Args:
        player: on whose machine.
        rows: what is played.
        start: number of the first row.
        end: number of the first one behind.
        plan: of the rows; None to make one.

    Raises:
        RunError: one came out otherwise than in the recording.
    """
    if start >= end:
        return
    with player.playing():
        _play(player, rows, start, end, Plan.of(rows) if plan is None else plan)


def _play(player: Player, rows: Rows, start: int, end: int, plan: Plan) -> None:
    ways, unusual = plan
    shape_of, _, words = rows.columns()
    pool, lists, made = player.kernel.pool, player.lists, player.made
    running = player.kernel.machine.program.running
    dpcs = player.kernel.machine.processors.dpcs
    at = rows.words_at(start)
    number = start
    try:
        for number in range(start, end):
            code, key, count, makes_block = ways[shape_of[number]]
            if code == _SLOW or running or dpcs or number in unusual:
                player.play(number, rows.row(number))
                at += count
                continue
            player.stand_at(number)
            if code == _ALLOCATE_ENTRY:
                lookaside = lists[key[0]]
                if makes_block:
                    made[words[at]] = block_of_list(lookaside, number)
                result = lookaside.allocate()
            elif code == _FREE_ENTRY:
                lists[key[0]].free(words[at] or None)
                at += 1
                continue
            elif code == _FREE_BLOCK:
                pool.free(words[at], key[0] or None)
                at += 1
                continue
            else:
                made[words[at]] = number
                result = pool.allocate(key[0], key[1], key[2])
            expected = words[at]
            at += 1
            if (result or 0) != expected:
                player.differs_at(number, rows.row(number), result, expected)
    except RunError:
        raise
    except Exception as error:
        player.raised_at(number, rows.row(number), error)

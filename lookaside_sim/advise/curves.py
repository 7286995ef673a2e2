"""The curves of advice as plain values, for whoever draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lookaside_sim.advise.advice import Advice, Row

_POINTS: Final = 200
"""Points of a curve at most: what a screen can show."""


def curves(advice: Advice, most: int | None = 12) -> list[dict[str, Any]]:
    """What there is to draw of each list.

    Args:
        advice: with ``depths`` and ``by_second``; a curve of what was not counted is empty.
        most: lists, the one that saves most calls first; None for all.

    Returns:
        A dict for each list: its ``name``; ``calls`` and ``pool_calls_saved`` of the tuned list, its last ``depth``
        and ``bytes_held``; ``best_depth``; the curve ``by_depth`` as pairs of a fixed depth and the calls
        that it saves, one point where nothing changes until the next; the curve ``by_second`` as lists of a second, the depth in
        it, entries held at its end, calls, and calls saved. No curve has more than 200 points.
    """
    return [_of_row(row) for row in advice.rows[:most]]


def _of_row(row: Row) -> dict[str, Any]:
    saved = [] if row.depths is None else row.depths.pool_calls_saved()
    changes = [
        (depth, calls)
        for depth, calls in enumerate(saved)
        if depth in (0, len(saved) - 1) or calls != saved[depth - 1]
    ]
    # The first entries matter most.
    first, rest = changes[: _POINTS // 2], changes[_POINTS // 2 :]
    return {
        "name": name_of(row),
        "calls": row.calls,
        "pool_calls_saved": row.pool_calls_saved,
        "depth": row.depth,
        "bytes_held": row.bytes_held,
        "best_depth": row.best_depth,
        "by_depth": [list(each) for each in [*first, *_thinned(rest, _POINTS // 2)]],
        "by_second": [list(each) for each in _thinned(row.seconds or (), _POINTS)],
    }


def name_of(row: Row) -> str:
    """What a list is called: bytes, tag and call site, as far as they tell it from others."""
    parts = [f"{row.size} bytes"]
    if row.tag is not None:
        parts.append(str(row.tag))
    if row.pool_type & 1:
        parts.append("paged")
    if row.site:
        parts.append(row.site)
    return ", ".join(parts)


def _thinned(points: Sequence[Any], most: int) -> Sequence[Any]:
    """Points evenly taken from more, the first and the last among them."""
    if len(points) <= most:
        return points
    last = len(points) - 1
    return [points[at * last // (most - 1)] for at in range(most)]

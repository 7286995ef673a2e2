"""Draw two lookaside lists that share a trace, each a counter between two walls: two_lists.svg.

Run ``python docs/pictures/two_lists.py`` after a change; a test compares the file with what this draws, and what this counts with
the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

CALLS: Final = "AAaAAafAaAFFfFaFaFaFfAfAfFfAAaAfAaAaFfFf"
"""A allocates and F frees with the first list, a and f with the second."""
DEPTH: Final = 4
PICTURE: Final = Path(__file__).with_suffix(".svg")

_LEFT: Final = 92
_STEP: Final = 19
_LEVEL: Final = 24
_FLOORS: Final = {"AF": 226, "af": 396}
"""Where a list that holds nothing is drawn."""
_WIDTH: Final = _LEFT + _STEP * len(CALLS) + 70
_STYLE: Final = """
  svg { font: 13px system-ui, sans-serif; }
  .paper { fill: #fff; } .word { fill: #333; } .call { font-weight: 600; text-anchor: middle; }
  .wall { stroke: #555; stroke-width: 2; } .level { stroke: #ddd; }
  .first { stroke: #1f6fb2; fill: #1f6fb2; } .second { stroke: #b35c00; fill: #b35c00; }
  text.first, text.second { stroke: none; } polyline { stroke-width: 2.5; }
  polyline.first, polyline.second { fill: none; } .miss { fill: #d1242f; } .right { text-anchor: end; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #161b22; } .word { fill: #d0d7de; } .wall { stroke: #9aa4af; }
    .level { stroke: #30363d; } .miss { fill: #ff7b72; }
    .first { stroke: #6cb6ff; fill: #6cb6ff; } .second { stroke: #f0a35e; fill: #f0a35e; }
  }
"""


class Moved(NamedTuple):
    """What one call did to its list."""

    at: int
    """Its place in the trace."""
    call: str
    held: int
    """Entries that the list holds afterwards."""
    missed: bool


def moves(letters: str) -> Iterator[Moved]:
    """Count one list, as the proof does.

    Args:
        letters: what allocates with it, and what frees.

    Yields:
        Each of its calls. It missed exactly if the number held did not move.
    """
    allocate = letters[0]
    held = 0
    for at, call in enumerate(CALLS):
        if call in letters:
            then = max(held - 1, 0) if call == allocate else min(held + 1, DEPTH)
            yield Moved(at, call, then, then == held)
            held = then


def _panel(letters: str, color: str, name: str) -> Iterator[str]:
    """One list: its walls, what it holds after each call, and its misses."""
    floor, right = _FLOORS[letters], _LEFT + _STEP * len(CALLS)
    done = list(moves(letters))
    misses = sum(each.missed for each in done)
    yield (
        f'<text class="{color}" x="{_LEFT}" y="{floor - _LEVEL * DEPTH - 16}">{name}:'
        f" {len(done)} calls, {misses} misses</text>"
    )
    for held in range(DEPTH + 1):
        y = floor - _LEVEL * held
        kind = "wall" if held in (0, DEPTH) else "level"
        yield f'<line class="{kind}" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>'
        yield f'<text class="word right" x="{_LEFT - 10}" y="{y + 4}">{held}</text>'
    yield f'<text class="word" x="{right + 8}" y="{floor - _LEVEL * DEPTH + 4}">depth</text>'
    yield f'<text class="word" x="{right + 8}" y="{floor + 4}">empty</text>'
    yield f'<text class="word" x="16" y="{floor - _LEVEL * DEPTH // 2 + 4}">held</text>'
    points, before = [f"{_LEFT},{floor}"], floor
    for each in done:
        x, y = _LEFT + _STEP * each.at, floor - _LEVEL * each.held
        points += [f"{x},{before}", f"{x + _STEP},{y}"]
        before = y
    points.append(f"{right},{before}")
    yield f'<polyline class="{color}" points="{" ".join(points)}"/>'
    for each in done:
        if each.missed:
            middle, y = _LEFT + _STEP * (each.at + 0.5), floor - _LEVEL * each.held
            yield f'<circle class="miss" cx="{middle:g}" cy="{y}" r="5"/>'


def picture() -> str:
    """The picture, as the text of an SVG file."""
    height = 440
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img">',
        "<title>Two lists of one trace: each is a counter between two walls</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="8"/>',
        '<text class="word" x="16" y="40">the trace</text>',
    ]
    for at, call in enumerate(CALLS):
        color = "first" if call in "AF" else "second"
        x = _LEFT + _STEP * at + _STEP / 2
        lines.append(f'<text class="{color} call" x="{x:g}" y="40">{call.upper()}</text>')
    lines.append(
        f'<text class="word" x="{_LEFT}" y="64">A allocates, F frees; in order from left to'
        " right, each color the calls of one list</text>"
    )
    lines += _panel("AF", "first", "The first list")
    lines += _panel("af", "second", "The second list")
    lines.append(f'<circle class="miss" cx="{_LEFT + 5}" cy="422" r="5"/>')
    lines.append(
        f'<text class="word" x="{_LEFT + 16}" y="426">a miss: a step into a wall, which does not'
        " move the number held; calls of the other list do not move it either</text>"
    )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")

"""A section of the page: what lists for a trace's sizes would save, with the curves of each.

Drawn here, in the file itself, and not by the page's program: nothing of it moves. It takes plain
values, as `lookaside_sim.advise.curves` gives them.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from math import log2
from typing import Any, Final

__all__ = ["advice_section"]

_WIDTH: Final = 320
_HEIGHT: Final = 96
_LEFT: Final = 6
_TOP: Final = 8
_LEGEND: Final = (
    "The part of the calls that a list of each fixed depth saves, the best depth dashed, NT's"
    " tuning dotted."
)
_LEGEND_OF_SECONDS: Final = " Below: the tuned depth, and the entries held, second by second."


def advice_section(
    lists: Sequence[Mapping[str, Any]], heading: str = "Lists it could have"
) -> str:
    """Show what lists would save.

    Args:
        lists: what there is to draw of each, the best first; see `lookaside_sim.advise.curves`.
        heading: of the section.

    Returns:
        HTML for `render`; nothing where there are no lists.
    """
    if not lists:
        return ""
    rows = "".join(map(_row, lists))
    figures = "".join(map(_figure, lists))
    legend = _LEGEND
    if any(len(each["by_second"]) > 1 for each in lists):
        legend += _LEGEND_OF_SECONDS
    return (
        '<section class="panel advice" aria-label="Advice">'
        f"<h2>{html.escape(heading)}</h2>"
        '<div class="scroll" tabindex="0" role="region" aria-label="What each list saves">'
        "<table><thead><tr><th>List</th><th>Calls</th><th>Saved</th><th>Depth at the end</th>"
        "<th>Bytes held</th><th>Best fixed depth</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="faint">{legend}</p>'
        f'<div class="curves">{figures}</div></section>'
    )


def _row(one: Mapping[str, Any]) -> str:
    best = "" if one["best_depth"] is None else f"{one['best_depth']:,}"
    saved = f"{one['pool_calls_saved']:,} ({_share(one['pool_calls_saved'], one['calls'])})"
    cells = [f"{one['calls']:,}", saved, f"{one['depth']:,}", f"{one['bytes_held']:,}", best]
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr><th>{html.escape(one['name'])}</th>{numbers}</tr>"


def _figure(one: Mapping[str, Any]) -> str:
    name = html.escape(one["name"])
    by_depth: Sequence[tuple[int, int]] = one["by_depth"]
    by_second: Sequence[tuple[int, int, int, int, int]] = one["by_second"]
    drawn = ""
    if len(by_depth) > 1:
        drawn += _depths(one, by_depth)
    if len(by_second) > 1:
        drawn += _seconds(by_second)
    return f"<figure><figcaption>{name}</figcaption>{drawn}</figure>" if drawn else ""


def _depths(one: Mapping[str, Any], points: Sequence[tuple[int, int]]) -> str:
    """What each fixed depth saves: a staircase, the best depth and the tuned list marked."""
    deepest, calls = points[-1][0], max(one["calls"], 1)

    def along(depth: int) -> float:
        # The first entries matter most.
        return log2(1 + depth) / log2(1 + deepest)

    path = _path([(along(depth), saved / calls) for depth, saved in points], steps=True)
    best = one["best_depth"] or 0
    tuned = _y(one["pool_calls_saved"] / calls)
    says = (
        f"Calls saved under each fixed depth from 0 to {deepest}; at depth {best} nearly all"
        f" that can be. Tuned as NT does it: {_share(one['pool_calls_saved'], one['calls'])}."
    )
    return _svg(
        says,
        f'<path class="saved" d="{path}"/>'
        f'<path class="best" d="M{_x(along(best)):g} {_TOP}V{_TOP + _HEIGHT}"/>'
        f'<path class="tuned" d="M{_LEFT} {tuned:g}H{_LEFT + _WIDTH}"/>',
        "depth 0",
        f"{_share(points[-1][1], one['calls'])} saved",
        f"depth {deepest:,}",
    )


def _seconds(points: Sequence[tuple[int, int, int, int, int]]) -> str:
    """The tuning second by second: the depth, and the entries held below it."""
    first, last = points[0][0], points[-1][0]
    most = max(1, *(max(depth, held) for _, depth, held, _, _ in points))
    at = [(second - first) / (last - first) for second, *_ in points]
    depths = _path(
        [(x, depth / most) for x, (_, depth, _, _, _) in zip(at, points, strict=True)],
        steps=True,
    )
    held = _path([(x, kept / most) for x, (_, _, kept, _, _) in zip(at, points, strict=True)])
    area = f"{held}V{_TOP + _HEIGHT}H{_LEFT}Z"
    return _svg(
        f"The depth and the entries held, from second {first} to {last}; {most} at most.",
        f'<path class="held" d="{area}"/><path class="depth" d="{depths}"/>',
        f"{first} s",
        f"up to {most:,} entries",
        f"{last} s",
    )


def _svg(says: str, inside: str, left: str, middle: str, right: str) -> str:
    width, height = _WIDTH + 2 * _LEFT, _HEIGHT + _TOP + 18
    low = _TOP + _HEIGHT
    return (
        f'<svg class="curve" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{html.escape(says)}</title>"
        f'<path class="axis" d="M{_LEFT} {low}H{_LEFT + _WIDTH}"/>{inside}'
        f'<text x="{_LEFT}" y="{low + 13}">{html.escape(left)}</text>'
        f'<text x="{_LEFT + _WIDTH}" y="{low + 13}" text-anchor="end">{html.escape(right)}</text>'
        f'<text x="{_LEFT + _WIDTH // 2}" y="{low + 13}" text-anchor="middle">'
        f"{html.escape(middle)}</text></svg>"
    )


def _path(points: Sequence[tuple[float, float]], *, steps: bool = False) -> str:
    """A line through points of 0 to 1 in both directions; with ``steps`` a staircase."""
    (x, y), *others = points
    parts = [f"M{_x(x):g} {_y(y):g}"]
    for x, y in others:
        parts.append(f"H{_x(x):g}V{_y(y):g}" if steps else f"L{_x(x):g} {_y(y):g}")
    return "".join(parts)


def _x(part: float) -> float:
    return round(_LEFT + part * _WIDTH, 1)


def _y(part: float) -> float:
    return round(_TOP + (1 - part) * _HEIGHT, 1)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"

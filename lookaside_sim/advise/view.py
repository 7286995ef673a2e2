"""Advice as a table, and as values that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from lookaside_sim.advise.advice import SHARE, Advice, Row
from lookaside_sim.advise.bounds import Bounds
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.trace.text import pool_name

_SITE_WIDTH: Final = 120


def table(advice: Advice, most: int | None = 20) -> str:
    """Show advice to people.

    Args:
        advice: what to show.
        most: rows to show of either kind, the best first; None for all.

    Returns:
        Lines of text without a final newline.
    """
    rows, groups = advice.rows[:most], advice.groups[:most]
    saved = sum(row.pool_calls_saved for row in advice.rows)
    lines = [
        f"Trace          {_printable(advice.name)}: {_printable(advice.source) or 'no source given'}",
        f"Calls          {advice.calls:,} in {advice.seconds} s, of {len(advice.rows):,} kinds",
        f"A list each    would save {saved:,} pool calls ({_percent(saved, advice.calls)})",
        "",
    ]
    lines += _rows(rows, advice)
    if len(rows) < len(advice.rows):
        left = len(advice.rows) - len(rows)
        rest = saved - sum(row.pool_calls_saved for row in rows)
        lines.append(f"{left:,} more would save {rest:,} ({_percent(rest, advice.calls)})")
    if groups:
        lines += ["", "One list for sizes whose blocks are the same in the pool:", ""]
        lines += _rows(groups, advice)
    if any(row.best_depth is not None for row in rows):
        lines += [
            "",
            f"Best: the least fixed depth that saves {SHARE:.0%} of what any depth saves, and what it saves.",
        ]
    return "\n".join(lines)


def _rows(rows: Iterable[Row], advice: Advice) -> list[str]:
    shown = list(rows)
    has_sites = any(row.site is not None for row in shown)
    has_sizes = any(len(row.sizes) > 1 for row in shown)
    lines = [
        "    Size Tag  Type      Calls  Hit Rate     Saved  Of All  Depth   Peak B    Avg B"
        "   Best     Saved" + ("  Sizes" if has_sizes else "") + ("  Site" if has_sites else "")
    ]
    for row in shown:
        text = (
            f"{row.size:8} {_tag(row.tag)} {'Paged' if row.pool_type & 1 else 'Nonp ':5}"
            f"{row.calls:10}{row.hit_rate:10.1%}{row.pool_calls_saved:10}"
            f"{_percent(row.pool_calls_saved, advice.calls):>8}{row.depth:7}"
            f"{row.bytes_held:9}{row.average_bytes_held:9.0f}"
        )
        if row.depths is not None and row.best_depth is not None:
            saved = row.depths.pool_calls_saved()[row.best_depth]
            text += f"{row.best_depth:7}{saved:10}"
        if has_sizes:
            text += f"  {row.sizes[0]} to {row.sizes[-1]}"
        if has_sites:
            text += f"  {_printable(row.site or '')[:_SITE_WIDTH]}"
        lines.append(text.rstrip())
    return lines


def as_values(
    advice: Advice, most: int | None = None, *, curves: bool = False
) -> dict[str, Any]:
    """Turn advice into what JSON can hold.

    Args:
        advice: what to turn.
        most: rows of either kind, the best first; None for all.
        curves: whether each row tells what every fixed depth saves, and what its list did
            in each second, as far as that was counted.

    Returns:
        Numbers, texts, lists and dicts of them.
    """
    return {
        "trace": advice.name,
        "source": advice.source,
        "by": advice.by,
        "calls": advice.calls,
        "seconds": advice.seconds,
        "ended_early": None if advice.ended is None else str(advice.ended),
        "rows": [_values(row, curves) for row in advice.rows[:most]],
        "groups": [_values(row, curves) for row in advice.groups[:most]],
    }


def _values(row: Row, curves: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "pool_type": pool_name(row.pool_type),
        "size": row.size,
        "tag": None if row.tag is None else bytes(row.tag).decode("latin-1"),
        "site": row.site,
        "sizes": list(row.sizes),
        "total_allocates": row.total_allocates,
        "allocate_misses": row.allocate_misses,
        "total_frees": row.total_frees,
        "free_misses": row.free_misses,
        "depth": row.depth,
        "current_depth": row.current_depth,
        "pool_calls_saved": row.pool_calls_saved,
        "hit_rate": round(row.hit_rate, 6),
        "bytes_held": row.bytes_held,
        "average_bytes_held": round(row.average_bytes_held, 3),
    }
    if row.depths is not None:
        saved = row.depths.pool_calls_saved()
        values["best_depth"] = row.best_depth
        values["best_depth_saves"] = saved[row.best_depth or 0]
        if curves:
            values["saved_by_depth"] = saved
    if curves and row.seconds is not None:
        values["seconds"] = [each._asdict() for each in row.seconds]
    return values


def bounds_table(name: str, rows: Sequence[Bounds], most: int | None = 20) -> str:
    """Show to people what is known of lists where calls were only counted.

    Args:
        name: of what was read.
        rows: a list each, in order.
        most: rows to show; None for all.

    Returns:
        Lines of text without a final newline.
    """
    calls = sum(row.calls for row in rows)
    lines = [
        f"Counts         {_printable(name)}: of poolmon",
        f"Calls          {calls:,} between the first display and the last, of {len(rows):,} kinds",
        "",
        "Tag  Type      Calls  Per Block          Saved At Least         Saved At Most",
    ]
    for row in rows[:most]:
        lines.append(
            f"{_tag(row.tag)} {'Paged' if row.pool_type & 1 else 'Nonp ':5}"
            f"{row.calls:10}{row.size:11}"
            f"{row.at_least:15}{_percent(row.at_least, row.calls):>8}"
            f"{row.at_most:14}{_percent(row.at_most, row.calls):>8}"
        )
    if most is not None and len(rows) > most:
        lines.append(f"{len(rows) - most:,} more")
    lines += [
        "",
        "In the worst order of the calls, and in the best; for one list, if the blocks of a tag are",
        "all of one size.",
    ]
    return "\n".join(lines)


def bounds_as_values(row: Bounds) -> dict[str, Any]:
    """Turn what is known of one list into what JSON can hold.

    Args:
        row: what to turn.
    """
    return {
        "pool_type": pool_name(row.pool_type),
        "tag": bytes(row.tag).decode("latin-1"),
        "size": row.size,
        "total_allocates": row.total_allocates,
        "total_frees": row.total_frees,
        "pool_calls_saved_at_least": row.at_least,
        "pool_calls_saved_at_most": row.at_most,
    }


def _tag(tag: PoolTag | None) -> str:
    return "any " if tag is None else f"{tag!s:4}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def _printable(text: str) -> str:
    """The text in one line that any terminal shows."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)

"""``!poolused``, and PoolMon's table; import them from `lookaside_sim.windbg`.

Source:
    docs/sources.md, pool section 5, from public transcripts and Microsoft's pages of the commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.nt.arguments import instance, text, unsigned
from lookaside_sim.nt.tag_patterns import tag_matches
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.pool.accounting import PoolTagUsage

VERBOSE: Final = 1
BY_NONPAGED: Final = 2
BY_PAGED: Final = 4
"""Flags of ``!poolused``."""
SIDE_NAMES: Final = {False: "Nonp", True: "Paged"}
"""What PoolMon calls the two pools, by whether it is the paged one."""


# --- PoolMon -----------------------------------------------------------------------------


def poolmon_row(
    tag: str,
    *,
    paged: bool,
    allocs: int,
    frees: int,
    size: int,
    changes: tuple[int, int, int] = (0, 0, 0),
) -> str:
    """One row of PoolMon.

    Args:
        tag: four characters.
        paged: which of the tag's two rows.
        allocs: allocations so far.
        frees: frees so far.
        size: bytes in use.
        changes: of allocations, frees and bytes since the last refresh.
    """
    each = bytes_each(allocs, frees, size)
    return (
        f" {tag:<4} {SIDE_NAMES[paged]:<5}{allocs:10} ({changes[0]:4})"
        f"{frees:10} ({changes[1]:4})"
        f" {allocs - frees:8} {size:7} ({changes[2]:6}) {each:6}"
    )


def poolmon(kernel: Kernel, before: Mapping[PoolTag, PoolTagUsage] | None = None) -> str:
    """PoolMon's rows, by tag, nonpaged first; a tag used in both pools has two.

    Args:
        kernel: the machine.
        before: `PoolManager.tags` at the last refresh; None for no changes.

    Returns:
        The heading line and a blank one, then the rows.
    """
    instance("kernel", kernel, Kernel)
    lines = [
        " Tag  Type     Allocs            Frees            Diff   Bytes       Per Alloc",
        "",
    ]
    for tag, paged, (allocs, frees, size) in used_sides(kernel):
        was = (allocs, frees, size)
        if before is not None:
            was = _side(before.get(tag, PoolTagUsage()), paged=paged)
        changes = (allocs - was[0], frees - was[1], size - was[2])
        lines.append(
            poolmon_row(
                str(tag), paged=paged, allocs=allocs, frees=frees, size=size, changes=changes
            )
        )
    return "\n".join(lines)


def used_sides(kernel: Kernel) -> Iterator[tuple[PoolTag, bool, tuple[int, int, int]]]:
    """The sides of the tag table that were ever used, by tag, nonpaged first.

    Yields:
        The tag; whether the side is the paged one; allocations and frees so far, bytes in use.
    """
    for tag, usage in kernel.pool.rows().items():
        for paged in (False, True):
            side = _side(usage, paged=paged)
            if side[0] or side[1]:
                yield tag, paged, side


def bytes_each(allocs: int, frees: int, size: int) -> int:
    """Bytes of an allocation that was not freed, on average, rounded down."""
    return size // (allocs - frees) if allocs - frees else 0


def _side(usage: PoolTagUsage, *, paged: bool) -> tuple[int, int, int]:
    if paged:
        return usage.paged_allocs, usage.paged_frees, usage.paged_bytes
    return usage.nonpaged_allocs, usage.nonpaged_frees, usage.nonpaged_bytes


# --- !poolused ---------------------------------------------------------------------------


def poolused(
    kernel: Kernel,
    flags: int = 0,
    tag: str = "*",
    *,
    descriptions: Mapping[str, str] | None = None,
) -> str:
    """Print pool use by tag, as ``!poolused FLAGS TAG`` does.

    Args:
        kernel: the machine.
        flags: 0, or 1 verbose, 2 sorted by nonpaged use, 4 sorted by paged use.
        tag: tags to show, ``*`` and ``?`` as wildcards.
        descriptions: what pooltag.txt says of each tag.

    Raises:
        ValueError: flags 2 and 4 together.
    """
    instance("kernel", kernel, Kernel)
    flags, tag = unsigned("flags", flags, 64), text("tag", tag)
    rows = {
        str(each): usage
        for each, usage in kernel.pool.rows().items()
        if tag_matches(str(each), tag)
    }
    return poolused_text(rows, flags, descriptions=descriptions)


def poolused_text(
    rows: Mapping[str, PoolTagUsage],
    flags: int = 0,
    *,
    descriptions: Mapping[str, str] | None = None,
) -> str:
    """Lay out what `poolused` shows, from rows by tag."""
    if flags & BY_NONPAGED and flags & BY_PAGED:
        raise ValueError(f"flags {flags}: 2 and 4 exclude each other")
    names = descriptions or {}
    by, ordered = "Tag", sorted(rows.items())
    if flags & (BY_NONPAGED | BY_PAGED):
        paged = bool(flags & BY_PAGED)
        by = "Paged Pool Consumed" if paged else "NonPaged Pool Consumed"
        ordered.sort(key=lambda row: -_side(row[1], paged=paged)[2])

    def described(tag: str) -> str:
        return names.get(tag, f"UNKNOWN pooltag '{tag}', please update pooltag.txt")

    total = [0] * 8
    shown: list[tuple[str, list[int]]] = []
    for tag, usage in ordered:
        numbers = []
        for paged in (False, True):
            allocs, frees, size = _side(usage, paged=paged)
            numbers += [allocs, frees, allocs - frees, size]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        shown.append((tag, numbers))
    if flags & VERBOSE:
        lines = [
            f" Sorting by {by}",
            "",
            " " * 28 + "NonPaged" + " " * 41 + "Paged",
            " Tag       Allocs       Frees      Diff         Used"
            "       Allocs       Frees      Diff         Used",
            "",
        ]
        lines += [f" {tag:<4} {_verbose(of)}\t{described(tag)}" for tag, of in shown]
        return "\n".join([*lines, "", f" TOTAL{_verbose(total)}"])
    if flags & (BY_NONPAGED | BY_PAGED):
        lines = [
            f" Sorting by {by}",
            "",
            "               NonPaged                  Paged",
            " Tag     Allocs         Used     Allocs         Used",
            "",
        ]
        lines += [
            f" {tag:<4}{of[2]:10} {of[3]:12} {of[6]:10} {of[7]:12}\t{described(tag)}"
            for tag, of in shown
        ]
        last = f"TOTAL{total[2]:10} {total[3]:12} {total[6]:10} {total[7]:12}"
        return "\n".join([*lines, "", last])
    lines = [
        f"   Sorting by  {by}",
        "",
        "  Pool Used:",
        "            NonPaged            Paged",
        " Tag    Allocs     Used    Allocs     Used",
    ]
    lines += [
        f" {tag:<4} {of[2]:8} {of[3]:8}  {of[6]:8} {of[7]:8}{described(tag)}"
        for tag, of in shown
    ]
    last = f" TOTAL    {total[2]:8} {total[3]:8}  {total[6]:8} {total[7]:8}"
    return "\n".join([*lines, last])


def _verbose(of: list[int]) -> str:
    return (
        f"{of[0]:11} {of[1]:11} {of[2]:9} {of[3]:12}"
        f"  {of[4]:11} {of[5]:11} {of[6]:9} {of[7]:12}"
    )

"""How the depth of lists moved, as charts of plain characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.windbg.lookaside import printable

_ROWS: Final = 6
_COLUMNS: Final = 60
_WIDEST: Final = 3
"""Columns that a second has at most."""


class Depths:
    """The field Depth of every list, second by second, from when this is made.

    Args:
        kernel: the machine; it is looked at once a second.

    Attributes:
        by_list: the depths of each list, by its address, from the second it was first seen in.
        began: in which second that was, by address.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.by_list: dict[int, list[int]] = {}
        self.began: dict[int, int] = {}
        kernel.machine.each_second.append(self._look)

    def _look(self) -> None:
        second = self._kernel.seconds
        # Whoever is seen for the first time began at the minimum, before this second's scan.
        for each in self._kernel.registry.all():
            seen = each.peek() if isinstance(each, LookasideList) else None
            if seen is None:
                continue
            depths = self.by_list.setdefault(
                each.address, [self._kernel.minimum_lookaside_depth]
            )
            began = self.began.setdefault(each.address, second - 1)
            # Seconds in which nothing moved may have passed at once.
            missing = second - began - len(depths)
            depths.extend([depths[-1]] * max(missing, 0))
            depths.append(seen.depth)

    def charts(self, lists: Iterable[LookasideList]) -> Iterable[str]:
        """A chart for each list whose depth moved."""
        for each in lists:
            depths = self.by_list.get(each.address, [])
            if len(set(depths)) > 1:
                yield chart(each.name, self.began[each.address], depths)


def chart(name: str, began: int, depths: Sequence[int]) -> str:
    """Draw how a depth moved.

    Args:
        name: of the list.
        began: the second of the first depth.
        depths: a depth for each second.

    Returns:
        Lines of text without a final newline. A second has some columns; where there are more
        seconds than columns, a column shows the largest depth of its seconds.
    """
    seconds = len(depths)
    if seconds > _COLUMNS:
        ends = [at * seconds // _COLUMNS for at in range(_COLUMNS + 1)]
        shown = [max(depths[start:end]) for start, end in pairwise(ends)]
    else:
        wide = min(_WIDEST, _COLUMNS // seconds)
        shown = [depth for depth in depths for _ in range(wide)]
    columns = len(shown)
    low, high = min(shown), max(shown)
    label = printable(name) or "list"
    lines = [
        f"Depth of {label}: {depths[0]} at {began} s, {depths[-1]} at {began + seconds - 1} s"
    ]
    width = len(str(high))
    rows = min(_ROWS, high - low + 1)
    for row in range(rows, 0, -1):
        # The lowest row is the lowest depth, the highest row the highest one.
        value = low + (high - low) * (row - 1) / max(rows - 1, 1)
        bars = "".join("#" if depth >= value else " " for depth in shown).rstrip()
        lines.append(f"{round(value):{width}} |{bars}")
    axis = f"{began} s"
    end = f"{began + seconds - 1} s"
    lines.append(f"{'':{width}} +{'-' * columns}")
    lines.append(f"{'':{width}}  {axis}{end:>{max(columns - len(axis), len(end) + 1)}}")
    return "\n".join(lines)

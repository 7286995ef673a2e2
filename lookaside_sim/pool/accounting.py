"""The pool tag table: what each tag has allocated, freed and holds.

One row a tag, with a nonpaged and a paged side. The pool's hot paths add to one number each:
a side counts by block size, in units, the allocations from the front (``side[units]``) and the
frees from the back (``side[-units]``), and the totals are computed when somebody asks. Big
allocations, which have no size in units, are counted apart.

Source:
    docs/sources.md, pool section 5.1 (POOL_TRACKER_TABLE; charged bytes are those of the block,
    header included).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from lookaside_sim.nt.types import ULONG_MASK, PoolTag

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE_SIZE: Final = 2048
"""Rows of the table; tags that find no row share the overflow row."""
OVERFLOW_TAG: Final = PoolTag(b"Ovfl")
"""Name under which the overflow row is shown; how NT's tools name it is not documented."""

ALLOCS: Final = 0
FREES: Final = 1
BYTES: Final = 2
"""Positions in the totals of big allocations, and in the totals of a side."""

Side = list[int]


@attrs.frozen
class PoolTagUsage:
    """A snapshot of one row of the tag table.

    Attributes:
        nonpaged_allocs: allocations from nonpaged pool, executable or not, as a ULONG.
        nonpaged_frees: frees to nonpaged pool, as a ULONG.
        nonpaged_bytes: bytes charged now, headers and rounding included.
        paged_allocs: likewise for paged pool.
        paged_frees: likewise for paged pool.
        paged_bytes: likewise for paged pool.
    """

    nonpaged_allocs: int = 0
    nonpaged_frees: int = 0
    nonpaged_bytes: int = 0
    paged_allocs: int = 0
    paged_frees: int = 0
    paged_bytes: int = 0

    @property
    def outstanding(self) -> int:
        """Blocks of both kinds allocated and not yet freed."""
        return (
            self.nonpaged_allocs - self.nonpaged_frees + self.paged_allocs - self.paged_frees
        ) & ULONG_MASK


class TagTable:
    """All rows, by tag without PROTECTED_POOL.

    Args:
        sizes: number of block sizes, in units, 0 included.
        unit: bytes of a unit.

    Attributes:
        nonpaged: the nonpaged sides, by tag.
        paged: the paged sides, by tag.
    """

    __slots__ = ("_big", "_rows", "_sizes", "_unit", "nonpaged", "paged")

    def __init__(self, sizes: int, unit: int) -> None:
        self._sizes = sizes
        self._unit = unit
        self.nonpaged: dict[int, Side] = {}
        self.paged: dict[int, Side] = {}
        self._rows: dict[int, None] = {}
        # By side and tag: allocs, frees, bytes.
        self._big: dict[tuple[bool, int], list[int]] = {}

    def open(self, sides: dict[int, Side], tag: int) -> Side:
        """Find or make the side of a tag in one of the two dicts; overflow when full."""
        if tag not in self._rows:
            if len(self._rows) >= TABLE_SIZE:
                tag = int(OVERFLOW_TAG)
            self._rows[tag] = None
        side = sides.get(tag)
        if side is None:
            side = sides[tag] = [0] * (2 * self._sizes)
        return side

    def known(self) -> list[PoolTag]:
        """Every tag that has a row, in the order in which they came."""
        return [PoolTag(tag) for tag in self._rows]

    def find(self, sides: dict[int, Side], tag: int) -> Side:
        """The side that a free is counted on; the overflow row for a tag without one."""
        side = sides.get(tag)
        if side is None:
            self._rows[int(OVERFLOW_TAG)] = None
            side = sides.setdefault(int(OVERFLOW_TAG), [0] * (2 * self._sizes))
        return side

    def row_of(self, tag: int, *, paged: bool) -> int:
        """The tag of the row that blocks of a tag are charged to: its own, or the overflow."""
        sides = self.paged if paged else self.nonpaged
        return tag if tag in sides else int(OVERFLOW_TAG)

    def count_big(self, sides: dict[int, Side], tag: int, what: int, size: int) -> None:
        """Count a big allocation or free.

        Args:
            sides: which of the two dicts.
            tag: its tag.
            what: ALLOCS or FREES.
            size: bytes charged, negative for a free.
        """
        side = self.open(sides, tag) if what == ALLOCS else self.find(sides, tag)
        if side is not sides.get(tag):
            tag = int(OVERFLOW_TAG)
        totals = self._big.setdefault((sides is self.paged, tag), [0, 0, 0])
        totals[what] += 1
        totals[BYTES] += size

    def _totals(self, sides: dict[int, Side], tag: int) -> tuple[int, int, int]:
        """Allocs, frees and bytes of one side."""
        allocs, frees, size = self._big.get((sides is self.paged, tag), (0, 0, 0))
        side = sides.get(tag)
        if side is not None:
            allocated, freed = side[: self._sizes], side[: self._sizes - 1 : -1]
            allocs += sum(allocated)
            frees += sum(freed)
            # freed[0] is side[-1], the frees of one unit.
            size += self._unit * sum(
                units * (allocated[units] - freed[units - 1]) for units in range(1, self._sizes)
            )
        return allocs & ULONG_MASK, frees & ULONG_MASK, size

    def usage(self, tag: PoolTag) -> PoolTagUsage:
        """Snapshot of one tag's row; all zero for a tag never seen."""
        return PoolTagUsage(
            *self._totals(self.nonpaged, int(tag)), *self._totals(self.paged, int(tag))
        )

    def snapshot(self) -> Mapping[PoolTag, PoolTagUsage]:
        """All rows that ever counted something, ordered by their text."""
        tags = sorted(map(PoolTag, self.nonpaged.keys() | self.paged.keys()), key=str)
        rows = {tag: self.usage(tag) for tag in tags}
        unused = PoolTagUsage()
        return MappingProxyType({tag: row for tag, row in rows.items() if row != unused})

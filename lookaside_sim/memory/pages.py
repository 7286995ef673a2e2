"""What one page is to somebody who keeps page tables: the answers of `Memory.translate`."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from lookaside_sim.memory.arena import Arena
from lookaside_sim.memory.regions import Region
from lookaside_sim.memory.touch import Reason
from lookaside_sim.memory.zeros import Buffer
from lookaside_sim.nt.layouts import PAGE_SHIFT


@attrs.frozen
class ArenaPage:
    """A page of pool memory whose bytes may be read and written where they lie.

    Attributes:
        arena: the range it belongs to. Its buffer is replaced when it grows, which is told:
            see `Memory.listen`.
        page: its number in the arena.
        writable: whether it may be written.
        executable: whether code in it may run.
    """

    arena: Arena
    page: int
    writable: bool
    executable: bool

    @property
    def data(self) -> Buffer:
        """The buffer that holds it now."""
        return self.arena.data

    @property
    def offset(self) -> int:
        """Where in the buffer it begins."""
        return self.page << PAGE_SHIFT


@attrs.frozen
class RegionPage:
    """A whole page of one region.

    Attributes:
        region: the region.
        offset: where in its buffer the page begins.
        writable: whether it may be written.
        executable: whether code in it may run.
    """

    region: Region
    offset: int
    writable: bool
    executable: bool

    @property
    def data(self) -> Buffer:
        """The buffer that holds it, the same as long as the region lives."""
        return self.region.data


@attrs.frozen
class ServedPage:
    """A page with something in it that only `Memory.read` and `Memory.write` may touch.

    Structures, regions that share a page, pages with a watcher, and every page of an arena
    as long as words of it may be in the link cache. Some of its addresses may still fault.

    Attributes:
        writable: whether any of it may be written.
        executable: whether code in any of it may run.
    """

    writable: bool
    executable: bool


@attrs.frozen
class NoPage:
    """A page that cannot be touched so.

    Attributes:
        reason: why.
    """

    reason: Reason


Translation: TypeAlias = ArenaPage | RegionPage | ServedPage | NoPage
"""What a page is."""

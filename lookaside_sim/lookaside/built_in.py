"""A lookaside list of NT's own: GENERAL_LOOKASIDE_POOL in a processor's control block.

The same structure as a driver's list, used in two other ways: the small-pool lists count
*hits* where a driver's list counts misses, and no list here allocates or frees by itself: the
routine that tried it goes on elsewhere.

Source:
    docs/sources.md, lists sections 1 and 7, docs/sources.md, pool section 4.
"""

from __future__ import annotations

from lookaside_sim.lookaside.fields import PlainFields
from lookaside_sim.lookaside.tuning import MINIMUM_DEPTH, next_depth
from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.nt.types import (
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    ULONG_MASK,
    PoolTag,
    PoolType,
)


class BuiltInList(PlainFields):
    """One list. The links between the entries are its user's business.

    Args:
        arch: whose layout it has.
        address: where the structure lies.
        pool_type: field Type.
        tag: field Tag.
        size: field Size, in bytes.
        counts_hits: whether the two miss fields count hits, as in the small-pool lists.
    """

    __slots__ = ("address", "counts_hits")

    def __init__(
        self,
        arch: Architecture,
        address: int,
        pool_type: PoolType,
        tag: PoolTag,
        size: int,
        *,
        counts_hits: bool,
    ) -> None:
        self.address = address
        self.counts_hits = counts_hits
        super().__init__(arch)
        self._type = int(pool_type)
        self._tag = int(tag)
        self._size = size
        self._depth = MINIMUM_DEPTH
        self._maximum_depth = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE

    def load_image(self, image: bytes) -> None:
        """Take the fields over from the structure's bytes."""
        self.set_fields(image)

    @property
    def is_used(self) -> bool:
        """Whether anything was ever asked of it."""
        return bool(self._total_allocates or self._total_frees)

    @property
    def allocate_misses(self) -> int:
        """Allocations that found it empty, as a ULONG, whichever way it counts."""
        counted = self._allocate_misses
        return (self._total_allocates - counted if self.counts_hits else counted) & ULONG_MASK

    @property
    def free_misses(self) -> int:
        """Frees that found it full, as a ULONG, whichever way it counts."""
        counted = self._free_misses
        return (self._total_frees - counted if self.counts_hits else counted) & ULONG_MASK

    def try_allocate(self) -> int:
        """Count an allocation.

        Returns:
            The newest entry, which `took` must take off; 0 when the list is empty.
        """
        self._allocates_base += 1
        entry = self._first
        if bool(entry) is self.counts_hits:
            self._allocate_misses += 1
        return entry

    def took(self, link: int) -> None:
        """Take the newest entry off.

        Args:
            link: the pointer that lies in it.
        """
        self._first = link
        self._count_pop()

    def try_free(self) -> bool:
        """Count a free.

        Returns:
            Whether there is room; the entry is then to be linked and given to `put`.
        """
        self._frees_base += 1
        room = self._held < self._depth
        if room is self.counts_hits:
            self._free_misses += 1
        return room

    def put(self, entry: int) -> None:
        """Put an entry, which already holds the link to `first`, in front."""
        self._first = entry
        self._count_push()

    def resize(self, size: int) -> None:
        """Have entries of another size from now on; none may be on the list."""
        self._size = size

    def adjust_depth(self, period: int) -> bool:
        """One scan: sample the counters, set the depth.

        Args:
            period: seconds between two scans of this list.

        Returns:
            Whether anything changed.
        """
        allocates = self._total_allocates - self._last_total_allocates
        counted = self._allocate_misses - self._last_allocate_misses
        misses = allocates - counted if self.counts_hits else counted
        depth = self._depth
        self._last_total_allocates = self._total_allocates
        self._last_allocate_misses = self._allocate_misses
        self._depth = next_depth(
            self._depth,
            self._maximum_depth,
            allocates & ULONG_MASK,
            misses & ULONG_MASK,
            period,
        )
        return bool(allocates or counted) or self._depth != depth

"""A lookaside list of the system's own: GENERAL_LOOKASIDE_POOL in a processor's control block.

The same structure as a driver's list, used in two other ways: the small-pool lists count
*hits* where a driver's list counts misses, and no list here allocates or frees by itself: the
routine that tried it goes on elsewhere.

Source:
    docs/sources.md, lists sections 1 and 7, docs/sources.md, pool section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from lookaside_sim.lookaside.tuning import MINIMUM_DEPTH, next_depth
from lookaside_sim.nt.types import (
    EX_MAXIMUM_LOOKASIDE_DEPTH_BASE,
    ULONG_MASK,
    USHORT_MASK,
    PoolTag,
    PoolType,
)

if TYPE_CHECKING:
    from lookaside_sim.nt.layouts import Architecture

_SEQUENCE_MASK: Final = {8: (1 << 48) - 1, 4: (1 << 16) - 1}


@attrs.define(eq=False)
class SystemList:
    """One list. The links between the entries are its user's business.

    Attributes:
        address: where the structure lies.
        pool_type: field Type.
        tag: field Tag.
        size: field Size, in bytes.
        counts_hits: whether the two miss fields count hits, as in the small-pool lists.
        depth: field Depth.
        maximum_depth: field MaximumDepth.
        total_allocates: field TotalAllocates; counters grow and are wrapped where shown.
        allocate_counted: field AllocateMisses, or AllocateHits.
        total_frees: field TotalFrees.
        free_counted: field FreeMisses, or FreeHits.
        first: address of the newest free entry, 0 when there is none.
        held: free entries.
        pushes: the SLIST's sequence.
    """

    arch: Architecture
    address: int
    pool_type: PoolType
    tag: PoolTag
    size: int
    counts_hits: bool
    depth: int = attrs.field(default=MINIMUM_DEPTH, on_setattr=attrs.setters.NO_OP)
    maximum_depth: int = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE
    total_allocates: int = 0
    allocate_counted: int = 0
    total_frees: int = 0
    free_counted: int = 0
    first: int = 0
    held: int = 0
    pushes: int = 0
    _last_total: int = 0
    _last_counted: int = 0

    @property
    def allocate_misses(self) -> int:
        """Allocations that found it empty, as a ULONG, whichever way it counts."""
        if self.counts_hits:
            return (self.total_allocates - self.allocate_counted) & ULONG_MASK
        return self.allocate_counted & ULONG_MASK

    @property
    def free_misses(self) -> int:
        """Frees that found it full, as a ULONG, whichever way it counts."""
        if self.counts_hits:
            return (self.total_frees - self.free_counted) & ULONG_MASK
        return self.free_counted & ULONG_MASK

    def try_allocate(self) -> int:
        """Count an allocation.

        Returns:
            The newest entry, which `took` must take off; 0 when the list is empty.
        """
        self.total_allocates += 1
        entry = self.first
        self.allocate_counted += bool(entry) is self.counts_hits
        return entry

    def took(self, link: int) -> None:
        """Take the newest entry off.

        Args:
            link: the pointer that lies in it.
        """
        self.first = link
        self.held = self.held - 1 & USHORT_MASK

    def try_free(self) -> bool:
        """Count a free.

        Returns:
            Whether there is room; the entry is then to be linked and given to `put`.
        """
        self.total_frees += 1
        room = self.held < self.depth
        self.free_counted += room is self.counts_hits
        return room

    def put(self, entry: int) -> None:
        """Put an entry, which already holds the link to `first`, in front."""
        self.first = entry
        self.held += 1
        self.pushes += 1

    def adjust_depth(self, period: int) -> None:
        """One scan: sample the counters, set the depth.

        Args:
            period: seconds between two scans of this list.
        """
        allocates = self.total_allocates - self._last_total
        counted = self.allocate_counted - self._last_counted
        misses = allocates - counted if self.counts_hits else counted
        self._last_total = self.total_allocates
        self._last_counted = self.allocate_counted
        self.depth = next_depth(
            self.depth,
            self.maximum_depth,
            allocates & ULONG_MASK,
            misses & ULONG_MASK,
            period,
        )

    # --- the structure in memory ---------------------------------------------------------

    @property
    def image_size(self) -> int:
        """Bytes of the structure."""
        return self.arch.lookaside_size

    def store_image(self) -> bytes:
        """Render the fields as the structure's bytes."""
        arch = self.arch
        sequence = self.pushes & _SEQUENCE_MASK[arch.pointer_size]
        if arch.pointer_size == 8:
            head = (self.held | sequence << 16).to_bytes(8, "little")
            head += self.first.to_bytes(8, "little")
        else:
            head = (self.first | self.held << 32 | sequence << 48).to_bytes(8, "little")
        counters = (
            self.total_allocates,
            self.allocate_counted,
            self.total_frees,
            self.free_counted,
        )
        return head + arch.lookaside_list.pack(
            self.depth,
            self.maximum_depth,
            *(counter & ULONG_MASK for counter in counters),
            int(self.pool_type),
            int(self.tag),
            self.size,
            0,
            0,
            0,
            0,
            self._last_total & ULONG_MASK,
            self._last_counted & ULONG_MASK,
            0,
            0,
        )

    def load_image(self, image: bytes) -> None:
        """Take the fields over from the structure's bytes."""
        arch = self.arch
        fields = arch.lookaside_list.unpack_from(image, arch.slist_header_size)
        (
            self.depth,
            self.maximum_depth,
            self.total_allocates,
            self.allocate_counted,
            self.total_frees,
            self.free_counted,
            pool_type,
            tag,
            self.size,
        ) = fields[:9]
        self.pool_type, self.tag = PoolType(pool_type), PoolTag(tag)
        self._last_total, self._last_counted = fields[13:15]
        low = int.from_bytes(image[:8], "little")
        if arch.pointer_size == 8:
            self.held, self.pushes = low & USHORT_MASK, low >> 16
            self.first = int.from_bytes(image[8:16], "little")
        else:
            self.first, self.held = low & ULONG_MASK, low >> 32 & USHORT_MASK
            self.pushes = low >> 48

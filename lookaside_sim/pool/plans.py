"""What every request of one pool type, size and tag needs, worked out once.

Requests repeat. So the way from a pool type to a pool, the size of the block and the header to
write are looked up, not computed, and the pool's hot path begins with a `PoolPlan`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from lookaside_sim.memory.arena import mark_of
from lookaside_sim.memory.slots import UNKNOWN
from lookaside_sim.nt.layouts import PoolHeaderLayout
from lookaside_sim.nt.types import PROTECTED_POOL, ULONG_MASK, PoolTag
from lookaside_sim.pool.accounting import Side, TagTable
from lookaside_sim.pool.descriptor import PoolDescriptor

PAGED_BIT: Final = 0x1
MUST_SUCCEED_BIT: Final = 0x2
RAISE_BIT: Final = 0x10
NX_BIT: Final = 0x200
ZERO_BIT: Final = 0x400

POOL_TYPE_BITS: Final = 0x7FF
"""Type and modifier bits that a pool routine takes."""
HEADER_TYPE_BITS: Final = 0x65
"""Bits of the type that a block's header keeps: paged, cache aligned, session, 0x40."""
IN_USE: Final = 0x2
"""Bit of the type byte in the header of an allocated block."""

QUOTA_BIT: Final = 0x8
"""Bit of the pool type, and of the type byte in a header: charged to a process."""

BIG_TAG: Final = PoolTag(b"BIG ")
REFUSED_TAGS: Final = frozenset({0, int(BIG_TAG)})
TAG_MASK: Final = ~PROTECTED_POOL & ULONG_MASK
"""Tags are accounted without PROTECTED_POOL."""
NEVER: Final = -1
"""A highest IRQL that no machine runs at: every such request takes the refusing path."""
MOST_PLANS: Final = 4096
"""Plans that are kept; a program with more kinds of requests starts over."""


class Request(NamedTuple):
    """What was asked for: all that a layer over the pool needs to know of a plan.

    Attributes:
        pool_type: pool and modifier bits.
        size: bytes.
        tag: the pool tag.
        special: whether special pool is asked for, whoever asks.
        at_start: which end of the block special pool guards: True its start, False its end,
            None what the settings say.
    """

    pool_type: int
    size: int
    tag: int
    special: bool = False
    at_start: bool | None = None


class PoolPlan:
    """What every request of one kind needs.

    Args:
        pool: which pool serves it.
        request: what was asked for.
        max_irql: the highest IRQL at which a block with a header can serve it; NEVER for none.
        units: of its block.
        sizes: BlockSize and PoolType in place for the header.
        unused: bytes at the block's end not asked for.
        side: of the tag's row.

    Attributes:
        pool: as given.
        request: as given.
        max_irql: as given.
        units: as given.
        sizes: as given.
        unused: as given.
        side: as given.
        tag: of the request.
        quick_irql: the highest IRQL at which the hot paths can serve it: NEVER where it has to
            be zeroed.
        free_irql: likewise for its free: NEVER where the tag has to be checked.
        free_index: where in the side a free is counted.
        head: of the free list with blocks of its very size.
        unzeroed: where it has to be zeroed: the same without that. Else the plan itself.
        parts: pool, quick_irql, units, sizes, the block's mark, tag and side, for a path that
            takes them apart in one go.
    """

    __slots__ = (
        "free_index",
        "free_irql",
        "head",
        "max_irql",
        "parts",
        "pool",
        "quick_irql",
        "request",
        "side",
        "sizes",
        "tag",
        "units",
        "unused",
        "unzeroed",
    )

    def __init__(
        self,
        pool: PoolDescriptor,
        request: Request,
        max_irql: int,
        units: int,
        sizes: int,
        unused: int,
        side: Side,
        *,
        is_zeroed: bool = False,
    ) -> None:
        self.pool = pool
        self.request = request
        self.max_irql = max_irql
        self.units = units
        self.sizes = sizes
        self.unused = unused
        self.tag = request.tag
        self.side = side
        self.head = pool.head(units) if units else UNKNOWN
        self.free_index = len(side) - units
        self.free_irql = NEVER if self.tag & PROTECTED_POOL else max_irql
        mark = mark_of(unused)
        self.quick_irql = NEVER if is_zeroed else max_irql
        self.parts: PlanParts = (pool, self.quick_irql, units, sizes, mark, self.tag, side)
        self.unzeroed = self
        if is_zeroed:
            self.unzeroed = PoolPlan(pool, request, max_irql, units, sizes, unused, side)

    def with_request(self, request: Request) -> PoolPlan:
        """The same plan for a request that asks for more."""
        return PoolPlan(
            self.pool,
            request,
            self.max_irql,
            self.units,
            self.sizes,
            self.unused,
            self.side,
            is_zeroed=self.unzeroed is not self,
        )


def request_of(plan: PoolPlan) -> Request:
    """The request that a plan was worked out for."""
    return plan.request


def with_request(plan: PoolPlan, request: Request) -> PoolPlan:
    """The same plan for a request that asks for more."""
    return plan.with_request(request)


PlanParts: TypeAlias = tuple[PoolDescriptor, int, int, int, int, int, Side]


def served(pool_type: int) -> bool:
    """Whether a pool type can be asked for at all (also where asking stops the machine)."""
    return not pool_type & ~POOL_TYPE_BITS and pool_type & 3 != 3


class Plans:
    """The plans of one kernel's pools.

    Args:
        layout: of a header.
        tags: the tag table.
        nonpaged: the pool.
        nonpaged_nx: the pool.
        paged: the pool.
    """

    __slots__ = ("_layout", "_nonpaged", "_nonpaged_nx", "_paged", "_plans", "_tags")

    def __init__(
        self,
        layout: PoolHeaderLayout,
        tags: TagTable,
        nonpaged: PoolDescriptor,
        nonpaged_nx: PoolDescriptor,
        paged: PoolDescriptor,
    ) -> None:
        self._layout = layout
        self._tags = tags
        self._nonpaged = nonpaged
        self._nonpaged_nx = nonpaged_nx
        self._paged = paged
        self._plans: dict[tuple[int, int, int], PoolPlan] = {}

    def plan(self, pool_type: int, size: int, tag: int) -> PoolPlan:
        """Work out what every request of a type, size and tag needs.

        Raises:
            ValueError: a type or size that no pool could have.
        """
        plan = self._plans.get((pool_type, size, tag))
        if plan is not None:
            return plan
        if size < 0:
            raise ValueError(f"size {size}: give a number of bytes, 0 or more")
        pool, max_irql = self.pool_of(pool_type)
        layout = self._layout
        tag = int(tag)  # whoever asks first may have a PoolTag; the plan is for all
        request = Request(pool_type, size, tag)
        if size > layout.largest_request or pool_type & MUST_SUCCEED_BIT or tag in REFUSED_TAGS:
            # Not for the hot path; the rest of the plan is not looked at.
            return PoolPlan(pool, request, NEVER, 0, 0, 0, [])
        # Free builds serve a zero-byte request with a minimum block.
        units = (max(size, 1) + layout.size + layout.unit - 1) >> layout.unit_shift
        plan = PoolPlan(
            pool,
            request,
            max_irql,
            units,
            units << 16 | (pool_type & HEADER_TYPE_BITS | IN_USE) << layout.type_shift,
            (units << layout.unit_shift) - layout.size - max(size, 1),
            self._tags.open(pool.sides, tag & TAG_MASK),
            is_zeroed=bool(pool_type & ZERO_BIT),
        )
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        self._plans[pool_type, size, tag] = plan
        return plan

    def pool_of(self, pool_type: int) -> tuple[PoolDescriptor, int]:
        """The pool of a type and the highest IRQL at which it may be used.

        Choice: session types, of which a machine without sessions has no pool of its own,
        share the nonpaged and paged pool; their header keeps the session bit. The cache
        aligned types get the alignment of any other block. Before Windows 8 nobody looks at the
        bit of NonPagedPoolNx.
        """
        if not served(pool_type):
            raise ValueError(
                f"pool type {pool_type:#x}: give a PoolType with its modifier bits (0x7ff),"
                " not 3 or 7"
            )
        if pool_type & PAGED_BIT:
            return self._paged, 1
        return self._nonpaged_nx if pool_type & NX_BIT else self._nonpaged, 2

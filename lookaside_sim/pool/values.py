"""Values of the pool: a live block, how many pages a pool uses, how many it may use."""

from __future__ import annotations

from typing import Protocol

import attrs

from lookaside_sim.nt.types import PoolTag, PoolType


@attrs.frozen
class PoolAllocation:
    """A live block.

    Attributes:
        address: of its body, as the allocating routine returned it.
        size: bytes asked for.
        tag: its tag, PROTECTED_POOL included.
        pool_type: the pool it is in, with the type bits its header keeps.
        block_size: bytes it occupies: header and rounding included, or whole pages.
    """

    address: int
    size: int
    tag: PoolTag
    pool_type: PoolType
    block_size: int


@attrs.frozen
class PoolStatistics:
    """What one pool uses.

    Attributes:
        pages: pages it has taken from the system.
        peak_pages: the most it ever had.
        limit_pages: the most it may have.
    """

    pages: int
    peak_pages: int
    limit_pages: int


@attrs.frozen
class PoolLimits:
    """How much each pool may have, in bytes.

    Attributes:
        nonpaged: limit of NonPagedPool.
        nonpaged_nx: limit of NonPagedPoolNx.
        paged: limit of PagedPool.
    """

    nonpaged: int
    nonpaged_nx: int
    paged: int


class PoolRange(Protocol):
    """One of the pools: a range of addresses."""

    @property
    def name(self) -> str:
        """As tools print it."""

    @property
    def paged(self) -> bool:
        """Whether its blocks may be paged out."""

    @property
    def base(self) -> int:
        """Its first address."""

    @property
    def end(self) -> int:
        """The first address behind what it has used so far."""

    @property
    def bytes_in_use(self) -> int:
        """Bytes of the pages it has taken."""

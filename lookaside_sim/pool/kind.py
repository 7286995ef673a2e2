"""What every kind of pool offers: all that lists, the verifier, drivers and views know of it.

A second kind is a class with these methods and a line in `lookaside_sim.pool.kinds`. Its plans may
be any objects with the `Request` as ``request``; layers over its door need no more. Small-pool
lists and delayed frees are the classic pool's own and lie over no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from lookaside_sim.nt.types import PoolTag, PoolType, TagLike
from lookaside_sim.pool.accounting import PoolTagUsage
from lookaside_sim.pool.big import BigBlock
from lookaside_sim.pool.check import PoolBlock
from lookaside_sim.pool.find import Outside
from lookaside_sim.pool.plans import PoolPlan
from lookaside_sim.pool.requests import Requests
from lookaside_sim.pool.stops import KnownBlocks
from lookaside_sim.pool.values import PoolAllocation, PoolRange


class Pool(Protocol):
    """The pool manager of one kernel."""

    @property
    def requests(self) -> Requests:
        """The one door to the blocks."""

    @property
    def descriptors(self) -> Sequence[PoolRange]:
        """The pools: nonpaged first."""

    @property
    def big_blocks(self) -> Mapping[int, BigBlock]:
        """Live allocations of whole pages, by address."""

    # --- calls of the program ------------------------------------------------------------

    def allocate(self, pool_type: PoolType | int, size: int, tag: TagLike) -> int | None:
        """ExAllocatePoolWithTag."""

    def allocate_with_priority(
        self, pool_type: PoolType | int, size: int, tag: TagLike, priority: int
    ) -> int | None:
        """ExAllocatePoolWithTagPriority."""

    def allocate_special(
        self, pool_type: PoolType | int, size: int, tag: TagLike
    ) -> int | None:
        """Allocate from special pool where there is one."""

    def free(self, address: int | None, tag: TagLike | None = None) -> None:
        """ExFreePoolWithTag."""

    def usage(self, tag: TagLike) -> PoolTagUsage:
        """One row of the tag table."""

    def tags(self) -> Mapping[PoolTag, PoolTagUsage]:
        """The tag table."""

    def query(self, address: int) -> PoolAllocation | None:
        """The live block that holds an address."""

    # --- for other parts, told to nobody ---------------------------------------------------

    def plan(self, pool_type: int, size: int, tag: int) -> PoolPlan:
        """What every request of a type, size and tag needs, for `requests`."""

    def serves(self, pool_type: int) -> bool:
        """Whether a pool type can be asked for at all."""

    def range_of(self, pool_type: int) -> PoolRange:
        """The pool of a type.

        Raises:
            ValueError: a type that none serves.
        """

    def allocate_block(self, pool_type: int, size: int, tag: int) -> int:
        """Allocate; 0 for NULL."""

    def free_block(self, address: int, tag: int = 0) -> None:
        """Free; 0 for NULL and for no tag."""

    def check_tag(self, address: int, owner: int, tag: int) -> None:
        """Stop when a free names another tag than the block's and it matters."""

    def refuse_parameters(self, address: int) -> None:
        """Stop for a free with parameters that do not fit the block."""

    def know_blocks(self, blocks: KnownBlocks) -> None:
        """Have stops say what somebody knows of the blocks they are about."""

    def charge(self, tag: int, size: int, *, paged: bool) -> None:
        """Charge a tag for a block outside the pools; give back what a negative size says."""

    def bill(self, address: int, process: int) -> None:
        """Write into a block that a process pays for it."""

    def billed(self, address: int) -> int | None:
        """The process that a live block says pays for it; None where none does."""

    def add_outside(self, base: int, outside: Outside) -> None:
        """Blocks lie in another region too, from now on."""

    # --- looking ---------------------------------------------------------------------------

    def find(self, address: int) -> PoolAllocation | None:
        """What `query` does, also on a stopped machine."""

    def rows(self) -> Mapping[PoolTag, PoolTagUsage]:
        """What `tags` does, also on a stopped machine."""

    def descriptor_at(self, address: int) -> PoolRange | None:
        """The pool whose rules an address follows."""

    def ordinary_at(self, address: int) -> PoolRange | None:
        """The pool an address lies in; none for what lies outside."""

    def blocks_in_page(self, address: int) -> Iterable[PoolBlock]:
        """The headers of the page that holds an address, front to back; none for others."""

    def pages_of_blocks(self, paged: bool) -> Iterable[int]:
        """Addresses of the pages whose blocks have headers."""

    def is_live(self, address: int) -> bool:
        """Whether a live block starts at an address, whatever its header says; looks only."""

    def live_blocks(self) -> Iterable[int]:
        """Addresses of the live blocks of the pools, whatever their headers say."""

    def check(self) -> None:
        """Verify every invariant."""

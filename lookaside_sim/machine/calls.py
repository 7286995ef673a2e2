"""What a recorder may hear of the calls made on a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lookaside_sim.lookaside import LookasideList
    from lookaside_sim.nt.types import PoolType, TagLike


class Observer(Protocol):
    """Told of each call once it has returned; only one at a time can listen.

    An allocation that raised a status is told like one that returned NULL: it is counted.

    Pool calls that a lookaside list makes, itself or in its routines, are not reported: they
    belong to the list's own call.
    """

    def pool_allocated(
        self, address: int | None, pool_type: PoolType, size: int, tag: TagLike
    ) -> None:
        """`PoolManager.allocate` returned."""

    def pool_freed(self, address: int) -> None:
        """`PoolManager.free` returned."""

    def list_initialized(self, lookaside: LookasideList) -> None:
        """A list was initialized."""

    def list_allocated(self, lookaside: LookasideList, entry: int | None) -> None:
        """`LookasideList.allocate` returned."""

    def list_freed(self, lookaside: LookasideList, entry: int) -> None:
        """`LookasideList.free` returned."""

    def list_flushed(self, lookaside: LookasideList) -> None:
        """`LookasideList.flush` returned."""

    def list_deleted(self, lookaside: LookasideList) -> None:
        """`LookasideList.delete` returned."""

    def ticked(self) -> None:
        """One simulated second passed."""

    def irql_changed(self, level: int) -> None:
        """The IRQL is another one now."""

"""The calls of the pool routines, as onlookers see them."""

from __future__ import annotations

from typing import ClassVar

from lookaside_sim.machine.calls import Call
from lookaside_sim.nt.types import PoolTag, PoolType


class AllocateBlock(Call):
    """A pool block is asked for. The result is its address, None for NULL.

    Attributes:
        pool_type: pool and modifier bits.
        size: bytes.
        tag: the pool tag.
        charged: whether the current process pays for it.
        priority: EX_POOL_PRIORITY, None for the routines without one.
        special: whether special pool is asked for.
    """

    word: ClassVar[str] = "alloc"
    pool_type: PoolType
    size: int
    tag: PoolTag
    charged: bool = False
    priority: int | None = None
    special: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether there was no memory."""
        return self.result is None


class FreeBlock(Call):
    """A pool block is freed.

    Attributes:
        address: what is freed; 0 for NULL.
        tag: the tag to check, None for no check.
    """

    word: ClassVar[str] = "free"
    address: int
    tag: PoolTag | None

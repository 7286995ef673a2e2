"""The verifier's two layers over the pool's requests: its checks, and special pool."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.nt.types import PoolType
from lookaside_sim.pool.plans import (
    HEADER_TYPE_BITS,
    MUST_SUCCEED_BIT,
    NX_BIT,
    PAGED_BIT,
    REFUSED_TAGS,
    TAG_MASK,
    ZERO_BIT,
    PoolPlan,
)
from lookaside_sim.pool.requests import Layer, Order
from lookaside_sim.pool.values import PoolAllocation, PoolRange
from lookaside_sim.verifier.rules.pool import (
    allocate_special,
    allocated,
    check_allocate,
    check_free,
    freed,
    injects_failure,
)
from lookaside_sim.verifier.special_pool import (
    ALLOCATE_IRQL,
    FREE_IRQL,
    SpecialBlock,
    SpecialPool,
)
from lookaside_sim.verifier.verification import Verification


class VerifierLayer(Layer):
    """Checks the requests of verified code, and fails some of them.

    Args:
        verification: the verifier at work.
    """

    __slots__ = ("_verification",)

    order: ClassVar[Order] = Order.VERIFIER

    def __init__(self, verification: Verification) -> None:
        self._verification = verification

    def allocate(self, plan: PoolPlan) -> int:
        """Check, perhaps fail, serve, take note."""
        verification = self._verification
        if not verification.watches_caller():
            return self.below.allocate(plan)
        pool_type, size, tag, *_ = plan.request
        check_allocate(verification, pool_type, size, tag)
        if injects_failure(verification, pool_type, size, tag):
            return 0
        address = self.below.allocate(plan)
        if not address:
            verification.counters.allocations_failed += 1
            return 0
        live, pool = verification.ledger.live, verification.pool
        record = live[address]
        record.verified = True
        ordinary = None if pool.ordinary_at(address) is None else pool.find(address)
        allocated(verification, record, ordinary)
        return address

    def free(self, address: int, tag: int = 0) -> None:
        """Check, free, take note."""
        verification, pool = self._verification, self._verification.pool
        record = verification.ledger.live.get(address)
        verified = record is not None and record.verified
        if address >= 0 and (verified or verification.watches_caller()):
            special = verification.special_pool
            is_special = special is not None and special.holds(address)
            if record is not None or not is_special:
                block = None if is_special else pool.find(address)
                if block is not None and block.address != address:
                    block = None
                check_free(verification, address, record, block, tag)
        self.below.free(address, tag)
        if record is not None and verified:
            freed(verification, record)


class SpecialPoolLayer(Layer):
    """Serves requests from special pool, each with a page of its own.

    Args:
        verification: the verifier at work.
        special: its special pool.
    """

    __slots__ = ("_special", "_verification")

    order: ClassVar[Order] = Order.SPECIAL_POOL

    def __init__(self, verification: Verification, special: SpecialPool) -> None:
        self._verification = verification
        self._special = special

    def allocate(self, plan: PoolPlan) -> int:
        """Give a request a page where it may have one, else ask below."""
        verification = self._verification
        pool_type, size, tag, wanted, at_start = plan.request
        if not verification.watches_caller():
            if not wanted:
                return self.below.allocate(plan)
            self._special.check_irql(ALLOCATE_IRQL, pool_type, size)
        if tag in REFUSED_TAGS or pool_type & MUST_SUCCEED_BIT:
            return self.below.allocate(plan)  # which says why not
        block = allocate_special(verification, pool_type, size, tag, at_start=at_start)
        if block is None:
            return self.below.allocate(plan)
        self._charge(block, PAGE_SIZE)
        if pool_type & ZERO_BIT:
            verification.machine.memory.write(block.address, bytes(size))
        return block.address

    def free(self, address: int, tag: int = 0) -> None:
        """Free a block of special pool, or ask below."""
        special = self._special
        if not special.holds(address):
            self.below.free(address, tag)
            return
        block = special.check_free(address)
        special.check_irql(FREE_IRQL, block.pool_type, address)
        self._verification.pool.check_tag(address, block.tag, tag)
        self._charge(block, -PAGE_SIZE)
        self._verification.processes.uncharge(address)
        special.free(block)

    # --- Outside -------------------------------------------------------------------------

    def find(self, address: int) -> PoolAllocation | None:
        """The live block that holds an address."""
        block = self._special.find(address)
        if block is None:
            return None
        return PoolAllocation(
            address=block.address,
            size=block.size,
            tag=block.tag,
            pool_type=PoolType(block.pool_type & (HEADER_TYPE_BITS | NX_BIT)),
            # From the data's first byte on there is room to the page's end, or the header.
            block_size=block.size + self._verification.machine.arch.pool_header.size,
        )

    def descriptor_at(self, address: int) -> PoolRange | None:
        """The pool whose rules an address follows."""
        block = self._special.find(address)
        return None if block is None else self._verification.pool.range_of(block.pool_type)

    def charged(self) -> Counter[tuple[bool, int]]:
        """Bytes charged to tags, by paged and tag."""
        charged: Counter[tuple[bool, int]] = Counter()
        for block in self._special.blocks.values():
            charged[bool(block.pool_type & PAGED_BIT), block.tag & TAG_MASK] += PAGE_SIZE
        return charged

    def _charge(self, block: SpecialBlock, size: int) -> None:
        """Charge the tag a page. Choice, as nobody documents what NT charges."""
        paged = bool(block.pool_type & PAGED_BIT)
        self._verification.pool.charge(block.tag, size, paged=paged)

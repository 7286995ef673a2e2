"""Quota: a block that is billed to a process carries the process in its header.

Source:
    [doc] ExAllocatePoolWithQuotaTag; docs/sources.md, pool section 2.
"""

from __future__ import annotations

from typing import ClassVar

from lookaside_sim.errors import NtStatusError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import PoolTag, PoolType, TagLike
from lookaside_sim.pool.calls import AllocateBlock
from lookaside_sim.pool.kind import Pool
from lookaside_sim.pool.plans import QUOTA_BIT, RAISE_BIT
from lookaside_sim.pool.requests import Layer, Order
from lookaside_sim.system.processes import Processes


class Quota:
    """Charged requests of one machine.

    Args:
        machine: the machine.
        pool: what is charged for.
        processes: who is charged.
    """

    __slots__ = ("_layer", "_machine", "_pool", "_processes")

    def __init__(self, machine: Machine, pool: Pool, processes: Processes) -> None:
        self._machine = machine
        self._pool = pool
        self._processes = processes
        self._layer: QuotaLayer | None = None

    def allocate(self, pool_type: PoolType | int, size: int, tag: TagLike) -> int | None:
        """Allocate a block charged to the current process.

        Args:
            pool_type: as for `PoolManager.allocate`; with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE a
                failure is NULL.
            size: bytes.
            tag: tag.

        Returns:
            The block's address; None only with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE.

        Raises:
            NtStatusError: STATUS_INSUFFICIENT_RESOURCES for no memory,
                STATUS_QUOTA_EXCEEDED when the process may not have so much.

        Source:
            [doc] ExAllocatePoolWithQuotaTag; docs/sources.md, pool section 2. x86 grows the request
            by the pointer to the process, x64 has room for it in the header. The System
            process and page-aligned blocks are not charged.
        """
        self._machine.check_running()
        pool_type = unsigned("pool_type", pool_type, 32)
        size = unsigned("size", size, self._machine.arch.address_bits)
        tag = PoolTag(tag)
        self._pool.range_of(pool_type & ~(QUOTA_BIT | RAISE_BIT))  # refuses what none serves
        call = AllocateBlock(PoolType(pool_type), size, tag, charged=True)
        return self._machine.hooks.run(call, self.serve, pool_type, size, tag)

    def serve(self, pool_type: int, size: int, tag: PoolTag) -> int | None:
        """What `allocate` does, as part of another call."""
        if self._layer is None:
            self._layer = QuotaLayer(self._pool, self._processes)
            self._pool.requests.put(self._layer)
        quiet = pool_type & QUOTA_BIT
        pool_type &= ~(QUOTA_BIT | RAISE_BIT)
        arch = self._machine.arch
        process = self._processes.current
        charged = not process.is_system
        grown = size + (arch.pointer_size if charged and arch.pointer_size == 4 else 0)
        if grown > arch.pool_header.largest_request:
            charged, grown = False, size
        try:
            address = self._pool.allocate_block(pool_type | RAISE_BIT, grown, tag)
            block = self._pool.find(address) if charged else None
            if block is not None:
                try:
                    self._processes.charge(process, block)
                except NtStatusError:
                    self._pool.free_block(address)
                    raise
                self._pool.bill(block.address, process.address)
        except NtStatusError:
            if not quiet:
                raise
            return None
        return address or None


class QuotaLayer(Layer):
    """Gives quota back when a billed block is freed.

    Args:
        pool: whose blocks.
        processes: who gets it back.
    """

    __slots__ = ("_pool", "_processes")

    order: ClassVar[Order] = Order.QUOTA

    def __init__(self, pool: Pool, processes: Processes) -> None:
        self._pool = pool
        self._processes = processes

    def free(self, address: int, tag: int = 0) -> None:
        """Give the quota of a block back to the process its header names, then free it."""
        process = self._pool.billed(address)
        if process is not None:
            block = self._pool.find(address)
            owner = 0 if block is None else block.tag
            self._processes.uncharge(address, process, owner)
        self.below.free(address, tag)

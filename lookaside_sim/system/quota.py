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
from lookaside_sim.pool.headers import Headers
from lookaside_sim.pool.manager import PoolManager
from lookaside_sim.pool.plans import QUOTA_BIT, RAISE_BIT
from lookaside_sim.pool.requests import Layer, Order
from lookaside_sim.pool.values import PoolAllocation
from lookaside_sim.system.processes import Processes


class Quota:
    """Charged requests of one machine.

    Args:
        machine: the machine.
        pool: what is charged for.
        processes: who is charged.
    """

    __slots__ = ("_headers", "_layer", "_machine", "_pool", "_processes")

    def __init__(self, machine: Machine, pool: PoolManager, processes: Processes) -> None:
        self._machine = machine
        self._pool = pool
        self._processes = processes
        self._headers = Headers(machine.memory)
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
        self._pool.pool_of(pool_type & ~(QUOTA_BIT | RAISE_BIT))  # refuses what none serves
        call = AllocateBlock(PoolType(pool_type), size, tag, charged=True)
        return self._machine.hooks.run(call, self.serve, pool_type, size, tag)

    def serve(self, pool_type: int, size: int, tag: PoolTag) -> int | None:
        """What `allocate` does, as part of another call."""
        if self._layer is None:
            self._layer = QuotaLayer(self._machine, self._pool, self._processes)
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
                self._bill(block, process.address)
        except NtStatusError:
            if not quiet:
                raise
            return None
        return address or None

    def _bill(self, block: PoolAllocation, process: int) -> None:
        """Write ProcessBilled, and the bit that says so."""
        headers = self._headers
        pool = self._pool.ordinary_at(block.address)
        if pool is None:
            return
        pointer_size = self._machine.arch.pointer_size
        self._pool.leave_model()  # no slot knows that bit
        headers.set_bit(pool, block.address, QUOTA_BIT)
        if pointer_size == 8:
            pool.arena.words[(block.address - pool.base - headers.size) // 8 + 1] = process
        else:
            last = block.address + block.block_size - headers.size - pointer_size
            self._machine.memory.write_pointer(last, process)


class QuotaLayer(Layer):
    """Gives quota back when a billed block is freed.

    Args:
        machine: the machine.
        pool: whose blocks.
        processes: who gets it back.
    """

    __slots__ = ("_headers", "_machine", "_pool", "_processes")

    order: ClassVar[Order] = Order.QUOTA

    def __init__(self, machine: Machine, pool: PoolManager, processes: Processes) -> None:
        self._machine = machine
        self._pool = pool
        self._processes = processes
        self._headers = Headers(machine.memory)

    def free(self, address: int, tag: int = 0) -> None:
        """Give the quota of a block back to the process its header names, then free it."""
        headers = self._headers
        pool = self._pool.ordinary_at(address)
        if (
            pool is not None
            and headers.is_live(pool, address)
            and headers.type_of(pool, address) & QUOTA_BIT
        ):
            if self._machine.arch.pointer_size == 8:
                process = pool.arena.words[(address - pool.base - headers.size) // 8 + 1]
            else:
                end = address - headers.size + headers.bytes_of(pool, address)
                process = self._machine.memory.read_pointer(end - 4)
            self._processes.uncharge(address, process, headers.tag_of(pool, address))
        self.below.free(address, tag)

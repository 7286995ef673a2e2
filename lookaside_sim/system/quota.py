"""Quota: a block that is billed to a process carries the process in its header."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lookaside_sim.pool.headers import Headers
from lookaside_sim.pool.plans import QUOTA_BIT
from lookaside_sim.pool.requests import Layer, Order

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel
    from lookaside_sim.pool.manager import PoolAllocation


class QuotaLayer(Layer):
    """Gives quota back when a billed block is freed.

    Args:
        kernel: the machine.
    """

    __slots__ = ("_headers", "_kernel")

    order: ClassVar[Order] = Order.QUOTA

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._headers = Headers(kernel.memory)

    def bill(self, block: PoolAllocation, process: int) -> None:
        """Write ProcessBilled, and the bit that says so."""
        kernel, headers = self._kernel, self._headers
        pool = kernel.pool.ordinary_at(block.address)
        if pool is None:
            return
        pointer_size = kernel.arch.pointer_size
        headers.set_bit(pool, block.address, QUOTA_BIT)
        if pointer_size == 8:
            pool.arena.words[(block.address - pool.base - headers.size) // 8 + 1] = process
        else:
            last = block.address + block.block_size - headers.size - pointer_size
            kernel.memory.write_pointer(last, process)

    def free(self, address: int, tag: int = 0) -> None:
        """Give the quota of a block back to the process its header names, then free it."""
        kernel, headers = self._kernel, self._headers
        pool = kernel.pool.ordinary_at(address)
        if pool is not None and headers.is_live(pool, address):
            if headers.type_of(pool, address) & QUOTA_BIT:
                if kernel.arch.pointer_size == 8:
                    at = (address - pool.base - headers.size) // 8 + 1
                    process = pool.arena.words[at]
                else:
                    end = address - headers.size + headers.bytes_of(pool, address)
                    process = kernel.memory.read_pointer(end - 4)
                kernel.processes.uncharge(address, process, headers.tag_of(pool, address))
        self.below.free(address, tag)

"""Which decides, the model or the bytes, and the way from one to the other.

A machine begins with the model: slots say what the headers are, and bytes are written when
somebody looks. It leaves the model, all pools at once, when something happens that could make a
header lie or that needs the words of headers where they lie:

* a write that reaches anything but the inside of one live block, or a list's head;
* a free that a forged header makes possible;
* a bit in a header that no request has: parked blocks, quota;
* somebody who shares the buffers of the arenas (`Memory.keep_bytes_true`), or a stop, since a
  stopped machine's pages may be lent as well.

Nothing that the machine does tells which of the two decides. No such event ends, so the way is
one-way; only `enter` leads back, from bytes that `leave` itself has written, for whoever copies
a machine and cannot copy slots.
"""

from __future__ import annotations

from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import NO_BLOCK
from lookaside_sim.pool.big import BigBlocks
from lookaside_sim.pool.blocks import Blocks
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.model import Model
from lookaside_sim.pool.requests import Requests


class Switch:
    """The switch of one machine's pools.

    Args:
        memory: the address space.
        pools: the pools.
        requests: the door whose requests end at what decides.
        model: the blocks as slots have them.
        blocks: the blocks as bytes have them.
        big: hands ends of pages to what decides.
    """

    __slots__ = ("_big", "_blocks", "_memory", "_model", "_pools", "_requests")

    def __init__(
        self,
        memory: Memory,
        pools: tuple[PoolDescriptor, ...],
        requests: Requests,
        model: Model,
        blocks: Blocks,
        big: BigBlocks,
    ) -> None:
        self._memory = memory
        self._pools = pools
        self._requests = requests
        self._model = model
        self._blocks = blocks
        self._big = big
        memory.slots.decide = True
        memory.links.leave = self.leave
        requests.end_at(model)
        big.tails = model

    @property
    def is_model(self) -> bool:
        """Whether slots decide."""
        return self._memory.slots.decide

    def leave(self) -> None:
        """Let the bytes decide from now on."""
        slots = self._memory.slots
        if not slots.decide:
            return
        slots.render_all()
        for pool in self._pools:
            arena = pool.arena
            arena.marks[:] = bytes([NO_BLOCK]) * len(arena.marks)
            pool.count_lists()
        unit_shift = self._memory.arch.pool_header.unit_shift
        region_shift = self._memory.arch.pool_region_shift
        arenas = {pool.base >> region_shift: pool.arena for pool in self._pools}
        for address, slot in slots.by_address.items():
            if slot.used and slot.units > 1:
                arena = arenas[address >> region_shift]
                arena.marks[(address - arena.base) >> unit_shift] = slot.plan.unused
        slots.forget_all()
        slots.decide = False
        self._model.fragments.clear()
        self._requests.end_at(self._blocks)
        self._big.tails = self._blocks

"""Which decides, the model or the bytes, and the way from one to the other.

A machine begins with the model: slots say what the headers are, and bytes are written when
somebody looks. It leaves the model, all pools at once and for good, when something happens that
could make a header lie or that needs the words of headers where they lie:

* a write that reaches anything but the inside of one live block, or a list's head;
* a free that a forged header makes possible;
* a bit in a header that no request has: parked blocks, quota;
* somebody who shares the buffers of the arenas (`Memory.keep_bytes_true`), or a stop, since a
  stopped machine's pages may be lent as well.

Nothing that the machine does tells which of the two decides. The way back is only for who wants
the bytes for a moment and leaves them as they are, such as whoever copies a machine: slots refer
to each other, a copy of bytes needs no such thing. `Switch.suspend` writes all bytes, and the
next request makes slots from them again, on the machine and on its copy.
"""

from __future__ import annotations

from collections.abc import Callable

from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import BLOCKS, mark_of, unused_of
from lookaside_sim.memory.slots import UNKNOWN, Slot
from lookaside_sim.pool.big import BigBlocks
from lookaside_sim.pool.blocks import Blocks
from lookaside_sim.pool.check import PoolBlock, blocks_of_page
from lookaside_sim.pool.descriptor import PoolDescriptor
from lookaside_sim.pool.model import Model, Stale
from lookaside_sim.pool.plans import HEADER_TYPE_BITS, NX_BIT, PoolPlan
from lookaside_sim.pool.requests import Requests
from lookaside_sim.pool.tails import ByteTails


class Switch:
    """The switch of one machine's pools.

    Args:
        memory: the address space.
        pools: the pools.
        requests: the door whose requests end at what decides.
        big: hands ends of pages to what decides.
        model: the blocks as slots have them.
        blocks: the blocks as bytes have them.
        tails: the ends of pages as bytes have them.
        plan: works a request out.
    """

    __slots__ = (
        "_big",
        "_blocks",
        "_layout",
        "_memory",
        "_model",
        "_plan",
        "_pools",
        "_requests",
        "_slots",
        "_suspended",
        "_tails",
    )

    def __init__(
        self,
        memory: Memory,
        pools: tuple[PoolDescriptor, ...],
        requests: Requests,
        big: BigBlocks,
        *,
        model: Model,
        blocks: Blocks,
        tails: ByteTails,
        plan: Callable[[int, int, int], PoolPlan],
    ) -> None:
        self._memory = memory
        self._slots = memory.slots
        self._layout = memory.arch.pool_header
        self._pools = pools
        self._requests = requests
        self._big = big
        self._model = model
        self._blocks = blocks
        self._tails = tails
        self._plan = plan
        self._suspended = False
        memory.links.leave = self.leave
        memory.links.suspend = self.suspend
        self._decide_by_slots()

    def _decide_by_slots(self) -> None:
        self._slots.decide = True
        self._requests.end_at(self._model)
        self._big.tails = self._model

    def leave(self) -> None:
        """Let the bytes decide from now on and for good."""
        if self._slots.decide or self._suspended:
            self._write_all()
            self._suspended = False
            self._requests.end_at(self._blocks)
            self._big.tails = self._tails

    def suspend(self) -> None:
        """Keep all in bytes until the next request."""
        if self._slots.decide:
            self._write_all()
            self._suspended = True
            self._requests.end_at(self)

    # --- what requests end at meanwhile --------------------------------------------------------

    def allocate(self, plan: PoolPlan) -> int:
        """Serve a request; 0 for NULL."""
        self._read_all()
        return self._model.allocate(plan)

    def free(self, address: int, tag: int = 0) -> None:
        """Free a block; tag 0 asks for no check."""
        self._read_all()
        self._model.free(address, tag)

    # --- from slots to bytes -----------------------------------------------------------------

    def _write_all(self) -> None:
        """Write what slots hold into bytes, marks and hints, and forget them."""
        slots = self._slots
        if not slots.decide:
            return
        slots.render_all()
        region_shift = self._memory.arch.pool_region_shift
        arenas = {}
        for pool in self._pools:
            pool.open()
            arena = arenas[pool.base >> region_shift] = pool.arena
            arena.forget_marks()
            pool.count_lists()
        unit_shift = self._layout.unit_shift
        for address, slot in slots.by_address.items():
            if slot.used and slot.units:
                arena = arenas[address >> region_shift]
                mark = mark_of(slot.plan.unused)
                arena.marks[(address - arena.base) >> unit_shift] = mark
        slots.forget_all()
        slots.decide = False
        self._model.fragments.clear()

    # --- from bytes to slots -----------------------------------------------------------------

    def _read_all(self) -> None:
        """Make the slots of all blocks from bytes that slots have written."""
        slots = self._slots
        slots.render_all()
        slots.forget_all()
        self._suspended = False
        slots.edge.used = 1
        read = [(pool, self._pages(pool), self._lists(pool)) for pool in self._pools]
        self._decide_by_slots()
        for pool, pages, lists in read:
            unused = [self._unused_in(pool, page) for page in pages]
            pool.arena.forget_marks()
            for head in pool.heads:
                if head is not UNKNOWN:
                    slots.make_head(pool.arena, head)
            for page, left in zip(pages, unused, strict=True):
                self._make_page(pool, page, left)
            for units, entries in lists.items():
                self._link(pool, units, entries)

    def _pages(self, pool: PoolDescriptor) -> list[list[PoolBlock]]:
        """The headers of every page of blocks."""
        return [
            list(blocks_of_page(self._memory, pool, page))
            for page, state in enumerate(pool.arena.states)
            if state == BLOCKS
        ]

    def _unused_in(self, pool: PoolDescriptor, page: list[PoolBlock]) -> list[int]:
        """How many bytes of each block of a page were not asked for, as the marks say."""
        size, shift, marks = self._layout.size, self._layout.unit_shift, pool.arena.marks
        last = len(marks) - 1  # a fragment may end the last page
        return [
            unused_of(marks[min(block.header + size - pool.base >> shift, last)])
            for block in page
        ]

    @staticmethod
    def _lists(pool: PoolDescriptor) -> dict[int, list[int]]:
        """The entries of every list that has any, by units."""
        indices = (index for index, listed in enumerate(pool.listed) if listed)
        return {index + 1: list(pool.entries(index)) for index in indices}

    def _make_page(
        self, pool: PoolDescriptor, page: list[PoolBlock], unused: list[int]
    ) -> None:
        layout, slots = self._layout, self._slots
        before = slots.edge
        for block, left in zip(page, unused, strict=True):
            address = block.header + layout.size
            if block.units == 1 and not block.is_free:
                slot = self._model.fragments[address] = Slot(address, 1)
            else:
                slot = slots.make(pool.arena, address, block.units)
            slot.used = 0 if block.is_free else address
            slot.front = before
            slot.behind = slots.edge
            if before is not slots.edge:
                before.behind = slot
            if not slot.used:
                slot.plan = Stale(int(block.tag))
            elif block.units > 1:
                kind = block.block_type & HEADER_TYPE_BITS | (NX_BIT if pool.is_nx else 0)
                room = (block.units << layout.unit_shift) - layout.size
                slot.plan = self._plan(kind, room - left, int(block.tag))
            before = slot

    def _link(self, pool: PoolDescriptor, units: int, entries: list[int]) -> None:
        head = pool.head(units)
        pool.hints[units] = 1
        before = head
        for entry in entries:
            slot = self._slots.by_address[entry]
            before.flink = slot
            slot.blink = before
            before = slot
        before.flink = head
        head.blink = before

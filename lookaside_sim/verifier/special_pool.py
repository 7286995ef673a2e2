"""Special pool: one page for each block, with nothing mapped around it.

Each block has a slot of two pages: the first holds the block, the second is never mapped.
With *verify end* the data ends at the end of the page, so that an overrun runs into the guard
page; with *verify start* it starts the page, right behind the guard page of the slot before.
Bytes of the page that are neither data nor header carry a pattern, looked at on the free.
A freed page is unmapped, and its slot goes to the end of the queue of free slots, so that a
late access finds nothing there for as long as possible.

Source:
    docs/sources.md, pool section 7.1. The header is this simulator's (only ReactOS' is public): bytes
    asked for, and the pattern above them, then the tag. Choice of pattern: the low byte of
    the tick count, as there, plus the number of the allocation; never zero.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NoReturn

import attrs

from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.arena import BIG, RETURNED
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.pool.ledger import BlockLedger

_PAGES_A_SLOT: Final = 2
_FIRST_PAGE: Final = 2  # the pages before the first slot are its guard
_MINIMUM_WAIT: Final = 1024
"""Freed slots that wait before the oldest is used again, while there are fresh ones. Choice."""
_TICKS_A_SECOND: Final = 64

NOT_ALLOCATED: Final = 0x20
SIZE_MISMATCH: Final = 0x21
BYTES_NEARBY: Final = 0x23
BYTES_BEHIND: Final = 0x24
ALLOCATE_IRQL: Final = 0x30
FREE_IRQL: Final = 0x31
"""Kinds of SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, its parameter 4."""


@attrs.frozen
class SpecialBlock:
    """A live block.

    Attributes:
        address: of its data.
        size: bytes asked for.
        tag: its tag.
        pool_type: the type asked for.
        page: number of its page in the arena.
        at_start: whether its data starts the page.
        pattern: the byte around it.
    """

    address: int
    size: int
    tag: PoolTag
    pool_type: int
    page: int
    at_start: bool
    pattern: int


class SpecialPool:
    """The special pool of one kernel.

    Args:
        machine: the machine.
        ledger: who allocated which block.
        pages: pages that may hold blocks at once; None for as many as the range has.

    Attributes:
        blocks: the live blocks, by address.
        served: blocks handed out so far.
    """

    __slots__ = (
        "_arena",
        "_by_page",
        "_header_size",
        "_ledger",
        "_limit",
        "_machine",
        "_next_page",
        "_waiting",
        "base",
        "blocks",
        "served",
    )

    def __init__(self, machine: Machine, ledger: BlockLedger, pages: int | None) -> None:
        self._machine = machine
        self._ledger = ledger
        arch = machine.arch
        self.base = arch.special_pool_start
        most = arch.pool_region_size >> PAGE_SHIFT
        self._arena = machine.memory.add_arena(self.base, most)
        most = most // _PAGES_A_SLOT - 1
        self._limit = most if pages is None else min(pages, most)
        self._header_size = arch.pool_header.size
        self._next_page = _FIRST_PAGE
        self._waiting: deque[int] = deque()
        self._by_page: dict[int, SpecialBlock] = {}
        self.blocks: dict[int, SpecialBlock] = {}
        self.served = 0

    def holds(self, address: int) -> bool:
        """Whether an address lies in the special pool's range."""
        return self.base <= address < self.base + self._machine.arch.pool_region_size

    def find(self, address: int) -> SpecialBlock | None:
        """The live block whose data holds an address."""
        block = self._by_page.get((address - self.base) >> PAGE_SHIFT)
        if block is not None and block.address <= address < block.address + max(block.size, 1):
            return block
        return None

    def block_in_page(self, address: int) -> SpecialBlock | None:
        """The live block in whose page an address lies."""
        return self._by_page.get((address - self.base) >> PAGE_SHIFT)

    def allocate(
        self, pool_type: int, size: int, tag: int, *, at_start: bool
    ) -> SpecialBlock | None:
        """Give a request a page of its own.

        Returns:
            The block; None when it is too large or no page is left, and the ordinary pool
            has to serve it.
        """
        size = max(size, 1)
        if size > PAGE_SIZE - self._header_size or len(self.blocks) >= self._limit:
            return None
        page = self._take_slot()
        arena = self._arena
        arena.reach(page + _PAGES_A_SLOT)
        arena.map(page, BIG)
        self.served += 1
        start = self.base + (page << PAGE_SHIFT)
        ticks = self._machine.seconds * _TICKS_A_SECOND + self.served
        pattern = ticks % 0xFF + 1
        if at_start:
            address = start
        else:
            mask = self._machine.arch.pool_header.unit - 1
            address = (start + PAGE_SIZE - size) & ~mask
        block = SpecialBlock(address, size, PoolTag(tag), pool_type, page, at_start, pattern)
        memory = self._machine.memory
        for first, end in self._pattern_ranges(block):
            memory.write(first, bytes([pattern]) * (end - first))
        memory.write(self.header_of(block), self._header(block))
        self.blocks[address] = self._by_page[page] = block
        return block

    def header_of(self, block: SpecialBlock) -> int:
        """Where a live block's header lies: at the other end of its page."""
        start = self.base + (block.page << PAGE_SHIFT)
        return start + PAGE_SIZE - self._header_size if block.at_start else start

    def _header(self, block: SpecialBlock) -> bytes:
        ulong1 = block.size | (block.pool_type & 1) << 13 | block.pattern << 16
        head = ulong1.to_bytes(4, "little") + int(block.tag).to_bytes(4, "little")
        return head.ljust(self._header_size, b"\0")

    def _pattern_ranges(self, block: SpecialBlock) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where the pattern lies: before the data, and behind it."""
        start = self.base + (block.page << PAGE_SHIFT)
        end = start + PAGE_SIZE
        if block.at_start:
            return (start, start), (start + block.size, end - self._header_size)
        return (start + self._header_size, block.address), (block.address + block.size, end)

    def _take_slot(self) -> int:
        have = self._machine.arch.pool_region_size >> PAGE_SHIFT
        fresh = self._next_page + _PAGES_A_SLOT <= have
        if self._waiting and (len(self._waiting) >= _MINIMUM_WAIT or not fresh):
            return self._waiting.popleft()
        page = self._next_page
        self._next_page += _PAGES_A_SLOT
        return page

    def check_free(self, address: int) -> SpecialBlock:
        """Look a block over before it is freed.

        Raises:
            BugCheck: SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION.
        """
        block = self.blocks.get(address)
        if block is None:
            inside = self.find(address)
            where = "" if inside is None else f"; it lies inside {self._named(inside.address)}"
            if inside is None and self._page_was_freed(address):
                where = f"; {self._named(address)}"
            self._stop(
                (address, 0, 0, NOT_ALLOCATED),
                f"{address:#x} was freed, and no special pool block starts there{where}",
            )
        memory = self._machine.memory
        named = self._named(address)
        for kind, where, (first, end) in zip(
            (BYTES_NEARBY, BYTES_BEHIND),
            ("in front of", "behind"),
            self._pattern_ranges(block),
            strict=True,
        ):
            found = memory.read(first, end - first)
            if found != bytes([block.pattern]) * len(found):
                at = next(i for i, byte in enumerate(found) if byte != block.pattern)
                self._stop(
                    (address, first + at, 0, kind),
                    f"the byte at {first + at:#x}, {where} {named}, was written",
                )
        header = self.header_of(block)
        found = memory.read(header, self._header_size)
        if found != self._header(block):
            stored = int.from_bytes(found[:2], "little") & 0x1FFF
            if stored != block.size:
                self._stop(
                    (address, stored, block.size, SIZE_MISMATCH),
                    f"the header of {named} says {stored} bytes",
                )
            self._stop(
                (address, header, 0, BYTES_NEARBY),
                f"the header at {header:#x} of {named} was written",
            )
        return block

    def free(self, block: SpecialBlock) -> None:
        """Unmap a block's page and let its slot wait."""
        del self.blocks[block.address]
        del self._by_page[block.page]
        self._arena.unmap(block.page, 1, cached=False)
        self._waiting.append(block.page)

    def check_irql(self, kind: int, pool_type: int, value: int) -> None:
        """Stop for an allocation or free at an IRQL that is too high for its pool."""
        machine = self._machine
        if machine.gate > (1 if pool_type & 1 else 2):
            verb = "allocated" if kind == ALLOCATE_IRQL else "freed"
            self._stop(
                (machine.gate, pool_type & 1, value, kind),
                f"special pool was {verb} at IRQL {machine.gate}",
            )

    def explain_fault(
        self, address: int, operation: int, *, by_driver: bool, code: int
    ) -> None:
        """Stop for a touch of an unmapped address of special pool; return for any other.

        Choice: the guard page in front of a block also counts as beyond the end.

        Raises:
            BugCheck: 0xCD or 0xD6 beyond a live block, 0xCC or 0xD5 in a freed one.
        """
        if not self.holds(address):
            return
        write = int(bool(operation & 2))
        verb = "written" if write else "read"
        page = (address - self.base) >> PAGE_SHIFT
        if self._page_was_freed(address):
            bug_check = (
                BugCheckCode.DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL
                if by_driver
                else BugCheckCode.PAGE_FAULT_IN_FREED_SPECIAL_POOL
            )
            self._machine.stop(
                bug_check,
                (address, write, code, 0),
                f"{address:#x} was {verb} after the free: {self._freed_in(page)}",
            )
        before, behind = self._by_page.get(page - 1), self._by_page.get(page + 1)
        if behind is not None and behind.at_start:
            near: SpecialBlock | None = behind
            where = f"{behind.address - address} bytes in front of"
        else:
            near = before
            where = "" if near is None else f"{address - near.address} bytes into"
        what = (
            "no live block is near" if near is None else f"{where} {self._named(near.address)}"
        )
        bug_check = (
            BugCheckCode.DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION
            if by_driver
            else BugCheckCode.PAGE_FAULT_BEYOND_END_OF_ALLOCATION
        )
        self._machine.stop(
            bug_check,
            (address, write, code, 0),
            f"{address:#x} was {verb}, in a guard page of special pool: {what}",
        )

    def _page_was_freed(self, address: int) -> bool:
        page = (address - self.base) >> PAGE_SHIFT
        return page < len(self._arena.states) and self._arena.states[page] == RETURNED

    def _freed_in(self, page: int) -> str:
        """The newest freed block of a page, as the ledger knows it."""
        ledger = self._ledger
        for address in reversed(ledger.freed):
            if (address - self.base) >> PAGE_SHIFT == page:
                return ledger.describe_freed(address)
        return "its block is not remembered any more"

    def _named(self, address: int) -> str:
        return self._ledger.describe(address)

    def _stop(self, parameters: tuple[int, int, int, int], message: str) -> NoReturn:
        self._machine.stop(
            BugCheckCode.SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, parameters, message
        )

"""Page tables: what a page of simulated memory is to an engine.

The memory is shared, not copied: an engine is lent the very buffers that pools and regions have.
Pages whose truth is Python objects are served by `Kernel.read` and `Kernel.write`. A page that
cannot be touched, or only under the eyes of a check, is a hole, so that the instruction which
touches it stops.
"""

from __future__ import annotations

import mmap
from typing import ClassVar, Final

from lookaside_sim.drive.engine import (
    HOLE,
    HOLE_MASK,
    PERMIT_EXECUTE,
    PERMIT_READ,
    PERMIT_WRITE,
    Engine,
)
from lookaside_sim.errors import SanitizerError
from lookaside_sim.kernel import Kernel
from lookaside_sim.machine.calls import IrqlChange
from lookaside_sim.memory.arena import Arena
from lookaside_sim.memory.notices import Change, Changed
from lookaside_sim.memory.pages import ArenaPage, NoPage, RegionPage
from lookaside_sim.memory.regions import Region
from lookaside_sim.memory.touch import EXECUTE, READ, WRITE
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT

_LENT: Final = 1 << 42
"""Physical bytes that each buffer has for itself."""
_SERVED: Final = 0xE_0000_0000_0000


class TouchedWhatIsServed(Exception):  # noqa: N818 - what happened; whoever runs code catches it
    """A page that is served cannot be touched so.

    Args:
        address: of the access.
        size: bytes of it.
        operation: READ or WRITE.
        value: what was to be written.
    """

    def __init__(self, address: int, size: int, operation: int, value: int = 0) -> None:
        super().__init__(hex(address))
        self.address = address
        self.size = size
        self.operation = operation
        self.value = value


class PageTables:
    """The page tables of one kernel, for one engine.

    Args:
        kernel: whose memory.

    Attributes:
        stale: whether the engine must forget what it knows of pages before it runs on.
    """

    LEFT_OUT: ClassVar = {"_lent": {}, "_served": {}, "_listens": False, "stale": False}

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._memory = kernel.memory
        self._listens = False
        self._engine: Engine | None = None
        self._lent: dict[int, tuple[int, bytearray | mmap.mmap, Arena | Region]] = {}
        self._served: dict[int, int] = {}
        self._moved: set[int] = set()
        self._last_hole = 0
        self.stale = False
        kernel.memory.keep_bytes_true()
        kernel.machine.hooks.follow(IrqlChange, self._irql_changed)

    def serve(self, engine: Engine) -> None:
        """Begin to answer an engine."""
        self._engine = engine

    # --- what changes ------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        if change.what is Changed.BUFFER:
            # The old buffer goes away behind this call.
            lent = self._lent.get(change.address)
            if lent is not None and self._engine is not None:
                self._engine.take_back(lent[0])
                self._lend(lent[0], change.address, lent[2])
            self.stale = True
        elif change.what is not Changed.MAPPED:  # what was a hole is asked for again anyway
            self.stale = True

    def _irql_changed(self, change: IrqlChange) -> None:
        if self._kernel.verification is not None:
            self.stale = True  # pageable memory goes and comes

    def refresh(self) -> None:
        """Have the engine ask again for each page."""
        self.stale = False
        assert self._engine is not None
        self._engine.forget_pages()

    # --- the tables --------------------------------------------------------------------------

    def fill(self, address: int, operation: int) -> tuple[int, int]:
        """Say where a page lies, and what it permits; see `Events.fill`."""
        page = self._memory.translate(address, operation)
        if isinstance(page, NoPage) or self._is_trimmed(address):
            self._last_hole = address
            return HOLE + (address & HOLE_MASK & ~PAGE_MASK), 7
        permits = PERMIT_READ
        if page.writable:
            permits |= PERMIT_WRITE
        if page.executable:
            permits |= PERMIT_EXECUTE
        if isinstance(page, RegionPage):
            return self._physical(page.region.address, page.region) + page.offset, permits
        if isinstance(page, ArenaPage):
            physical = self._physical(page.arena.base, page.arena) + page.offset
            if self._kernel.sanitizer is None:
                return physical, permits
            # The sanitizer sees each read and write of pool.
            if operation == EXECUTE:
                return physical, PERMIT_EXECUTE
        return self._served_page(address >> PAGE_SHIFT), permits

    def _is_trimmed(self, address: int) -> bool:
        verification = self._kernel.verification
        if verification is None or not verification.trimmed:
            return False
        special = verification.special_pool
        if special is not None and special.holds(address):
            block = special.block_in_page(address)
            return block is not None and bool(block.pool_type & 1)
        pool = self._kernel.pool.descriptor_at(address)
        return pool is not None and pool.paged

    def _physical(self, base: int, owner: Arena | Region) -> int:
        lent = self._lent.get(base)
        if lent is not None and lent[1] is owner.data:
            return lent[0]
        assert self._engine is not None
        if lent is not None:
            self._engine.take_back(lent[0])
            physical = lent[0]
        else:
            physical = (len(self._lent) + 1) * _LENT
        self._lend(physical, base, owner)
        return physical

    def _lend(self, physical: int, base: int, owner: Arena | Region) -> None:
        assert self._engine is not None
        if not self._listens:
            self._listens = True
            self._memory.listen(self._changed)
        self._engine.lend(physical, owner.data)
        self._lent[base] = physical, owner.data, owner

    def address_of_hole(self, physical: int) -> int:
        """The address at which an engine met a hole."""
        return self._last_hole & ~HOLE_MASK | physical & HOLE_MASK

    # --- pages that are served -----------------------------------------------------------------

    def _served_page(self, number: int) -> int:
        physical = self._served.get(number)
        if physical is None:
            physical = self._served[number] = _SERVED + (len(self._served) << PAGE_SHIFT)
            assert self._engine is not None
            base = number << PAGE_SHIFT

            def read(offset: int, size: int) -> int:
                return self._read(base + offset, size)

            def write(offset: int, size: int, value: int) -> None:
                self._write(base + offset, size, value)

            self._engine.serve(physical, read, write)
        return physical

    # The engine knows which instruction it is on only once it has stopped, so what would go
    # wrong is left to whoever runs it.

    def _read(self, address: int, size: int) -> int:
        if not self._memory.is_mapped(address, size):
            raise TouchedWhatIsServed(address, size, READ)
        try:
            return int.from_bytes(self._kernel.read(address, size), "little")
        except SanitizerError:
            raise TouchedWhatIsServed(address, size, READ) from None

    def _write(self, address: int, size: int, value: int) -> None:
        if not self._memory.is_mapped(address, size):
            raise TouchedWhatIsServed(address, size, WRITE, value)
        try:
            self._kernel.write(address, value.to_bytes(size, "little"))
        except SanitizerError:
            raise TouchedWhatIsServed(address, size, WRITE, value) from None

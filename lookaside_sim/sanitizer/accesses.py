"""Accesses that the sanitizer reports: of free entries, of blocks in use by lists, beside blocks.

Each touch by the program is seen before it happens. Entries that lie free on a list, or were given
back and are nobody's, are neither read nor written; a block with an active list in it, or that is
an entry, is not freed.

With KASAN's style accesses are no `SanitizerError` but what NT's Kernel Address Sanitizer raises,
with the codes that its shadow memory would hold, and those beside pool blocks are seen too.

Source:
    [doc] bug check 0x1F2; the page on KASAN: shadow codes. [inferred] which code the memory of a
    list's entry has once it went back to the pool: that of freed memory.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar, Final, NoReturn

from lookaside_sim.errors import InvariantError
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.touch import READ, WRITE
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.pool.kind import Pool
from lookaside_sim.pool.requests import Layer, Order
from lookaside_sim.sanitizer.records import EntryRecord, Sanitizer

RIGHT_OF_POOL: Final = 0x86
FREED: Final = 0x87
FREED_ON_LIST: Final = 0x8C
LEFT_OF_POOL: Final = 0x8D
_WRITE_BIT: Final = 0x100
_CELL: Final = 8  # bytes that one shadow code stands for


class _Accesses:
    """Sees the program's touches.

    Args:
        machine: the machine.
        pool: where entries come from.
        sanitizer: what is known of them.
        kasan: whether reports are KASAN's.
    """

    __slots__ = ("_kasan", "_machine", "_pool", "_sanitizer")

    def __init__(
        self, machine: Machine, pool: Pool, sanitizer: Sanitizer, *, kasan: bool
    ) -> None:
        self._machine = machine
        self._pool = pool
        self._sanitizer = sanitizer
        self._kasan = kasan

    def check(self, address: int, size: int, operation: int, by_program: bool) -> None:
        """Report a touch of what is nobody's.

        Raises:
            SanitizerError: use-after-free.
            BugCheck: KASAN_ILLEGAL_ACCESS, in its style.
        """
        if not by_program or not size or operation not in (READ, WRITE):
            return
        sanitizer, end = self._sanitizer, address + size
        write = operation == WRITE
        for record in sanitizer.near(address, end):
            if record.overlaps(address, end) and not record.owner.holds_out(record.entry):
                state = "lies free on the list"
                self._use_after_free(record, address, size, write, state, FREED_ON_LIST)
        # The newest owner of the memory decides: only where no live block is, an entry that
        # was given back is touched.
        for record in sanitizer.near_retired(address, end):
            if record.overlaps(address, end) and self._pool.find(address) is None:
                state = "was given back to the pool"
                self._use_after_free(record, address, size, write, state, FREED)
        if self._kasan:
            self._check_beside(address, size, write)

    def _use_after_free(
        self, record: EntryRecord, address: int, size: int, write: bool, state: str, code: int
    ) -> NoReturn:
        at = max(address - record.entry, 0)
        what = f"byte {at} of the entry {record.entry:#x}, which {state}"
        if self._kasan:
            self._illegal(address, size, write, code, what)
        verb = "written" if write else "read"
        self._sanitizer.report(
            "use-after-free",
            address,
            record.owner,
            f"{address:#x} was {verb} in {self._machine.program.calling_site()}: {what}",
            record,
        )

    def _check_beside(self, address: int, size: int, write: bool) -> None:
        """Report a touch that leaves the live block it begins in, or begins in none."""
        if self._pool.ordinary_at(address) is None:
            return
        block = self._pool.find(address)
        if block is None:
            code = self._code_outside_blocks(address)
            if code:
                what = "the header of a pool block" if code == LEFT_OF_POOL else "freed pool"
                self._illegal(address, size, write, code, what)
            return
        end = block.address + block.size
        if address + size <= end:
            return
        bad = max(address, end)
        # A cell that a block's end lies in says how many of its bytes may be touched.
        code = end % _CELL if bad // _CELL == end // _CELL and end % _CELL else RIGHT_OF_POOL
        self._illegal(
            address,
            size,
            write,
            code,
            f"{bad - block.address} bytes into the {block.size}-byte block {block.tag!s} at"
            f" {block.address:#x}",
        )

    def _code_outside_blocks(self, address: int) -> int:
        """What the memory is that lies in no live block's body; 0 where nothing tells."""
        unit, blocks = self._machine.arch.pool_header.unit, []
        with suppress(InvariantError):  # headers that were overwritten tell nothing
            for each in self._pool.blocks_in_page(address):
                blocks.append(each)
                if each.header <= address < each.header + each.units * unit:
                    in_use = not each.is_free and not each.is_parked
                    return LEFT_OF_POOL if in_use else FREED
            pool = self._pool.ordinary_at(address)
            if not blocks and pool is not None and address - pool.base >= PAGE_SIZE:
                # Nobody's page, which a page cache keeps; list heads lie in the first one.
                return FREED if self._machine.memory.is_mapped(address, 1) else 0
        return 0

    def _illegal(self, address: int, size: int, write: bool, code: int, what: str) -> NoReturn:
        machine = self._machine
        machine.stop(
            BugCheckCode.KASAN_ILLEGAL_ACCESS,
            (
                address,
                size,
                machine.program.call_site().address,
                code | (_WRITE_BIT if write else 0),
            ),
            f"{size} bytes at {address:#x} were {'written' if write else 'read'}: {what}",
        )


class _FreesLayer(Layer):
    """Sees every free on its way to the pool."""

    __slots__ = ("_machine", "_pool", "_sanitizer")

    order: ClassVar[Order] = Order.SANITIZER

    def __init__(self, machine: Machine, pool: Pool, sanitizer: Sanitizer) -> None:
        self._machine = machine
        self._pool = pool
        self._sanitizer = sanitizer

    def free(self, address: int, tag: int = 0) -> None:
        """Refuse to free what a list still has.

        Raises:
            SanitizerError: freed-entry, freed-list.
        """
        sanitizer = self._sanitizer
        record = sanitizer.owners.get(address)
        if record is not None:
            owner = record.owner
            state = "is out" if owner.holds_out(address) else "lies free on the list"
            sanitizer.report(
                "freed-entry",
                address,
                owner,
                f"the entry {address:#x} of the list {owner.name!r} at {owner.address:#x} was freed"
                f" to the pool in {self._where()}; it {state}, and goes back to its list only",
                record,
            )
        if sanitizer.has_lists_in_blocks:
            block = self._pool.find(address)
            if block is not None and block.address == address:
                for lookaside in sanitizer.lists_within(address, address + block.size):
                    sanitizer.report(
                        "freed-list",
                        address,
                        lookaside,
                        f"the block at {address:#x} was freed in {self._where()}, and the active"
                        f" list {lookaside.name!r} at {lookaside.address:#x} lies in it",
                    )
        self.below.free(address, tag)

    def _where(self) -> object:
        return self._machine.program.calling_site()


def watch(machine: Machine, pool: Pool, sanitizer: Sanitizer, *, kasan: bool) -> None:
    """Let the sanitizer of a machine see its touches and its frees.

    Args:
        machine: the machine.
        pool: its pools.
        sanitizer: what is known of its entries.
        kasan: whether accesses are reported as KASAN does.
    """
    machine.touch_checks.append(_Accesses(machine, pool, sanitizer, kasan=kasan).check)
    pool.requests.put(_FreesLayer(machine, pool, sanitizer))

"""Telling of what compiled code does to memory, while somebody records.

Code of Python's writes with `Kernel.write`, which tells whoever listens. A compiled store tells nobody,
so while there are listeners who hear reads too, the engine tells of each store before it happens:
it becomes a `WriteMemory` with the line of C that made it. Stores of one line to one place after
another, such as those of a loop that clears a structure, become one.

What is nobody's business is told as `Changed.BYTES`, a change without a call: the stack, whose bytes
are compared before each import and behind each call; the blocks that the system keeps up to date for
the driver; the counters of lists, which inlined code counts by itself and `lookaside_sim.drive.watch` has
counted by the list's own routine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final, Protocol

import attrs

from lookaside_sim.drive.engine import Engine, Register
from lookaside_sim.drive.page_tables import PageTables
from lookaside_sim.drive.system_memory import SystemMemory
from lookaside_sim.kernel import Kernel
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.machine.calls import WriteMemory
from lookaside_sim.memory.notices import Changed
from lookaside_sim.memory.pages import NoPage
from lookaside_sim.memory.touch import WRITE

_COUNTER: Final = 4
"""Bytes of a counter of a list."""
_COUNTERS: Final = ("TotalAllocates", "AllocateMisses", "TotalFrees", "FreeMisses")
_GRAIN: Final = 64
"""Bytes that are compared at a time."""
_LONGEST: Final = 1 << 12
"""Bytes of stores that are told as one."""


class Places(Protocol):
    """Where code is, as this module sees `lookaside_sim.drive.where.Where`."""

    def stack_at(self, ip: int) -> tuple[CallSite, ...]:
        """The frames of compiled code while an instruction is about to store."""


@attrs.define
class _Store:
    """Stores that will be told as one.

    Attributes:
        address: of the first byte.
        data: what is stored.
        stack: where.
        is_counter: whether it is a list's counter.
    """

    address: int
    data: bytearray
    stack: tuple[CallSite, ...]
    is_counter: bool


class Stores:
    """The stores of one machine's compiled code.

    Args:
        kernel: the machine.
        engine: runs the code.
        tables: says where the engine's pages lie.
        system: the stack and the system's blocks.
        places: says which line runs.

    Attributes:
        are_told: whether somebody hears of them, as of the last call from outside.
        lists: the addresses of the lists that compiled code initialized.
    """

    LEFT_OUT: ClassVar[dict[str, object]] = {"are_told": False, "_pending": None, "_known": {}}

    def __init__(
        self,
        kernel: Kernel,
        engine: Engine,
        tables: PageTables,
        system: SystemMemory,
        places: Places,
    ) -> None:
        self._machine = kernel.machine
        self._engine = engine
        self._tables = tables
        self._system = system
        self._places = places
        self._offsets = {kernel.arch.lookaside_offsets[each] for each in _COUNTERS}
        self._pending: _Store | None = None
        self._known: dict[int, bytes] = {}
        self.lists: Mapping[int, object] = {}
        self.are_told = False

    def begin(self) -> None:
        """Compiled code is called from outside: find out whether anybody hears."""
        told = self._machine.hooks.hears_reads
        if told != self.are_told:
            self.are_told = told
            self._engine.tell_stores(self._stored if told else None, self._tables.first_told)
            # Whoever records may have heard of the regions when they were mapped, or not at all.
            self._known = dict.fromkeys(self._system.told, b"")
        if told:
            self._compare(0)

    # --- stores ------------------------------------------------------------------------------

    def _stored(self, physical: int, size: int, value: int) -> None:
        """An instruction is about to store."""
        address = self._tables.address_at(physical)
        if address is None:
            return
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        self._note(address, data)
        ip = self._engine.get(Register.IP)
        pending = self._pending
        stack = self._places.stack_at(ip)
        if (
            pending is not None
            and address == pending.address + len(pending.data)
            and stack == pending.stack
            and not pending.is_counter
            and len(pending.data) < _LONGEST
        ):
            pending.data += data
            return
        self.flush()
        if isinstance(self._machine.memory.translate(address, WRITE), NoPage):
            return  # the store will fault
        is_counter = size == _COUNTER and any(
            address - each in self.lists for each in self._offsets
        )
        self._pending = _Store(address, bytearray(data), stack, is_counter)

    def _note(self, address: int, data: bytes) -> None:
        """Keep what is known of the system's blocks true: a store there is told as one."""
        for region, known in self._known.items():
            at = address - region
            if 0 <= at < len(known):
                self._known[region] = known[:at] + data + known[at + len(data) :]

    def flush(self) -> None:
        """Tell what has been stored and not told yet."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        machine = self._machine
        if pending.is_counter:
            machine.memory.notice(Changed.BYTES, pending.address, len(pending.data))
            return
        data = bytes(pending.data)
        with self._at(pending.stack):
            machine.hooks.run(WriteMemory(pending.address, data), _happened)

    @contextmanager
    def _at(self, stack: Sequence[CallSite]) -> Iterator[None]:
        """Say inside that code is at some line."""
        program = self._machine.program
        before, program.stack_provider = program.stack_provider, lambda: stack
        try:
            yield
        finally:
            program.stack_provider = before

    # --- what changed without a store that is told ---------------------------------------------

    def settle(self, sp: int) -> None:
        """Tell all that has changed by now.

        Args:
            sp: where the stack ends; 0 for all of it.
        """
        if self.are_told:
            self.flush()
            self._compare(sp)

    def forget(self) -> None:
        """An import is over: what it has changed, somebody was told, or whoever told makes again."""
        if self.are_told:
            self._known = {each: self._bytes(each, each) for each in self._known}

    def _compare(self, sp: int) -> None:
        system, notice = self._system, self._machine.memory.notice
        for address, known in self._known.items():
            first = sp if address == system.stack_limit else address
            start = max(0, first - address) & -_GRAIN
            now = self._bytes(address, address + start)
            old = known[start:] if start else known
            if now == old:
                continue
            self._known[address] = known[:start] + now
            for first, size in _differences(old.ljust(len(now), b"\0"), now):
                notice(Changed.BYTES, address + start + first, size)

    def _bytes(self, address: int, start: int) -> bytes:
        """What is in one of the system's regions from an address on."""
        data, size = self._system.told[address]
        return bytes(data[start - address : size()])


def _differences(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    """Where bytes differ: from where on, and how many."""
    start = end = -1
    for at in range(0, len(new), _GRAIN):
        if new[at : at + _GRAIN] != old[at : at + _GRAIN]:
            if at != end:
                if start >= 0:
                    yield start, end - start
                start = at
            end = at + _GRAIN
    if start >= 0:
        yield start, min(end, len(new)) - start


def _happened() -> None:
    """The engine does the store."""

"""What the sanitizer knows of entries: whose each is, and what happened to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, NoReturn, Protocol

import attrs

from lookaside_sim.errors import SanitizerError, SanitizerKind
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.touch import WRITE
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.pool.kind import Pool

_MOST_RETIRED: Final = 0x4000
"""Entries given back that are remembered."""


class EntryOwner(Protocol):
    """A list, as the records of its entries see it."""

    address: int
    name: str

    @property
    def entry_size(self) -> int:
        """Bytes of an entry."""

    def holds_out(self, entry: int) -> bool:
        """Whether a caller holds an entry."""


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class EntryRecord:
    """What is known of one entry.

    Attributes:
        entry: its address.
        owner: the list it belongs to.
        history: a sentence for each thing that happened, oldest first.
    """

    entry: int
    owner: EntryOwner
    history: list[str] = attrs.field(factory=list)


class Sanitizer:
    """What the sanitized lists of one kernel know of each other's entries.

    Args:
        machine: the machine.
        pool: where entries come from.

    Attributes:
        owners: the record of each entry that is out or on a list, by address.
        retired: the record of entries given back to their free routine, oldest first.
    """

    __slots__ = ("_machine", "_pages", "_pool", "owners", "retired")

    def __init__(self, machine: Machine, pool: Pool) -> None:
        self._machine = machine
        self._pool = pool
        machine.touch_checks.append(self._check_touch)
        self.owners: dict[int, EntryRecord] = {}
        self.retired: OrderedDict[int, EntryRecord] = OrderedDict()
        # Owned entries by the pages they touch, so that a write finds them.
        self._pages: dict[int, dict[int, None]] = {}

    def adopt(self, entry: int, owner: EntryOwner) -> None:
        """An entry came from a list's allocate routine."""
        record = EntryRecord(entry, owner)
        record.history.append(f"first allocated in {self._machine.program.calling_site()}")
        self.owners[entry] = record
        self.retired.pop(entry, None)
        for page in self._pages_of(record):
            self._pages.setdefault(page, {})[entry] = None

    def retire(self, entry: int, how: str) -> None:
        """An entry goes to its list's free routine."""
        record = self.owners.pop(entry, None)
        if record is None:
            return
        for page in self._pages_of(record):
            del self._pages[page][entry]
            if not self._pages[page]:
                del self._pages[page]
        record.history.append(
            f"given back to the free routine by {how} in {self._machine.program.calling_site()}"
        )
        self.retired[entry] = record
        if len(self.retired) > _MOST_RETIRED:
            self.retired.popitem(last=False)

    def _pages_of(self, record: EntryRecord) -> range:
        last = record.entry + max(record.owner.entry_size, 1) - 1
        return range(record.entry >> PAGE_SHIFT, (last >> PAGE_SHIFT) + 1)

    def _check_touch(self, address: int, size: int, operation: int, by_program: bool) -> None:
        """Report a program's write to an entry that is free.

        Raises:
            SanitizerError: use-after-free.
        """
        if operation != WRITE or not size or not by_program:
            return
        end = address + size
        for record in self._near(address, end):
            owner = record.owner
            overlaps = record.entry < end and address < record.entry + owner.entry_size
            if overlaps and not owner.holds_out(record.entry):
                self._report_write(record, address, "lies free on the list")
        # The newest owner of the memory decides: only where no live block is, an entry that
        # was given back is written.
        if self.retired and self._pool.find(address) is None:
            for record in self.retired.values():
                if record.entry < end and address < record.entry + record.owner.entry_size:
                    self._report_write(record, address, "was given back to the pool")

    def _near(self, address: int, end: int) -> Iterator[EntryRecord]:
        for page in range(address >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1):
            for entry in self._pages.get(page, ()):
                yield self.owners[entry]

    def _report_write(self, record: EntryRecord, address: int, state: str) -> NoReturn:
        at = max(address - record.entry, 0)
        self.report(
            "use-after-free",
            address,
            record.owner,
            f"{address:#x} was written in {self._machine.program.calling_site()}: byte {at} of the entry"
            f" {record.entry:#x}, which {state}",
            record,
        )

    def report(
        self,
        kind: SanitizerKind,
        address: int,
        lookaside: EntryOwner,
        message: str,
        record: EntryRecord | None = None,
    ) -> NoReturn:
        """Raise a report.

        Raises:
            SanitizerError: always.
        """
        history = () if record is None else tuple(record.history)
        raise SanitizerError(kind, address, lookaside, message, history)


class SanitizedShared(Shared):
    """What sanitized lists share: also what is known of their entries.

    Attributes:
        sanitizer: what is known.
    """

    __slots__ = ("sanitizer",)

    def __init__(self, machine: Machine, pool: Pool, kind: type[Any]) -> None:
        super().__init__(machine, pool, kind)
        self.sanitizer = Sanitizer(machine, pool)


def sanitizer_of(shared: Shared) -> Sanitizer:
    """The sanitizer of a machine's lists.

    Raises:
        TypeError: the machine has none.
    """
    if not isinstance(shared, SanitizedShared):
        raise TypeError("a sanitized list needs a machine made with sanitizer=True")
    return shared.sanitizer

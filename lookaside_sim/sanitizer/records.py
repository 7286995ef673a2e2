"""What the sanitizer knows of entries: whose each is, and what happened to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar, Final, NoReturn, Protocol

import attrs

from lookaside_sim.errors import SanitizerError, SanitizerKind
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.touch import READ, WRITE
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.pool.kind import Pool
from lookaside_sim.pool.requests import Layer, Order

_VERBS: Final = {READ: "read", WRITE: "written"}
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
        structures: the active lists that lie in pool blocks, by address.
    """

    __slots__ = ("_machine", "_pages", "_pool", "owners", "retired", "structures")

    def __init__(self, machine: Machine, pool: Pool) -> None:
        self._machine = machine
        self._pool = pool
        machine.touch_checks.append(self._check_touch)
        pool.requests.put(FreeCheckLayer(self))
        self.structures: dict[int, EntryOwner] = {}
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
        """Report a program's read of an entry that is free, or write to it.

        Raises:
            SanitizerError: use-after-free.
        """
        if operation not in _VERBS or not size or not by_program:
            return
        verb = _VERBS[operation]
        end = address + size
        for record in self._near(address, end):
            owner = record.owner
            overlaps = record.entry < end and address < record.entry + owner.entry_size
            if overlaps and not owner.holds_out(record.entry):
                self._report_touch(record, address, verb, "lies free on the list")
        # The newest owner of the memory decides: only where no live block is, an entry that
        # was given back is written.
        if self.retired and self._pool.find(address) is None:
            for record in self.retired.values():
                if record.entry < end and address < record.entry + record.owner.entry_size:
                    self._report_touch(record, address, verb, "was given back to the pool")

    def _near(self, address: int, end: int) -> Iterator[EntryRecord]:
        for page in range(address >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1):
            for entry in self._pages.get(page, ()):
                yield self.owners[entry]

    def check_free(self, address: int) -> None:
        """Report a block that is freed to the pool while a list still needs it.

        Raises:
            SanitizerError: freed-entry, for an entry that was not given back to its list;
                freed-list, for a block with an active list in it.
        """
        record = self.owners.get(address)
        where = self._machine.program.calling_site
        if record is not None:
            owner = record.owner
            state = "is out" if owner.holds_out(address) else "lies free on the list"
            self.report(
                "freed-entry",
                address,
                owner,
                f"the entry {address:#x} of the list {owner.name!r} at {owner.address:#x} was freed"
                f" to the pool in {where()}; it {state}, and goes back to its list only",
                record,
            )
        if not self.structures:
            return
        block = self._pool.find(address)
        if block is None or block.address != address:
            return
        for listed in self.structures.values():
            if address <= listed.address < address + block.size:
                self.report(
                    "freed-list",
                    address,
                    listed,
                    f"the block at {address:#x} was freed in {where()} with the active list"
                    f" {listed.name!r} at {listed.address:#x} in it",
                )

    def _report_touch(
        self, record: EntryRecord, address: int, verb: str, state: str
    ) -> NoReturn:
        at = max(address - record.entry, 0)
        self.report(
            "use-after-free",
            address,
            record.owner,
            f"{address:#x} was {verb} in {self._machine.program.calling_site()}: byte {at} of the entry"
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


class FreeCheckLayer(Layer):
    """Lies over every free, so that the sanitizer sees what reaches the pool.

    Args:
        sanitizer: what checks.
    """

    __slots__ = ("_sanitizer",)

    order: ClassVar[Order] = Order.SANITIZER

    def __init__(self, sanitizer: Sanitizer) -> None:
        self._sanitizer = sanitizer

    def free(self, address: int, tag: int = 0) -> None:
        """Check a free, then hand it on."""
        sanitizer = self._sanitizer
        if address in sanitizer.owners or sanitizer.structures:
            sanitizer.check_free(address)
        self.below.free(address, tag)


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

"""What the sanitizer knows of entries: whose each is, and what happened to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

import attrs

from lookaside_sim.errors import SanitizerError, SanitizerKind
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.pool.kind import Pool

T = TypeVar("T")

TO_FULL_LIST: Final = "a free to the full list"
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
        size: its bytes, at least 1.
        history: a sentence for each thing that happened, oldest first.
        taken: where it was allocated last, where that is noted and was not the first time.
        given: where it was freed to its list, where that is noted and it lies there.
    """

    entry: int
    owner: EntryOwner
    size: int
    history: list[str] = attrs.field(factory=list)
    taken: CallSite | None = None
    given: CallSite | None = None

    def overlaps(self, start: int, end: int) -> bool:
        """Whether the entry shares a byte with a range."""
        return self.entry < end and start < self.entry + self.size

    def told(self) -> tuple[str, ...]:
        """All that is known of it, oldest first, a sentence each."""
        lately = []
        if self.taken is not None:
            lately.append(f"last allocated in {self.taken}")
        if self.given is not None:
            lately.append(f"freed to its list in {self.given}")
        return (*self.history, *lately)


class _ByPage(Generic[T]):
    """Things by the pages that their ranges touch."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: dict[int, dict[int, T]] = {}

    def __bool__(self) -> bool:
        return bool(self._pages)

    def add(self, start: int, size: int, thing: T) -> None:
        for page in _pages(start, start + size):
            self._pages.setdefault(page, {})[start] = thing

    def remove(self, start: int, size: int) -> None:
        for page in _pages(start, start + size):
            here = self._pages.get(page, {})
            here.pop(start, None)
            if not here:
                self._pages.pop(page, None)

    def near(self, start: int, end: int) -> list[T]:
        """What touches the pages of a range, each at least once."""
        pages: Iterable[int] = _pages(start, end)
        if (end - start) >> PAGE_SHIFT > len(self._pages):
            touched = _pages(start, end)
            pages = [page for page in self._pages if page in touched]
        return [each for page in pages for each in self._pages.get(page, {}).values()]


def _pages(start: int, end: int) -> range:
    return range(start >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1)


class Sanitizer:
    """What the sanitized lists of one kernel know of each other's entries.

    Args:
        machine: the machine.

    Attributes:
        owners: the record of each entry that is out or on a list, by address.
        retired: the record of entries given back to their free routine, oldest first.
    """

    __slots__ = ("_lists", "_machine", "_owned", "_retired", "owners", "retired")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.owners: dict[int, EntryRecord] = {}
        self.retired: OrderedDict[int, EntryRecord] = OrderedDict()
        self._owned: _ByPage[EntryRecord] = _ByPage()
        self._retired: _ByPage[EntryRecord] = _ByPage()
        self._lists: _ByPage[EntryOwner] = _ByPage()

    # --- entries -------------------------------------------------------------------------------

    def adopt(self, entry: int, owner: EntryOwner) -> None:
        """An entry came from a list's allocate routine."""
        record = EntryRecord(entry, owner, max(owner.entry_size, 1))
        record.history.append(f"first allocated in {self._machine.program.calling_site()}")
        self._let_go(entry)
        self.owners[entry] = record
        self._owned.add(entry, record.size, record)
        before = self.retired.pop(entry, None)
        if before is not None:
            self._retired.remove(entry, before.size)

    def retire(self, entry: int, how: str) -> None:
        """An entry goes to its list's free routine."""
        record = self._let_go(entry)
        if record is None:
            return
        if how == TO_FULL_LIST:
            record.given = None  # it never lay there
        record.history[:] = record.told()
        record.taken = record.given = None
        record.history.append(
            f"given back to the free routine by {how} in {self._machine.program.calling_site()}"
        )
        self.retired[entry] = record
        self._retired.add(entry, record.size, record)
        if len(self.retired) > _MOST_RETIRED:
            oldest, forgotten = self.retired.popitem(last=False)
            self._retired.remove(oldest, forgotten.size)

    def note_taken(self, entry: int) -> None:
        """A list hands out an entry that it had before."""
        record = self.owners.get(entry)
        if record is not None:
            record.taken, record.given = self._machine.program.calling_site(), None

    def note_given(self, entry: int) -> None:
        """An entry is freed to its list."""
        record = self.owners.get(entry)
        if record is not None:
            record.given = self._machine.program.calling_site()

    def _let_go(self, entry: int) -> EntryRecord | None:
        record = self.owners.pop(entry, None)
        if record is not None:
            self._owned.remove(entry, record.size)
        return record

    def near(self, start: int, end: int) -> list[EntryRecord]:
        """The owned entries in the pages of a range."""
        return self._owned.near(start, end)

    def near_retired(self, start: int, end: int) -> list[EntryRecord]:
        """The entries in the pages of a range that were given back."""
        return self._retired.near(start, end)

    # --- lists in pool blocks --------------------------------------------------------------------

    @property
    def has_lists_in_blocks(self) -> bool:
        """Whether an active list lies in memory that somebody else owns."""
        return bool(self._lists)

    def list_begins(self, lookaside: EntryOwner) -> None:
        """A list in somebody else's memory is active from now on."""
        self._lists.add(lookaside.address, 1, lookaside)

    def list_ends(self, lookaside: EntryOwner) -> None:
        """It is active no longer."""
        self._lists.remove(lookaside.address, 1)

    def lists_within(self, start: int, end: int) -> Iterator[EntryOwner]:
        """The active lists in a range."""
        for each in self._lists.near(start, end):
            if start <= each.address < end:
                yield each

    # --- reports -------------------------------------------------------------------------------------

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
        history = () if record is None else record.told()
        # Not because of the lookup that failed on the hot path and led here.
        raise SanitizerError(kind, address, lookaside, message, history) from None


class NotedEntries(set[int]):
    """The entries that callers hold, where it is noted who allocates and frees them.

    Args:
        entries: as for a set.
        sanitizer: takes the notes.
    """

    __slots__ = ("_sanitizer",)

    def __init__(self, entries: Iterable[int] = (), sanitizer: Sanitizer | None = None) -> None:
        super().__init__(entries)
        self._sanitizer = sanitizer

    def add(self, entry: int) -> None:
        """A caller holds an entry from now on."""
        super().add(entry)
        if self._sanitizer is not None:
            self._sanitizer.note_taken(entry)

    def remove(self, entry: int) -> None:
        """A caller gives an entry back; KeyError where none holds it."""
        super().remove(entry)
        if self._sanitizer is not None:
            self._sanitizer.note_given(entry)


class SanitizedShared(Shared):
    """What sanitized lists share: also what is known of their entries.

    Attributes:
        sanitizer: what is known.
    """

    __slots__ = ("sanitizer",)

    def __init__(self, machine: Machine, pool: Pool, kind: type[Any]) -> None:
        super().__init__(machine, pool, kind)
        self.sanitizer = Sanitizer(machine)


def sanitizer_of(shared: Shared) -> Sanitizer:
    """The sanitizer of a machine's lists.

    Raises:
        TypeError: the machine has none.
    """
    if not isinstance(shared, SanitizedShared):
        raise TypeError("a sanitized list needs a machine made with sanitizer=True")
    return shared.sanitizer

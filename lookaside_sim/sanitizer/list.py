"""A sanitizer for lookaside lists: normal lists that notice being misused.

``Kernel(sanitizer=True)`` makes every list a `SanitizedList`. It caches and counts as any
other, its depth is 4 and up, and memory holds the same bytes; but each call is checked first,
and a misused list raises `SanitizerError` at the call that misuses it. The call then did
nothing, and the machine runs on.

Against NT: NT checks nothing here. Against the verifier: that one takes the caching away
(Depth 0), reports what reaches the pool, as a bug check, and needs no cooperation; this one
keeps the caching, reports what reaches a list, and knows each entry's list.

What it keeps: for each list the entries that callers hold, and, from the first time a list got
an entry from its allocate routine until it is given back, which list the entry belongs to.
Hits touch the first only, by one set operation each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from lookaside_sim.errors import SanitizerError, SanitizerKind
from lookaside_sim.lookaside import AllocateRoutine, FreeRoutine, LookasideList
from lookaside_sim.lookaside.initialize import ListSettings
from lookaside_sim.machine.program import calling_site
from lookaside_sim.nt.layouts import PAGE_SHIFT

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel

_INACTIVE: Final = -1
"""Highest IRQL at which a list that is not active may be used: none."""
_MOST_RETIRED: Final = 0x4000
"""Entries given back that are remembered."""
_WRITE: Final = 2
_SHOWN: Final = 8  # leaked entries that a message names


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class EntryRecord:
    """What is known of one entry.

    Attributes:
        entry: its address.
        owner: the list it belongs to.
        history: a sentence for each thing that happened, oldest first.
    """

    entry: int
    owner: SanitizedList
    history: list[str] = attrs.field(factory=list)


class Sanitizer:
    """What the sanitized lists of one kernel know of each other's entries.

    Args:
        kernel: the machine.

    Attributes:
        owners: the record of each entry that is out or on a list, by address.
        retired: the record of entries given back to their free routine, oldest first.
    """

    __slots__ = ("_kernel", "_pages", "owners", "retired")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.owners: dict[int, EntryRecord] = {}
        self.retired: OrderedDict[int, EntryRecord] = OrderedDict()
        # Owned entries by the pages they touch, so that a write finds them.
        self._pages: dict[int, dict[int, None]] = {}

    def adopt(self, entry: int, owner: SanitizedList) -> None:
        """An entry came from a list's allocate routine."""
        record = EntryRecord(entry, owner)
        record.history.append(f"first allocated in {calling_site()}")
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
        record.history.append(f"given back to the free routine by {how} in {calling_site()}")
        self.retired[entry] = record
        if len(self.retired) > _MOST_RETIRED:
            self.retired.popitem(last=False)

    def _pages_of(self, record: EntryRecord) -> range:
        last = record.entry + max(record.owner.entry_size, 1) - 1
        return range(record.entry >> PAGE_SHIFT, (last >> PAGE_SHIFT) + 1)

    def check_access(self, address: int, size: int, operation: int) -> None:
        """Report a program's write to an entry that is free.

        Raises:
            SanitizerError: use-after-free.
        """
        if operation != _WRITE or not size:
            return
        end = address + size
        for record in self._near(address, end):
            owner = record.owner
            overlaps = record.entry < end and address < record.entry + owner.entry_size
            if overlaps and not owner.holds_out(record.entry):
                self._report_write(record, address, "lies free on the list")
        # The newest owner of the memory decides: only where no live block is, an entry that
        # was given back is written.
        if self.retired and self._kernel.pool.find(address) is None:
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
            f"{address:#x} was written in {calling_site()}: byte {at} of the entry"
            f" {record.entry:#x}, which {state}",
            record,
        )

    def report(
        self,
        kind: SanitizerKind,
        address: int,
        lookaside: LookasideList,
        message: str,
        record: EntryRecord | None = None,
    ) -> NoReturn:
        """Raise a report.

        Raises:
            SanitizerError: always.
        """
        history = () if record is None else tuple(record.history)
        raise SanitizerError(kind, address, lookaside, message, history)


class SanitizedList(LookasideList):
    """A lookaside list that checks each call first. Made by `LookasideList` itself.

    The checks come before the call's work, which is the same as in `LookasideList`; the hot
    paths are written out here once more so that a hit is still one Python call.
    """

    __slots__ = ("_ceiling", "_entry_size", "_live")

    _ceiling: int
    """Highest IRQL at which it may be used."""
    _entry_size: int
    _live: set[int]
    """Entries that callers hold."""

    def __init__(self, kernel: Kernel, name: str = "", address: int | None = None) -> None:
        self._ceiling = _INACTIVE
        self._entry_size = 0
        self._live = set()
        super().__init__(kernel, name, address)

    @property
    def entry_size(self) -> int:
        """Bytes of an entry, also while the structure cannot be read."""
        return self._entry_size

    def holds_out(self, entry: int) -> bool:
        """Whether a caller holds an entry."""
        return entry in self._live

    @property
    def live_entries(self) -> frozenset[int]:
        """The entries that callers hold."""
        return frozenset(self._live)

    def _set_up(
        self,
        settings: ListSettings,
        allocate: AllocateRoutine | None,
        free: FreeRoutine | None,
    ) -> None:
        super()._set_up(settings, allocate, free)
        self._ceiling = 1 if settings.pool_type & 1 else 2
        self._entry_size = settings.size
        self._live.clear()

    def allocate(self) -> int | None:
        """Take an entry; see `LookasideList.allocate`.

        Raises:
            SanitizerError: irql, deleted-list.
        """
        if self._kernel.gate > self._ceiling:
            self._refuse("allocated from")
        held = self._held
        if held:
            entry = self._first
            try:
                self._first = self._links[entry]
            except KeyError:
                return self._allocate_checked()
            self._held = held - 1
            self._total_allocates += 1
            self._live.add(entry)
            return entry
        return self._allocate_checked()

    def free(self, entry: int | None) -> None:
        """Give an entry back; see `LookasideList.free`.

        Raises:
            SanitizerError: irql, deleted-list, double-free, wrong-list, foreign-entry.
        """
        if self._kernel.gate > self._ceiling:
            self._refuse("freed to", entry)
        try:
            self._live.remove(entry)  # type: ignore[arg-type]
        except (KeyError, TypeError):
            self._refuse_entry(entry)
        held = self._held
        if held < self._depth:
            links = self._links
            if type(entry) is int and (entry in links or self._memory.cache(entry)):
                links[entry] = self._first
                self._first = entry
                self._held = held + 1
                self._total_frees += 1
                return
        self._free_checked(entry)  # type: ignore[arg-type]

    def _allocate_checked(self) -> int | None:
        misses = self.allocate_misses
        entry = super().allocate()
        if entry is not None:
            if self.allocate_misses != misses or entry not in self._sanitizer.owners:
                self._sanitizer.adopt(entry, self)
            self._live.add(entry)
        return entry

    def _free_checked(self, entry: int) -> None:
        misses = self.free_misses
        sanitizer = self._sanitizer
        if self.current_depth >= self.depth:
            # Before the pool gets it: the free routine may hand the memory out again.
            sanitizer.retire(entry, "a free to the full list")
        try:
            super().free(entry)
        except Exception:
            if self.free_misses == misses:
                self._live.add(entry)  # the call was not even counted
            raise

    def flush(self) -> None:
        """Give the free entries back; see `LookasideList.flush`.

        Raises:
            SanitizerError: irql, deleted-list.
        """
        if self._kernel.gate > self._ceiling:
            self._refuse("flushed")
        self._retire_free_entries("a flush")
        super().flush()

    def delete(self) -> None:
        """Delete the list; see `LookasideList.delete`.

        Raises:
            SanitizerError: irql, deleted-list; entry-leaked when callers still hold entries.
                The list is then still active.
        """
        if self._kernel.gate > self._ceiling:
            self._refuse("deleted")
        if self._live:
            first = min(self._live)
            shown = ", ".join(f"{entry:#x}" for entry in sorted(self._live)[:_SHOWN])
            self._report(
                "entry-leaked",
                first,
                f"the list is deleted in {calling_site()} with {len(self._live)} entries still"
                f" out: {shown}",
                self._sanitizer.owners.get(first),
            )
        self._delete()

    def _delete(self) -> None:
        self._retire_free_entries("the list's delete")
        for entry in self._live:
            self._sanitizer.retire(entry, "nobody, when the list was deleted")
        super().delete()
        self._ceiling = _INACTIVE

    def _retire_free_entries(self, how: str) -> None:
        for entry in list(self.entries()):
            self._sanitizer.retire(entry, how)

    def __exit__(self, *exception: object) -> None:
        if self._active and self._kernel.bugcheck is None:
            if exception[0] is None:
                self.delete()
            else:
                self._delete()  # a report about entries would hide what went wrong

    # --- what is wrong -------------------------------------------------------------------

    @property
    def _sanitizer(self) -> Sanitizer:
        sanitizer = self._kernel.sanitizer
        assert sanitizer is not None
        return sanitizer

    def _refuse(self, verb: str, entry: int | None = None) -> NoReturn:
        kernel = self._kernel
        kernel.check_running()
        address = entry if isinstance(entry, int) else self.address
        if self._ceiling == _INACTIVE:
            state = "was deleted" if self._entry_size else "was never initialized"
            self._report(
                "deleted-list", address, f"the list was {verb} in {calling_site()}; it {state}"
            )
        kind = "paged" if self._ceiling == 1 else "nonpaged"
        self._report(
            "irql",
            address,
            f"the {kind} list was {verb} at IRQL {kernel.gate} in {calling_site()}, and"
            f" {self._ceiling} is the highest it may be used at",
        )

    def _refuse_entry(self, entry: int | None) -> NoReturn:
        """Say what is wrong with an entry that no caller can hold."""
        if entry is not None and not hasattr(entry, "__index__"):
            raise TypeError(f"entry {entry!r}: give an integer")
        address = 0 if entry is None else int(entry)
        if address < 0:
            raise ValueError(f"entry {address}: give an address")
        sanitizer = self._sanitizer
        where = calling_site()
        record = sanitizer.owners.get(address)
        if record is None and self._kernel.pool.find(address) is None:
            record = sanitizer.retired.get(address)
        if record is None:
            inside = next(
                (
                    each
                    for each in sanitizer.owners.values()
                    if each.entry < address < each.entry + each.owner.entry_size
                ),
                None,
            )
            what = "no list allocated it"
            if inside is not None:
                what = (
                    f"it lies {address - inside.entry} bytes into the entry {inside.entry:#x}"
                )
            self._report(
                "foreign-entry", address, f"{address:#x} was freed in {where}: {what}", inside
            )
        if record.owner is not self:
            other = record.owner
            self._report(
                "wrong-list",
                address,
                f"the entry {address:#x} of the list {other.name!r} at {other.address:#x} was"
                f" freed to this one in {where}",
                record,
            )
        self._report(
            "double-free", address, f"the entry {address:#x} was freed again in {where}", record
        )

    def _report(
        self,
        kind: SanitizerKind,
        address: int,
        message: str,
        record: EntryRecord | None = None,
    ) -> NoReturn:
        label = f"{self.name!r} " if self.name else ""
        self._sanitizer.report(
            kind, address, self, f"list {label}at {self.address:#x}: {message}", record
        )

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
Hits touch the first only, by one set operation each. Where the pool is tracked, as it is with a driver
loaded, the set also notes the line of each call.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NoReturn

from lookaside_sim.errors import InvariantError, SanitizerKind
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    ListCall,
)
from lookaside_sim.lookaside.initialize import ListSettings
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.place import InMemory
from lookaside_sim.lookaside.routines import AllocateRoutine, FreeRoutine
from lookaside_sim.lookaside.shared import ListHost
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import NtStatus
from lookaside_sim.sanitizer.records import (
    TO_FULL_LIST,
    EntryRecord,
    NotedEntries,
    Sanitizer,
    sanitizer_of,
)

_INACTIVE: Final = -1
"""Highest IRQL at which a list that is not active may be used: none."""
_SHOWN: Final = 8  # leaked entries that a message names


class SanitizedList(LookasideList):
    """A lookaside list that checks each call first. Made by `LookasideList` itself.

    The checks come before the call's work, which is the same as in `LookasideList`; the hot
    paths are written out here once more so that a hit is still one Python call.
    """

    __slots__ = ("_ceiling", "_entry_size", "_live", "_sanitizer")

    _ceiling: int
    """Highest IRQL at which it may be used."""
    _entry_size: int
    _live: set[int]
    """Entries that callers hold."""
    _sanitizer: Sanitizer

    def __init__(
        self,
        kernel: ListHost,
        name: str = "",
        address: int | InMemory | None = None,
        *,
        older: bool = False,
    ) -> None:
        self._ceiling = _INACTIVE
        self._entry_size = 0
        self._live = set()
        self._sanitizer = sanitizer_of(kernel.lists)
        super().__init__(kernel, name, address, older=older)

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
        settings: ListSettings | NtStatus,
        allocate: AllocateRoutine | None,
        free: FreeRoutine | None,
        older: bool = False,
    ) -> NtStatus:
        if isinstance(settings, NtStatus):
            return settings
        ceiling = 1 if settings.pool_type & 1 else 2
        self._check_set_up(ceiling)
        status = super()._set_up(settings, allocate, free, older)
        self._ceiling = ceiling
        self._entry_size = settings.size
        self._live = (
            NotedEntries((), self._sanitizer) if self._machine.program.notes_sites else set()
        )
        if self._place is not None:
            self._sanitizer.list_begins(self)
        return status

    def _check_set_up(self, ceiling: int) -> None:
        """Report what makes an initialization a mistake; it then did not happen."""
        where = self._calling_site()
        if self._shared.registry.holds(self):
            self._report(
                "initialized-twice",
                self.address,
                f"the list was initialized in {where}, and is active already",
            )
        pool = self._pool.descriptor_at(self.address)
        if pool is not None and pool.paged:
            self._report(
                "paged-list",
                self.address,
                f"the list was initialized in {where} in paged pool; a list has to lie in"
                " nonpaged memory, whatever its entries are",
            )
        if self._machine.gate > ceiling:
            kind = "paged" if ceiling == 1 else "nonpaged"
            self._report(
                "irql",
                self.address,
                f"the {kind} list was initialized at IRQL {self._machine.gate} in {where}, and"
                f" {ceiling} is the highest it may be initialized at",
            )

    def allocate(self) -> int | None:
        """Take an entry; see `LookasideList.allocate`.

        Raises:
            SanitizerError: irql, deleted-list.
        """
        if self._machine.gate > self._ceiling:
            self._refuse("allocated from", AllocateEntry(self))
        held = self._held
        if held:
            slot = self._head
            link = slot.flink
            if link is not None:  # UNKNOWN
                self._head = link
                self._held = held - 1
                self._pops += 1
                entry = slot.address
                self._live.add(entry)
                return entry
        return self._allocate_checked()

    def free(self, entry: int | None) -> None:
        """Give an entry back; see `LookasideList.free`.

        Raises:
            SanitizerError: irql, deleted-list, double-free, wrong-list, foreign-entry.
        """
        if self._machine.gate > self._ceiling:
            self._refuse_free(entry)
        try:
            self._live.remove(entry)  # type: ignore[arg-type]
        except (KeyError, TypeError):
            entry = self._entry_of(entry)
            self._live.remove(entry)
        held = self._held
        if held < self._depth:
            try:
                slot = self._slots[entry]  # type: ignore[index]
            except KeyError:
                slot = self._memory.slots.null
            if slot.used is entry or (slot.used and type(entry) is int):
                slot.flink = self._head
                self._head = slot
                self._held = held + 1
                return
        if type(entry) is not int:
            # A float or Decimal may equal an entry's address, and is none.
            self._still_held(int(entry))  # type: ignore[arg-type]
            entry = self._entry_of(entry)
            self._live.remove(entry)
        self._free_checked(entry)

    def _allocate_checked(self) -> int | None:
        misses = self.allocate_misses
        entry = super().allocate()
        if entry is not None:
            if self.allocate_misses != misses or entry not in self._sanitizer.owners:
                self._sanitizer.adopt(entry, self)
                set.add(self._live, entry)
            else:
                self._live.add(entry)
        return entry

    def _free_checked(self, entry: int) -> None:
        misses = self.free_misses
        sanitizer = self._sanitizer
        if self.current_depth >= self.depth:
            # Before the pool gets it: the free routine may hand the memory out again.
            sanitizer.retire(entry, TO_FULL_LIST)
        try:
            super().free(entry)
        except Exception:
            if self.free_misses == misses:
                self._still_held(entry)  # the call was not even counted
            raise

    def _still_held(self, entry: int) -> None:
        """A caller holds an entry still, whose free did not happen."""
        set.add(self._live, entry)
        record = self._sanitizer.owners.get(entry)
        if record is not None:
            record.given = None

    def flush(self) -> None:
        """Give the free entries back; see `LookasideList.flush`.

        Raises:
            SanitizerError: irql, deleted-list.
        """
        if self._machine.gate > self._ceiling:
            self._refuse("flushed", FlushList(self))
        self._retire_free_entries("a flush")
        super().flush()

    def delete(self) -> None:
        """Delete the list; see `LookasideList.delete`.

        Raises:
            SanitizerError: irql, deleted-list; entry-leaked when callers still hold entries.
                The list is then still active.
        """
        if self._machine.gate > self._ceiling:
            self._refuse("deleted", DeleteList(self))
        if self._live:
            self._machine.hooks.run(DeleteList(self), self._report_leaked)
        self.delete_anyway()

    def _report_leaked(self) -> NoReturn:
        first = min(self._live)
        shown = ", ".join(f"{entry:#x}" for entry in sorted(self._live)[:_SHOWN])
        self._report(
            "entry-leaked",
            first,
            f"the list is deleted in {self._calling_site()} with {len(self._live)} entries still"
            f" out: {shown}",
            self._sanitizer.owners.get(first),
        )

    def delete_anyway(self) -> None:
        """Delete the list, whoever still holds entries."""
        self._retire_free_entries("the list's delete")
        for entry in sorted(self._live):
            self._sanitizer.retire(entry, "nobody, when the list was deleted")
        try:
            super().delete()
        finally:
            if not self._active:
                self._ceiling = _INACTIVE
                if self._place is not None:
                    self._sanitizer.list_ends(self)

    def _retire_free_entries(self, how: str) -> None:
        # Overwritten links are followed as far as they lead; the flush meets them itself.
        with suppress(InvariantError):
            for entry in self.entries():
                self._sanitizer.retire(entry, how)

    def __exit__(self, *exception: object) -> None:
        if self._active and self._machine.bugcheck is None:
            if exception[0] is None:
                self.delete()
            else:
                self.delete_anyway()  # a report about entries would hide what went wrong

    # --- what is wrong -------------------------------------------------------------------

    def _refuse(self, verb: str, call: ListCall, entry: int | None = None) -> NoReturn:
        """Report a list that may not be used now; the call is told, and did nothing."""
        self._machine.check_running()
        address = self.address if entry is None else entry
        self._machine.hooks.run(call, self._report_use, verb, address)

    def _report_use(self, verb: str, address: int) -> NoReturn:
        where = self._calling_site()
        if self._ceiling == _INACTIVE:
            state = "was deleted" if self._entry_size else "was never initialized"
            self._report("deleted-list", address, f"the list was {verb} in {where}; it {state}")
        kind = "paged" if self._ceiling == 1 else "nonpaged"
        self._report(
            "irql",
            address,
            f"the {kind} list was {verb} at IRQL {self._machine.gate} in {where}, and"
            f" {self._ceiling} is the highest it may be used at",
        )

    def _refuse_free(self, entry: int | None) -> NoReturn:
        address = entry if isinstance(entry, int) else None
        self._refuse("freed to", FreeEntry(self, address or 0), address)

    def _entry_of(self, entry: int | None) -> int:
        """Take an integer of somebody else's for the entry it is.

        Reports an entry that no caller can hold; the call is told, and did nothing.
        """
        address = 0 if entry is None else unsigned("entry", entry, self.arch.address_bits)
        if address in self._live:
            return address
        self._machine.hooks.run(FreeEntry(self, address), self._report_entry, address)

    def _report_entry(self, address: int) -> NoReturn:
        """Say what is wrong with an entry that no caller can hold."""
        sanitizer = self._sanitizer
        where = self._calling_site()
        record = sanitizer.owners.get(address)
        if record is None and self._pool.find(address) is None:
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

    def _calling_site(self) -> CallSite:
        return self._machine.program.calling_site()

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

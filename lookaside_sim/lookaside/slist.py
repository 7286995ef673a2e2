"""SLISTs of a driver's own: the routines on an SLIST_HEADER anywhere in memory.

The links lie in the entries, and nothing checks them: an entry pushed twice is on the list
twice, an overwritten link is followed. Every routine is one step, as the processor's interlocked
instruction makes it.

Source:
    docs/sources.md, lists section 2. [doc] ExInitializeSListHead, ExInterlockedPushEntrySList,
    ExInterlockedPopEntrySList, ExInterlockedFlushSList, ExQueryDepthSList.
"""

from __future__ import annotations

from typing import ClassVar

from lookaside_sim.errors import NtStatusError
from lookaside_sim.lookaside.slist_header import SEQUENCE_MASK, SListHeader, pack, unpack
from lookaside_sim.machine.calls import Call
from lookaside_sim.machine.machine import Machine
from lookaside_sim.memory.touch import READ, WRITE
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import USHORT_MASK, NtStatus

_EMPTY = SListHeader(first=0, depth=0, sequence=0)


class SListCall(Call):
    """A call on one SLIST.

    Attributes:
        head: address of the SLIST_HEADER.
    """

    head: int


class InitializeSList(SListCall):
    """An SLIST is initialized."""

    word: ClassVar[str] = "slist"


class PushEntry(SListCall):
    """An entry is put in front. The result is the entry that was first, 0 for none.

    Attributes:
        entry: its address.
    """

    word: ClassVar[str] = "push"
    entry: int


class PopEntry(SListCall):
    """The first entry is taken off. The result is its address, 0 for none."""

    word: ClassVar[str] = "pop"

    @property
    def is_refused(self) -> bool:
        """Whether there was none."""
        return not self.result


class FlushSList(SListCall):
    """All entries are taken off. The result is the first one's address, 0 for none."""

    word: ClassVar[str] = "flush-slist"


class SLists:
    """The routines on SLISTs of one machine.

    Args:
        machine: the machine.
    """

    __slots__ = ("_machine",)

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def initialize(self, head: int) -> None:
        """InitializeSListHead: make an empty list.

        Args:
            head: address of the SLIST_HEADER.

        Raises:
            NtStatusError: STATUS_DATATYPE_MISALIGNMENT, on x64 for a head that is not aligned
                to 16 bytes; nothing is written. On x86 any address will do.
        """
        machine = self._machine
        head = self._start("ListHead", head)
        machine.hooks.run(InitializeSList(head), self._initialize, head)

    def _initialize(self, head: int) -> None:
        if head & self._machine.arch.next_entry_lost_bits:
            raise NtStatusError(
                NtStatus.STATUS_DATATYPE_MISALIGNMENT,
                f"InitializeSListHead({head:#x}): an SLIST_HEADER is aligned to 16 bytes",
            )
        self._store(head, _EMPTY)

    def push(self, head: int, entry: int) -> int:
        """InterlockedPushEntrySList: put an entry in front.

        Args:
            head: address of the SLIST_HEADER.
            entry: address of the entry, whose first pointer becomes the link.

        Returns:
            The entry that was first, 0 for none.

        Raises:
            BugCheck: the head or the entry cannot be touched; the list is as it was.
        """
        head = self._start("ListHead", head)
        entry = unsigned("ListEntry", entry, self._machine.arch.address_bits)
        return self._machine.hooks.run(PushEntry(head, entry), self._push, head, entry)

    def _push(self, head: int, entry: int) -> int:
        arch = self._machine.arch
        first, depth, sequence, reserved = self._load(head)
        self._check_touch(entry, arch.pointer_size, WRITE)
        self._machine.memory.write_pointer(entry, first)
        changed = SListHeader(
            entry & ~arch.next_entry_lost_bits,
            depth + 1 & USHORT_MASK,
            sequence + 1 & SEQUENCE_MASK[arch.pointer_size],
            reserved,
        )
        self._store(head, changed)
        return first

    def pop(self, head: int) -> int:
        """InterlockedPopEntrySList: take the first entry off.

        Args:
            head: address of the SLIST_HEADER.

        Returns:
            Its address, 0 for none. Its first pointer still is the link.

        Raises:
            BugCheck: the head or the first entry cannot be touched; the list is as it was.
        """
        head = self._start("ListHead", head)
        return self._machine.hooks.run(PopEntry(head), self._pop, head)

    def _pop(self, head: int) -> int:
        arch = self._machine.arch
        header = self._load(head)
        entry = header.first
        if entry:
            self._check_touch(entry, arch.pointer_size, READ)
            link = self._machine.memory.read_pointer(entry)
            changed = header._replace(
                first=link & ~arch.next_entry_lost_bits, depth=header.depth - 1 & USHORT_MASK
            )
            self._store(head, changed)
        return entry

    def flush(self, head: int) -> int:
        """ExInterlockedFlushSList: take all entries off at once.

        Args:
            head: address of the SLIST_HEADER.

        Returns:
            The first entry's address, 0 for none. The others hang on its link.
        """
        head = self._start("ListHead", head)
        return self._machine.hooks.run(FlushSList(head), self._flush, head)

    def _flush(self, head: int) -> int:
        header = self._load(head)
        if header.first:
            self._store(head, header._replace(first=0, depth=0))
        return header.first

    def depth(self, head: int) -> int:
        """ExQueryDepthSList: how many entries the head says there are, 0 to 65535."""
        return self._load(self._start("SListHead", head)).depth

    def first(self, head: int) -> int:
        """FirstEntrySList: address of the first entry, 0 for none; it stays on the list."""
        return self._load(self._start("ListHead", head)).first

    # --- memory ----------------------------------------------------------------------------

    def _start(self, name: str, head: int) -> int:
        self._machine.check_running()
        return unsigned(name, head, self._machine.arch.address_bits)

    def _check_touch(self, address: int, size: int, operation: int) -> None:
        for check in self._machine.touch_checks:
            check(address, size, operation, False)

    def _load(self, head: int) -> SListHeader:
        machine = self._machine
        size = machine.arch.slist_header_size
        self._check_touch(head, size, READ)
        return unpack(machine.arch, machine.memory.read(head, size))

    def _store(self, head: int, header: SListHeader) -> None:
        self._machine.memory.write(head, pack(self._machine.arch, header))

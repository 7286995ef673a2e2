"""The structures of NT's that drivers embed in their own; import them from `lookaside_sim.ddi`.

Source:
    [header] ntdef.h, wdm.h (WDK, mingw-w64). An ERESOURCE is the one of Windows Vista and later.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.structures import Fields, StructureType, structure
from lookaside_sim.ddi.types import (
    BOOLEAN,
    HANDLE,
    LONG,
    LONGLONG,
    PVOID,
    SHORT,
    UCHAR,
    ULONG,
    ULONG_PTR,
    USHORT,
    FieldType,
    Toucher,
)
from lookaside_sim.nt.layouts import Architecture

__all__ = [
    "ANSI_STRING",
    "DISPATCHER_HEADER",
    "ERESOURCE",
    "EX_RUNDOWN_REF",
    "FAST_MUTEX",
    "IO_STATUS_BLOCK",
    "KDPC",
    "KEVENT",
    "KLOCK_QUEUE_HANDLE",
    "KMUTEX",
    "KSEMAPHORE",
    "KTIMER",
    "LIST_ENTRY",
    "OBJECT_ATTRIBUTES",
    "SINGLE_LIST_ENTRY",
    "SLIST_ENTRY",
    "SLIST_HEADER",
    "UNICODE_STRING",
]


class _Head(FieldType):
    """An SLIST_HEADER: a field of its own size and alignment, known by its address."""

    __slots__ = ()

    def size_on(self, arch: Architecture) -> int:
        """16 bytes on x64, 8 on x86."""
        return arch.slist_header_size

    alignment_on = size_on

    def load(self, kernel: Toucher, address: int) -> Fields:
        """The head at an address."""
        return Fields(_HEAD_WORDS, kernel, address)

    def store(self, kernel: Toucher, address: int, value: bytes) -> None:
        """Assign its bytes."""
        kernel.write(address, value)


class _SListEntry(StructureType):
    """An SLIST_ENTRY: aligned to 16 bytes on x64."""

    __slots__ = ()

    def alignment_on(self, arch: Architecture) -> int:
        """MEMORY_ALLOCATION_ALIGNMENT on x64, that of a pointer on x86."""
        return 16 if arch.pointer_size == 8 else 4

    def size_on(self, arch: Architecture) -> int:
        """16 bytes on x64, 4 on x86."""
        return 16 if arch.pointer_size == 8 else 4


_HEAD_WORDS: Final = structure("SLIST_HEADER", ("Alignment", ULONG_PTR), ("Region", ULONG_PTR))
SLIST_HEADER: Final = _Head("SLIST_HEADER")
LIST_ENTRY: Final = structure("LIST_ENTRY", ("Flink", PVOID), ("Blink", PVOID))
SINGLE_LIST_ENTRY: Final = structure("SINGLE_LIST_ENTRY", ("Next", PVOID))
SLIST_ENTRY: Final = _SListEntry("SLIST_ENTRY", (("Next", PVOID),))

UNICODE_STRING: Final = structure(
    "UNICODE_STRING", ("Length", USHORT), ("MaximumLength", USHORT), ("Buffer", PVOID)
)
ANSI_STRING: Final = structure(
    "ANSI_STRING", ("Length", USHORT), ("MaximumLength", USHORT), ("Buffer", PVOID)
)
OBJECT_ATTRIBUTES: Final = structure(
    "OBJECT_ATTRIBUTES",
    ("Length", ULONG),
    ("RootDirectory", HANDLE),
    ("ObjectName", PVOID),
    ("Attributes", ULONG),
    ("SecurityDescriptor", PVOID),
    ("SecurityQualityOfService", PVOID),
)
IO_STATUS_BLOCK: Final = structure(
    "IO_STATUS_BLOCK", ("Status", ULONG_PTR), ("Information", ULONG_PTR)
)

DISPATCHER_HEADER: Final = structure(
    "DISPATCHER_HEADER",
    ("Type", UCHAR),
    ("Absolute", UCHAR),
    ("Size", UCHAR),
    ("Inserted", UCHAR),
    ("SignalState", LONG),
    ("WaitListHead", LIST_ENTRY),
)
KEVENT: Final = structure("KEVENT", ("Header", DISPATCHER_HEADER))
KSEMAPHORE: Final = structure("KSEMAPHORE", ("Header", DISPATCHER_HEADER), ("Limit", LONG))
KMUTEX: Final = structure(
    "KMUTEX",
    ("Header", DISPATCHER_HEADER),
    ("MutantListEntry", LIST_ENTRY),
    ("OwnerThread", PVOID),
    ("Abandoned", BOOLEAN),
    ("ApcDisable", UCHAR),
)
KTIMER: Final = StructureType(
    "KTIMER",
    (
        ("Header", DISPATCHER_HEADER),
        ("DueTime", LONGLONG),
        ("TimerListEntry", LIST_ENTRY),
        ("Dpc", PVOID),
    ),
    sizes={8: 0x40, 4: 0x28},  # Processor and Period follow, in an order of each machine's
)
KDPC: Final = structure(
    "KDPC",
    ("Type", UCHAR),
    ("Importance", UCHAR),
    ("Number", USHORT),
    ("DpcListEntry", LIST_ENTRY),
    ("DeferredRoutine", PVOID),
    ("DeferredContext", PVOID),
    ("SystemArgument1", PVOID),
    ("SystemArgument2", PVOID),
    ("DpcData", PVOID),
)

FAST_MUTEX: Final = structure(
    "FAST_MUTEX",
    ("Count", LONG),
    ("Owner", PVOID),
    ("Contention", ULONG),
    ("Event", KEVENT),
    ("OldIrql", ULONG),
)
_OWNER_ENTRY: Final = structure(
    "OWNER_ENTRY", ("OwnerThread", ULONG_PTR), ("OwnerCount", ULONG)
)
ERESOURCE: Final = StructureType(
    "ERESOURCE",
    (
        ("SystemResourcesList", LIST_ENTRY),
        ("OwnerTable", PVOID),
        ("ActiveCount", SHORT),
        ("Flag", USHORT),
        ("SharedWaiters", PVOID),
        ("ExclusiveWaiters", PVOID),
        ("OwnerEntry", _OWNER_ENTRY),
        ("ActiveEntries", ULONG),
        ("ContentionCount", ULONG),
        ("NumberOfSharedWaiters", ULONG),
        ("NumberOfExclusiveWaiters", ULONG),
    ),
    sizes={8: 0x68, 4: 0x38},  # where it was made, and its spin lock, follow
)
EX_RUNDOWN_REF: Final = structure("EX_RUNDOWN_REF", ("Count", ULONG_PTR))
KLOCK_QUEUE_HANDLE: Final = structure(
    "KLOCK_QUEUE_HANDLE", ("Next", PVOID), ("Lock", PVOID), ("OldIrql", UCHAR)
)

"""IRPs, MDLs, device and driver objects as structures; import them from `lookaside_sim.ddi`.

Source:
    [header] wdm.h (WDK, mingw-w64); the offsets were compared with what a compiler makes of it.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.known_structures import (
    IO_STATUS_BLOCK,
    LIST_ENTRY,
    UNICODE_STRING,
)
from lookaside_sim.ddi.structures import StructureType, structure, union
from lookaside_sim.ddi.types import (
    BOOLEAN,
    CHAR,
    KIRQL,
    LARGE_INTEGER,
    LONG,
    PVOID,
    SHORT,
    UCHAR,
    ULONG,
    USHORT,
    IntegerType,
)
from lookaside_sim.nt.layouts import Architecture

__all__ = [
    "DEVICE_OBJECT",
    "DRIVER_OBJECT",
    "IO_STACK_LOCATION",
    "IRP",
    "MDL",
    "WORK_QUEUE_ITEM",
]


class _PointerAligned(IntegerType):
    """An integer that is aligned as a pointer is: POINTER_ALIGNMENT, or packed to 4 on x86."""

    __slots__ = ()

    def alignment_on(self, arch: Architecture) -> int:
        """That of a pointer."""
        return arch.pointer_size


_ULONG: Final = _PointerAligned("ULONG", 4)
_LARGE_INTEGER: Final = _PointerAligned("LARGE_INTEGER", 8, signed=True)

_TRANSFER: Final = structure(
    "Read", ("Length", ULONG), ("Key", _ULONG), ("ByteOffset", _LARGE_INTEGER)
)
_CONTROL: Final = structure(
    "DeviceIoControl",
    ("OutputBufferLength", ULONG),
    ("InputBufferLength", _ULONG),
    ("IoControlCode", _ULONG),
    ("Type3InputBuffer", PVOID),
)
_OTHERS: Final = structure(
    "Others",
    ("Argument1", PVOID),
    ("Argument2", PVOID),
    ("Argument3", PVOID),
    ("Argument4", PVOID),
)
_PARAMETERS: Final = union(
    "Parameters",
    ("Others", _OTHERS),
    ("Read", _TRANSFER),
    ("Write", _TRANSFER),
    ("DeviceIoControl", _CONTROL),
)
IO_STACK_LOCATION: Final = structure(
    "IO_STACK_LOCATION",
    ("MajorFunction", UCHAR),
    ("MinorFunction", UCHAR),
    ("Flags", UCHAR),
    ("Control", UCHAR),
    ("Parameters", _PARAMETERS),
    ("DeviceObject", PVOID),
    ("FileObject", PVOID),
    ("CompletionRoutine", PVOID),
    ("Context", PVOID),
)

_ASSOCIATED: Final = union(
    "AssociatedIrp", ("SystemBuffer", PVOID), ("MasterIrp", PVOID), ("IrpCount", LONG)
)
_USER: Final = structure(
    "AsynchronousParameters", ("UserApcRoutine", PVOID), ("UserApcContext", PVOID)
)
_OVERLAY: Final = union(
    "Overlay", ("AllocationSize", LARGE_INTEGER), ("AsynchronousParameters", _USER)
)
_TAIL_OVERLAY: Final = structure(
    "Overlay",
    ("DriverContext", PVOID * 4),
    ("Thread", PVOID),
    ("AuxiliaryBuffer", PVOID),
    ("ListEntry", LIST_ENTRY),
    ("CurrentStackLocation", PVOID),
    ("OriginalFileObject", PVOID),
)
_TAIL: Final = union("Tail", ("Overlay", _TAIL_OVERLAY))
IRP: Final = StructureType(
    "IRP",
    (
        ("Type", SHORT),
        ("Size", USHORT),
        ("MdlAddress", PVOID),
        ("Flags", ULONG),
        ("AssociatedIrp", _ASSOCIATED),
        ("ThreadListEntry", LIST_ENTRY),
        ("IoStatus", IO_STATUS_BLOCK),
        ("RequestorMode", CHAR),
        ("PendingReturned", BOOLEAN),
        ("StackCount", CHAR),
        ("CurrentLocation", CHAR),
        ("Cancel", BOOLEAN),
        ("CancelIrql", KIRQL),
        ("ApcEnvironment", CHAR),
        ("AllocationFlags", UCHAR),
        ("UserIosb", PVOID),
        ("UserEvent", PVOID),
        ("Overlay", _OVERLAY),
        ("CancelRoutine", PVOID),
        ("UserBuffer", PVOID),
        ("Tail", _TAIL),
    ),
    sizes={8: 0xD0, 4: 0x70},
)

MDL: Final = structure(
    "MDL",
    ("Next", PVOID),
    ("Size", SHORT),
    ("MdlFlags", SHORT),
    ("Process", PVOID),
    ("MappedSystemVa", PVOID),
    ("StartVa", PVOID),
    ("ByteCount", ULONG),
    ("ByteOffset", ULONG),
)

DEVICE_OBJECT: Final = StructureType(
    "DEVICE_OBJECT",
    (
        ("Type", SHORT),
        ("Size", USHORT),
        ("ReferenceCount", LONG),
        ("DriverObject", PVOID),
        ("NextDevice", PVOID),
        ("AttachedDevice", PVOID),
        ("CurrentIrp", PVOID),
        ("Timer", PVOID),
        ("Flags", ULONG),
        ("Characteristics", ULONG),
        ("Vpb", PVOID),
        ("DeviceExtension", PVOID),
        ("DeviceType", ULONG),
        ("StackSize", CHAR),
    ),
    sizes={8: 0x148, 4: 0xB8},  # what belongs to the I/O manager follows
)
DRIVER_OBJECT: Final = structure(
    "DRIVER_OBJECT",
    ("Type", SHORT),
    ("Size", SHORT),
    ("DeviceObject", PVOID),
    ("Flags", ULONG),
    ("DriverStart", PVOID),
    ("DriverSize", ULONG),
    ("DriverSection", PVOID),
    ("DriverExtension", PVOID),
    ("DriverName", UNICODE_STRING),
    ("HardwareDatabase", PVOID),
    ("FastIoDispatch", PVOID),
    ("DriverInit", PVOID),
    ("DriverStartIo", PVOID),
    ("DriverUnload", PVOID),
    ("MajorFunction", PVOID * 28),
)
WORK_QUEUE_ITEM: Final = structure(
    "WORK_QUEUE_ITEM", ("List", LIST_ENTRY), ("WorkerRoutine", PVOID), ("Parameter", PVOID)
)

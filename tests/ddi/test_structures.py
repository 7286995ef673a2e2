"""Structures: fields at the offsets that a C compiler gives them, on both machines."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideList
from lookaside_sim.ddi import *  # noqa: F403 - what a transcript begins with
from lookaside_sim.ddi import (
    CHAR,
    CONTAINING_RECORD,
    FIELD_OFFSET,
    LIST_ENTRY,
    LOOKASIDE_LIST_EX,
    PVOID,
    SLIST_ENTRY,
    SLIST_HEADER,
    UCHAR,
    ULONG,
    ULONGLONG,
    USHORT,
    WCHAR,
    InitializeListHead,
    InitializeSListHead,
    sizeof,
    structure,
    union,
)
from lookaside_sim.ddi.structures import StructureType
from lookaside_sim.nt.layouts import architecture
from tests.ddi.helpers import memory

X64, X86 = architecture("x64"), architecture("x86")
VALUE = union("VALUE", ("Small", UCHAR), ("Large", ULONGLONG))
ITEM = structure(
    "ITEM",
    ("Kind", UCHAR),
    ("Links", LIST_ENTRY),
    ("Length", USHORT),
    ("Name", WCHAR * 5),
    ("Value", VALUE),
    ("Next", PVOID),
)


def offsets(type: StructureType, machine: str) -> dict[str, int]:
    return type.layout_on(architecture(machine)).offsets


def test_natural_layout_on_both_machines() -> None:
    assert offsets(ITEM, "x64") == {
        "Kind": 0,
        "Links": 8,
        "Length": 24,
        "Name": 26,
        "Value": 40,
        "Next": 48,
    }
    assert offsets(ITEM, "x86") == {
        "Kind": 0,
        "Links": 4,
        "Length": 12,
        "Name": 14,
        "Value": 24,
        "Next": 32,
    }
    # A ULONGLONG is aligned to 8 bytes on x86 too, and so is what holds one.
    assert (ITEM.size_on(X64), ITEM.size_on(X86)) == (56, 40)


def test_what_a_compiler_makes_of_the_headers() -> None:
    # sizeof on x64 and x86, and offsets, as gcc gives them for mingw-w64's ddk/ntifs.h.
    from lookaside_sim import ddi

    for type, sizes in {
        ddi.KEVENT: (24, 16),
        ddi.KSEMAPHORE: (32, 20),
        ddi.KMUTEX: (56, 32),
        ddi.KTIMER: (64, 40),
        ddi.KDPC: (64, 32),
        ddi.FAST_MUTEX: (56, 32),
        ddi.ERESOURCE: (104, 56),
        ddi.EX_RUNDOWN_REF: (8, 4),
        ddi.KLOCK_QUEUE_HANDLE: (24, 12),
        ddi.OBJECT_ATTRIBUTES: (48, 24),
        ddi.UNICODE_STRING: (16, 8),
        ddi.IRP: (208, 112),
        ddi.IO_STACK_LOCATION: (72, 36),
        ddi.MDL: (48, 28),
        ddi.DEVICE_OBJECT: (328, 184),
        ddi.DRIVER_OBJECT: (336, 168),
        ddi.SLIST_ENTRY: (16, 4),
    }.items():
        assert (type.size_on(X64), type.size_on(X86)) == sizes, type
    for type, field, places in (
        (ddi.FAST_MUTEX, "OldIrql", (48, 28)),
        (ddi.ERESOURCE, "ActiveCount", (24, 12)),
        (ddi.ERESOURCE, "OwnerEntry", (48, 24)),
        (ddi.KTIMER, "DueTime", (24, 16)),
        (ddi.KDPC, "DeferredRoutine", (24, 12)),
        (ddi.IRP, "AssociatedIrp", (24, 12)),
        (ddi.IRP, "IoStatus", (48, 24)),
        (ddi.IRP, "AllocationFlags", (71, 39)),
        (ddi.IRP, "CancelRoutine", (104, 56)),
        (ddi.IRP, "Tail.Overlay.DriverContext", (120, 64)),
        (ddi.IRP, "Tail.Overlay.ListEntry", (168, 88)),
        (ddi.IRP, "Tail.Overlay.CurrentStackLocation", (184, 96)),
        (ddi.IO_STACK_LOCATION, "Parameters.Read.ByteOffset", (24, 12)),
        (ddi.IO_STACK_LOCATION, "Parameters.DeviceIoControl.InputBufferLength", (16, 8)),
        (ddi.IO_STACK_LOCATION, "Parameters.DeviceIoControl.IoControlCode", (24, 12)),
        (ddi.IO_STACK_LOCATION, "CompletionRoutine", (56, 28)),
        (ddi.DEVICE_OBJECT, "DeviceExtension", (64, 40)),
        (ddi.DEVICE_OBJECT, "StackSize", (76, 48)),
        (ddi.DRIVER_OBJECT, "DriverUnload", (104, 52)),
        (ddi.DRIVER_OBJECT, "MajorFunction", (112, 56)),
        (ddi.MDL, "MappedSystemVa", (24, 12)),
    ):
        assert (type.offset_on(X64, field), type.offset_on(X86, field)) == places
    assert (SLIST_HEADER.size_on(X64), SLIST_HEADER.alignment_on(X86)) == (16, 8)
    assert SLIST_ENTRY.alignment_on(X64) == 16


def test_fields_are_read_and_written_in_memory(current: Kernel) -> None:
    item = ITEM(memory(current))
    item.Length = 0x1234
    item.Name = [65, 66]
    item.Name[2] = 67
    item.Value.Large = -1
    item.Next = item
    assert (item.Length, list(item.Name), item.Value.Small) == (0x1234, [65, 66, 67, 0, 0], 255)
    assert item.Next == item.address == item
    assert current.read(item.address + FIELD_OFFSET(ITEM, "Length"), 2) == b"\x34\x12"
    assert bytes(item.Name) == b"A\0B\0C\0\0\0\0\0"
    assert len(bytes(item)) == sizeof(ITEM)


def test_a_structure_stands_for_a_pointer(current: Kernel) -> None:
    item = ITEM(memory(current))
    InitializeListHead(item.Links)
    assert item.Links.Flink == item.Links.address
    assert CONTAINING_RECORD(item.Links.Flink, ITEM, "Links") == item
    assert hash(item) == hash(item.address)
    assert item
    assert not ITEM(0)
    assert item != ITEM(0)
    assert {"address", "Links"} <= set(dir(item))
    assert repr(item) == f"<ITEM at {item.address:#x}>"


def test_structures_are_assigned_whole(current: Kernel) -> None:
    one, other = ITEM(memory(current)), ITEM(memory(current))
    one.Links.Flink = 0x1234
    other.Links = one.Links
    assert other.Links.Flink == 0x1234
    other.Links = bytes(sizeof(LIST_ENTRY))
    assert other.Links.Flink == 0
    with pytest.raises(TypeError, match="give a LIST_ENTRY, or its bytes"):
        other.Links = 5


def test_a_list_and_an_slist_head_in_a_device_extension(current: Kernel) -> None:
    extension = structure(
        "EXTENSION", ("Count", ULONG), ("Free", SLIST_HEADER), ("List", LOOKASIDE_LIST_EX)
    )
    here = extension(memory(current, 0x200))
    InitializeSListHead(here.Free)
    lookaside = here.List
    assert isinstance(lookaside, LookasideList)
    assert lookaside.initialize(size=64, tag=b"Item").is_success
    assert here.List is lookaside
    assert here.List.address == here.address + FIELD_OFFSET(extension, "List")
    with pytest.raises(TypeError, match="a list cannot be copied"):
        here.List = lookaside
    lookaside.delete()


def test_fields_that_are_not_there(current: Kernel) -> None:
    item = ITEM(memory(current))
    with pytest.raises(AttributeError, match="ITEM has no field 'length'; it has Kind, Links"):
        item.length = 1
    with pytest.raises(AttributeError, match="no field"):
        _ = item.Flink
    with pytest.raises(AttributeError, match="cannot be set"):
        item.address = 1
    with pytest.raises(AttributeError, match="UCHAR has no field"):
        FIELD_OFFSET(ITEM, "Kind.Inner")
    assert FIELD_OFFSET(ITEM, "Links.Blink") == ITEM.offset_on(current.arch, "Links") + (
        current.arch.pointer_size
    )


def test_values_that_do_not_fit(current: Kernel) -> None:
    item = ITEM(memory(current))
    for wrong in (0x1_0000, -0x8001):
        with pytest.raises(ValueError, match="give 16 bits"):
            item.Length = wrong
    with pytest.raises(TypeError, match="give an integer"):
        item.Length = "3"
    with pytest.raises(ValueError, match="give at most 5"):
        item.Name = [0] * 6
    with pytest.raises(IndexError, match="give 0 to 4"):
        item.Name[5] = 1
    assert item.Length == 0


def test_memory_that_is_not_there_stops_the_machine(current: Kernel) -> None:
    item = ITEM((1 << 8 * current.arch.pointer_size) - 0x1000)
    with pytest.raises(BugCheck):
        _ = item.Length


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((), "one field or more"),
        ((("A", 4),), "give a type, such as ULONG"),
        ((("A", ULONG), ("A", ULONG)), "two of them"),
    ],
)
def test_declarations_that_say_nothing(
    fields: tuple[tuple[str, object], ...], words: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        structure("WRONG", *fields)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 or more"):
        CHAR * 0

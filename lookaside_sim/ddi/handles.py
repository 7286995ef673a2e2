"""The documented routines on objects, references and handles; import them from `lookaside_sim.ddi`.

What is not given back or closed is a leak, told with the line that took it. An object type, such
as IoFileObjectType, is checked; 0 stands for any.

Source:
    [doc] the page of each routine; bug checks 0x18 and 0xC4 (0x3C, 0x3F). Choice: whatever is opened exists.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import (
    Boolean,
    Out,
    Pointer,
    Size,
    Tag,
    Uchar,
    Ulong,
    store,
    store_optional,
    store_pointer,
)
from lookaside_sim.ddi.known_structures import IO_STATUS_BLOCK, KEVENT, OBJECT_ATTRIBUTES
from lookaside_sim.ddi.routine import routine_up_to
from lookaside_sim.ddi.strings import OBJ_KERNEL_HANDLE, text_of
from lookaside_sim.ddi.types import sizeof
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql, NtStatus

__all__ = [
    "ExEventObjectType",
    "IoFileObjectType",
    "ObDereferenceObject",
    "ObDereferenceObjectDeferDelete",
    "ObDereferenceObjectWithTag",
    "ObOpenObjectByPointer",
    "ObReferenceObject",
    "ObReferenceObjectByHandle",
    "ObReferenceObjectByPointer",
    "ObReferenceObjectWithTag",
    "ObfDereferenceObject",
    "ObfReferenceObject",
    "PsLookupProcessByProcessId",
    "PsThreadType",
    "ZwClose",
    "ZwCreateEvent",
    "ZwCreateFile",
    "ZwCreateKey",
    "ZwOpenFile",
    "ZwOpenKey",
]

IoFileObjectType: Final = "File"
ExEventObjectType: Final = "Event"
PsThreadType: Final = "Thread"

_FILE_SIZE: Final = {8: 0xD8, 4: 0x80}
_KEY_SIZE: Final = 0x40
_FILE_OPENED: Final = 1
_KEY_OPENED: Final = 2
_HIGHEST: Final = Irql.DISPATCH_LEVEL


# --- references ----------------------------------------------------------------------------


@routine_up_to(_HIGHEST)
def ObReferenceObject(Object: Pointer) -> int:
    """Take a reference to an object; returns how many there are.

    Raises:
        BugCheck: REFERENCE_BY_POINTER where no object lives; in verified code
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x3F).
    """
    return current_kernel().references.reference(Object)


@routine_up_to(_HIGHEST)
def ObReferenceObjectWithTag(Object: Pointer, Tag: Tag) -> int:
    """Take a reference with a tag, which has no effect."""
    return current_kernel().references.reference(Object)


@routine_up_to(_HIGHEST)
def ObDereferenceObject(Object: Pointer) -> int:
    """Give a reference back; the last one ends the object. Returns how many there are."""
    return current_kernel().references.dereference(Object)


@routine_up_to(_HIGHEST)
def ObDereferenceObjectWithTag(Object: Pointer, Tag: Tag) -> int:
    """Give a reference back that was taken with a tag."""
    return current_kernel().references.dereference(Object)


ObDereferenceObjectDeferDelete = ObDereferenceObject
ObfReferenceObject = ObReferenceObject
ObfDereferenceObject = ObDereferenceObject


@routine_up_to(_HIGHEST)
def ObReferenceObjectByPointer(
    Object: Pointer, DesiredAccess: Ulong, ObjectType: object, AccessMode: Uchar
) -> NtStatus:
    """Take a reference to an object of a type; STATUS_OBJECT_TYPE_MISMATCH for another one."""
    references = current_kernel().references
    found = references.at(Object)
    if found is not None and not _matches(found.kind, ObjectType):
        return NtStatus.STATUS_OBJECT_TYPE_MISMATCH
    references.reference(Object)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(Irql.PASSIVE_LEVEL)
def ObReferenceObjectByHandle(
    Handle: Size,
    DesiredAccess: Ulong,
    ObjectType: object,
    AccessMode: Uchar,
    Object: Out,
    HandleInformation: Out,
) -> NtStatus:
    """Take a reference to what a handle opens.

    Args:
        Handle: the handle.
        DesiredAccess: has no effect.
        ObjectType: such as IoFileObjectType; 0 for any.
        AccessMode: has no effect.
        Object: where the object's address goes.
        HandleInformation: NULL.

    Returns:
        STATUS_SUCCESS, STATUS_INVALID_HANDLE or STATUS_OBJECT_TYPE_MISMATCH.
    """
    references = current_kernel().references
    found = references.opened(Handle)
    if found is None:
        return NtStatus.STATUS_INVALID_HANDLE
    if not _matches(found.object.kind, ObjectType):
        return NtStatus.STATUS_OBJECT_TYPE_MISMATCH
    references.reference(found.object.address)
    store_pointer(Object, found.object.address)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(Irql.PASSIVE_LEVEL)
def ObOpenObjectByPointer(
    Object: Pointer,
    HandleAttributes: Ulong,
    PassedAccessState: Pointer,
    DesiredAccess: Ulong,
    ObjectType: object,
    AccessMode: Uchar,
    Handle: Out,
) -> NtStatus:
    """Open a handle to an object; see `ObReferenceObjectByHandle`."""
    references = current_kernel().references
    found = references.at(Object)
    if found is None or not _matches(found.kind, ObjectType):
        return NtStatus.STATUS_OBJECT_TYPE_MISMATCH
    found.references += 1
    handle = references.open(found, for_kernel=bool(HandleAttributes & OBJ_KERNEL_HANDLE))
    store_pointer(Handle, handle)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(Irql.PASSIVE_LEVEL)
def PsLookupProcessByProcessId(ProcessId: Size, Process: Out) -> NtStatus:
    """Take a reference to a process.

    Args:
        ProcessId: Choice: address of the process's EPROCESS, or the number it was made in, from 1.
        Process: where the EPROCESS's address goes.

    Returns:
        STATUS_SUCCESS, or STATUS_INVALID_PARAMETER for no such process.
    """
    kernel = current_kernel()
    for number, process in enumerate(kernel.processes.all, 1):
        if ProcessId in (number, process.address):
            references = kernel.references
            if references.at(process.address) is None:
                references.take_in(process.address, "Process", process.name, owned=False)
            references.reference(process.address)
            store_pointer(Process, process.address)
            return NtStatus.STATUS_SUCCESS
    return NtStatus.STATUS_INVALID_PARAMETER


def _matches(kind: str, wanted: object) -> bool:
    """Whether an object is of the type asked for, where that is one of ours."""
    return not isinstance(wanted, str) or kind == wanted


# --- handles -------------------------------------------------------------------------------


@routine_up_to(Irql.PASSIVE_LEVEL)
def ZwClose(Handle: Size) -> NtStatus:
    """Close a handle; STATUS_INVALID_HANDLE for one that is not open."""
    closed = current_kernel().references.close(Handle)
    return NtStatus.STATUS_SUCCESS if closed else NtStatus.STATUS_INVALID_HANDLE


@routine_up_to(Irql.PASSIVE_LEVEL)
def ZwCreateFile(
    FileHandle: Out,
    DesiredAccess: Ulong,
    ObjectAttributes: Pointer,
    IoStatusBlock: Pointer,
    AllocationSize: Pointer,
    FileAttributes: Ulong,
    ShareAccess: Ulong,
    CreateDisposition: Ulong,
    CreateOptions: Ulong,
    EaBuffer: Pointer,
    EaLength: Ulong,
) -> NtStatus:
    """Open a file, whatever its name; STATUS_INSUFFICIENT_RESOURCES without memory.

    Args:
        FileHandle: where the handle goes.
        DesiredAccess: has no effect, and nor have the arguments that are not named here.
        ObjectAttributes: name and flags.
        IoStatusBlock: gets the status and FILE_OPENED.
        AllocationSize: or NULL.
        FileAttributes: see the routine's page.
        ShareAccess: likewise.
        CreateDisposition: likewise.
        CreateOptions: likewise.
        EaBuffer: or NULL.
        EaLength: or 0.
    """
    return _open_file(FileHandle, ObjectAttributes, IoStatusBlock)


@routine_up_to(Irql.PASSIVE_LEVEL)
def ZwOpenFile(
    FileHandle: Out,
    DesiredAccess: Ulong,
    ObjectAttributes: Pointer,
    IoStatusBlock: Pointer,
    ShareAccess: Ulong,
    OpenOptions: Ulong,
) -> NtStatus:
    """Open a file, whatever its name; see `ZwCreateFile`."""
    return _open_file(FileHandle, ObjectAttributes, IoStatusBlock)


@routine_up_to(Irql.PASSIVE_LEVEL)
def ZwCreateKey(
    KeyHandle: Out,
    DesiredAccess: Ulong,
    ObjectAttributes: Pointer,
    TitleIndex: Ulong,
    Class: Pointer,
    CreateOptions: Ulong,
    Disposition: Out,
) -> NtStatus:
    """Open a key of the registry, whatever its name."""
    status = _open(KeyHandle, ObjectAttributes, "Key", _KEY_SIZE)
    if status.is_success:
        store_optional(Disposition, _KEY_OPENED, 4)
    return status


@routine_up_to(Irql.PASSIVE_LEVEL)
def ZwOpenKey(KeyHandle: Out, DesiredAccess: Ulong, ObjectAttributes: Pointer) -> NtStatus:
    """Open a key of the registry, whatever its name."""
    return _open(KeyHandle, ObjectAttributes, "Key", _KEY_SIZE)


@routine_up_to(Irql.PASSIVE_LEVEL)
def ZwCreateEvent(
    EventHandle: Out,
    DesiredAccess: Ulong,
    ObjectAttributes: Pointer,
    EventType: Ulong,
    InitialState: Boolean,
) -> NtStatus:
    """Make an event object and open a handle to it.

    Args:
        EventHandle: where the handle goes.
        DesiredAccess: has no effect.
        ObjectAttributes: name and flags, or 0 for NULL.
        EventType: NotificationEvent or SynchronizationEvent.
        InitialState: whether it is signaled.
    """
    kernel = current_kernel()
    status = _open(EventHandle, ObjectAttributes, "Event", sizeof(KEVENT))
    if status.is_success:
        event = kernel.references.handles()[-1].object.address
        kernel.dispatcher.initialize(event, EventType, sizeof(KEVENT), int(InitialState))
    return status


def _open_file(handle: Out, attributes: int, block: int) -> NtStatus:
    status = _open(handle, attributes, "File", _FILE_SIZE[current_kernel().arch.pointer_size])
    kernel = current_kernel()
    if block and status.is_success:
        kernel.memory.write_pointer(block, int(status))
        information_at = block + IO_STATUS_BLOCK.offset_on(kernel.arch, "Information")
        kernel.memory.write_pointer(information_at, _FILE_OPENED)
    return status


def _open(handle: Out, attributes: int, kind: str, size: int) -> NtStatus:
    """Make an object with the name that attributes give, and a handle to it."""
    kernel = current_kernel()
    name, flags = "", 0
    if attributes:
        offset = OBJECT_ATTRIBUTES.offset_on
        name_at = attributes + offset(kernel.arch, "ObjectName")
        string = kernel.memory.read_pointer(name_at)
        name = text_of(string) if string else ""
        raw = kernel.memory.read(attributes + offset(kernel.arch, "Attributes"), 4)
        flags = int.from_bytes(raw, "little")
    made = kernel.references.make(kind, name, size)
    if made is None:
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES
    opened = kernel.references.open(made, for_kernel=bool(flags & OBJ_KERNEL_HANDLE))
    store(handle, opened, kernel.arch.pointer_size)
    return NtStatus.STATUS_SUCCESS

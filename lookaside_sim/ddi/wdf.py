"""KMDF: the framework's memory objects, lookaside lists and spin locks; import them from `lookaside_sim.ddi`.

They stand on the same pool, lists and locks as everything else, so that both kinds of checks see
them. A handle is a number; one that is wrong stops the machine (0x10D).

Source:
    [doc] the page of each method (wdfmemory.h, wdfobject.h, wdfsync.h); Using Memory Buffers. Choice: POOL_TYPE
    NonPagedPool means what it says in a driver that did not opt into NX.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import (
    Out,
    Pointer,
    Size,
    Tag,
    Ulong,
    store_optional,
    store_pointer,
)
from lookaside_sim.ddi.routine import inlined, routine_up_to
from lookaside_sim.ddi.runtime import nx_where_opted_in
from lookaside_sim.ddi.structures import by_nt, structure
from lookaside_sim.ddi.types import HANDLE, PVOID, SIZE_T, ULONG, sizeof
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql, NtStatus, PoolTag
from lookaside_sim.system.framework import FRAMEWORK_TAG, FrameworkObject

__all__ = [
    "WDF_NO_OBJECT_ATTRIBUTES",
    "WDF_OBJECT_ATTRIBUTES",
    "WDF_OBJECT_ATTRIBUTES_INIT",
    "WdfDriverCreate",
    "WdfGetDriver",
    "WdfLookasideListCreate",
    "WdfMemoryAssignBuffer",
    "WdfMemoryCopyFromBuffer",
    "WdfMemoryCopyToBuffer",
    "WdfMemoryCreate",
    "WdfMemoryCreateFromLookaside",
    "WdfMemoryCreatePreallocated",
    "WdfMemoryGetBuffer",
    "WdfObjectCreate",
    "WdfObjectDelete",
    "WdfObjectDereference",
    "WdfObjectReference",
    "WdfSpinLockAcquire",
    "WdfSpinLockCreate",
    "WdfSpinLockRelease",
]

WDF_NO_OBJECT_ATTRIBUTES: Final = 0
WDF_OBJECT_ATTRIBUTES: Final = structure(
    "WDF_OBJECT_ATTRIBUTES",
    ("Size", ULONG),
    ("EvtCleanupCallback", PVOID),
    ("EvtDestroyCallback", PVOID),
    ("ExecutionLevel", ULONG),
    ("SynchronizationScope", ULONG),
    ("ParentObject", HANDLE),
    ("ContextSizeOverride", SIZE_T),
    ("ContextTypeInfo", PVOID),
)
_INHERITED: Final = 1
_HIGHEST: Final = Irql.DISPATCH_LEVEL


# --- objects -------------------------------------------------------------------------------


@inlined
def WDF_OBJECT_ATTRIBUTES_INIT(Attributes: Pointer) -> None:
    """Fill attributes in with what is usual: no callbacks, the driver as parent.

    Args:
        Attributes: the structure.
    """
    here = WDF_OBJECT_ATTRIBUTES(Attributes)
    size = sizeof(WDF_OBJECT_ATTRIBUTES)
    current_kernel().write(Attributes, bytes(size))
    here.Size, here.ExecutionLevel, here.SynchronizationScope = size, _INHERITED, _INHERITED


@routine_up_to(Irql.PASSIVE_LEVEL)
def WdfDriverCreate(
    DriverObject: Pointer,
    RegistryPath: Pointer,
    DriverAttributes: Pointer,
    DriverConfig: Pointer,
    Driver: Out,
) -> NtStatus:
    """Make the object that stands for the running driver, the parent of all others.

    Args:
        DriverObject: what DriverEntry got.
        RegistryPath: likewise.
        DriverAttributes: its callbacks, or WDF_NO_OBJECT_ATTRIBUTES.
        DriverConfig: has no effect.
        Driver: where the handle goes, or 0 for NULL.
    """
    framework = current_kernel().framework
    root = framework.root()
    _take_callbacks(framework.named(root, "WDFDRIVER"), DriverAttributes)
    store_optional(Driver, root, current_kernel().arch.pointer_size)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfGetDriver() -> int:
    """Handle of the running driver's object."""
    return current_kernel().framework.root()


@routine_up_to(_HIGHEST)
def WdfObjectCreate(Attributes: Pointer, Object: Out) -> NtStatus:
    """Make a general object, such as a parent for others."""
    made = _make("WDFOBJECT", Attributes)
    store_pointer(Object, made.handle)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfObjectDelete(Object: Size) -> None:
    """Delete an object and its children: buffers go back where they came from.

    Args:
        Object: any handle.

    Raises:
        BugCheck: WDF_VIOLATION for a handle that is none, or was deleted.
    """
    current_kernel().framework.delete(Object)


@routine_up_to(_HIGHEST)
def WdfObjectReference(Handle: Size) -> None:
    """Keep an object from being destroyed, also when it is deleted."""
    current_kernel().framework.reference(Handle)


@routine_up_to(_HIGHEST)
def WdfObjectDereference(Handle: Size) -> None:
    """Give a reference back."""
    current_kernel().framework.dereference(Handle)


def _make(kind: str, attributes: int) -> FrameworkObject:
    """Make an object with the parent and the callbacks that attributes name."""
    parent = by_nt(WDF_OBJECT_ATTRIBUTES, attributes).ParentObject if attributes else 0
    made = current_kernel().framework.make(kind, parent)
    _take_callbacks(made, attributes)
    return made


def _take_callbacks(found: FrameworkObject, attributes: int) -> None:
    if attributes:
        here = by_nt(WDF_OBJECT_ATTRIBUTES, attributes)
        found.cleanup, found.destroy = here.EvtCleanupCallback, here.EvtDestroyCallback


# --- memory --------------------------------------------------------------------------------


@routine_up_to(_HIGHEST)
def WdfMemoryCreate(
    Attributes: Pointer,
    PoolType: Ulong,
    PoolTag: Tag,
    BufferSize: Size,
    Memory: Out,
    Buffer: Out,
) -> NtStatus:
    """Make a memory object with a buffer from pool.

    Args:
        Attributes: parent and callbacks, or WDF_NO_OBJECT_ATTRIBUTES.
        PoolType: pool of the buffer.
        PoolTag: its tag; 0 for the framework's.
        BufferSize: its bytes, not 0.
        Memory: where the handle goes.
        Buffer: where the buffer's address goes, or 0 for NULL.

    Returns:
        STATUS_SUCCESS, STATUS_INVALID_PARAMETER or STATUS_INSUFFICIENT_RESOURCES.
    """
    if not BufferSize:
        return NtStatus.STATUS_INVALID_PARAMETER
    kernel = current_kernel()
    made = _make("WDFMEMORY", Attributes)
    pool_type = int(nx_where_opted_in(kernel.machine.program, PoolType))
    if not kernel.framework.allocate(made, pool_type, BufferSize, _tag(PoolTag)):
        kernel.framework.forget(made)
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES
    store_pointer(Memory, made.handle)
    store_optional(Buffer, made.buffer, kernel.arch.pointer_size)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfMemoryCreatePreallocated(
    Attributes: Pointer, Buffer: Pointer, BufferSize: Size, Memory: Out
) -> NtStatus:
    """Make a memory object of a buffer that stays the driver's own."""
    if not BufferSize or not Buffer:
        return NtStatus.STATUS_INVALID_PARAMETER
    made = _make("WDFMEMORY", Attributes)
    made.buffer, made.size = Buffer, BufferSize
    store_pointer(Memory, made.handle)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfMemoryAssignBuffer(Memory: Size, Buffer: Pointer, BufferSize: Size) -> NtStatus:
    """Give a memory object of `WdfMemoryCreatePreallocated` another buffer."""
    found = current_kernel().framework.named(Memory, "WDFMEMORY")
    if not BufferSize or found.owns or found.source:
        return NtStatus.STATUS_INVALID_PARAMETER
    found.buffer, found.size = Buffer, BufferSize
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfMemoryGetBuffer(Memory: Size, BufferSize: Out) -> int:
    """The buffer of a memory object.

    Args:
        Memory: its handle.
        BufferSize: where its bytes go, or 0 for NULL.

    Raises:
        BugCheck: WDF_VIOLATION for a handle that is none, or of another type.
    """
    kernel = current_kernel()
    found = kernel.framework.named(Memory, "WDFMEMORY")
    store_optional(BufferSize, found.size, kernel.arch.pointer_size)
    return found.buffer


@routine_up_to(_HIGHEST)
def WdfMemoryCopyToBuffer(
    SourceMemory: Size, SourceOffset: Size, Buffer: Pointer, NumBytesToCopyTo: Size
) -> NtStatus:
    """Copy from a memory object; STATUS_BUFFER_TOO_SMALL where it ends before."""
    memory, found = current_kernel().memory, _memory(SourceMemory)
    if SourceOffset + NumBytesToCopyTo > found.size:
        return NtStatus.STATUS_BUFFER_TOO_SMALL
    memory.write(Buffer, memory.read(found.buffer + SourceOffset, NumBytesToCopyTo))
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfMemoryCopyFromBuffer(
    DestinationMemory: Size, DestinationOffset: Size, Buffer: Pointer, NumBytesToCopyFrom: Size
) -> NtStatus:
    """Copy to a memory object; STATUS_BUFFER_TOO_SMALL where it ends before."""
    memory, found = current_kernel().memory, _memory(DestinationMemory)
    if DestinationOffset + NumBytesToCopyFrom > found.size:
        return NtStatus.STATUS_BUFFER_TOO_SMALL
    memory.write(found.buffer + DestinationOffset, memory.read(Buffer, NumBytesToCopyFrom))
    return NtStatus.STATUS_SUCCESS


def _memory(handle: int) -> FrameworkObject:
    return current_kernel().framework.named(handle, "WDFMEMORY")


def _tag(tag: object) -> PoolTag:
    assert isinstance(tag, PoolTag)
    return tag or FRAMEWORK_TAG


# --- lookaside lists -------------------------------------------------------------------------


@routine_up_to(_HIGHEST)
def WdfLookasideListCreate(
    LookasideAttributes: Pointer,
    BufferSize: Size,
    PoolType: Ulong,
    MemoryAttributes: Pointer,
    PoolTag: Tag,
    Lookaside: Out,
) -> NtStatus:
    """Make a list that memory objects come from.

    Args:
        LookasideAttributes: parent and callbacks, or WDF_NO_OBJECT_ATTRIBUTES.
        BufferSize: bytes of each buffer, not 0.
        PoolType: pool of the buffers.
        MemoryAttributes: has no effect; Choice: the list is the parent of its memory objects.
        PoolTag: tag of the buffers; 0 for the framework's.
        Lookaside: where the handle goes.

    Returns:
        STATUS_SUCCESS, STATUS_INVALID_PARAMETER or STATUS_INSUFFICIENT_RESOURCES.
    """
    if not BufferSize:
        return NtStatus.STATUS_INVALID_PARAMETER
    kernel = current_kernel()
    made = _make("WDFLOOKASIDE", LookasideAttributes)
    pool_type = int(nx_where_opted_in(kernel.machine.program, PoolType))
    if not kernel.framework.initialize_list(made, pool_type, BufferSize, _tag(PoolTag)):
        kernel.framework.forget(made)
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES
    store_pointer(Lookaside, made.handle)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfMemoryCreateFromLookaside(Lookaside: Size, Memory: Out) -> NtStatus:
    """Make a memory object whose buffer is an entry of a list.

    Args:
        Lookaside: handle of the list.
        Memory: where the handle goes; deleting the object gives the entry back.

    Returns:
        STATUS_SUCCESS or STATUS_INSUFFICIENT_RESOURCES.
    """
    framework = current_kernel().framework
    listed = framework.named(Lookaside, "WDFLOOKASIDE")
    entry = framework.list_of(listed).allocate()
    if entry is None:
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES
    made = framework.make("WDFMEMORY", Lookaside)
    framework.reference(Lookaside)
    made.buffer, made.size, made.source = entry, listed.size, Lookaside
    store_pointer(Memory, made.handle)
    return NtStatus.STATUS_SUCCESS


# --- spin locks ------------------------------------------------------------------------------


@routine_up_to(_HIGHEST)
def WdfSpinLockCreate(SpinLockAttributes: Pointer, SpinLock: Out) -> NtStatus:
    """Make a spin lock.

    Args:
        SpinLockAttributes: parent and callbacks, or WDF_NO_OBJECT_ATTRIBUTES.
        SpinLock: where the handle goes.

    Returns:
        STATUS_SUCCESS or STATUS_INSUFFICIENT_RESOURCES.
    """
    framework = current_kernel().framework
    made = _make("WDFSPINLOCK", SpinLockAttributes)
    if not framework.initialize_lock(made):
        framework.forget(made)
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES
    store_pointer(SpinLock, made.handle)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(_HIGHEST)
def WdfSpinLockAcquire(SpinLock: Size) -> None:
    """Raise the IRQL to DISPATCH_LEVEL and take a lock, which keeps the IRQL before.

    Raises:
        BugCheck: SPIN_LOCK_ALREADY_OWNED; WDF_VIOLATION for no lock.
    """
    kernel = current_kernel()
    found = kernel.framework.named(SpinLock, "WDFSPINLOCK")
    found.old_irql = kernel.spin_locks.acquire(found.buffer)


@routine_up_to(_HIGHEST)
def WdfSpinLockRelease(SpinLock: Size) -> None:
    """Let a lock go and lower the IRQL.

    Raises:
        BugCheck: SPIN_LOCK_NOT_OWNED; WDF_VIOLATION for no lock.
    """
    kernel = current_kernel()
    found = kernel.framework.named(SpinLock, "WDFSPINLOCK")
    kernel.spin_locks.release(found.buffer, found.old_irql)

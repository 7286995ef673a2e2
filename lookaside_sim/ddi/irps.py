"""IRPs on their way: stack locations, completion routines, cancellation; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h); IRP stack locations; bug checks 0x35, 0x44. [header] the control flags.
    Choice: where no completion routine keeps an IRP, IoCompleteRequest leaves it as it is, completed;
    who allocated it frees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lookaside_sim.ddi.arguments import (
    Boolean,
    Code,
    Long,
    Out,
    Pointer,
    Size,
    Uchar,
    Ushort,
    call_code,
    store,
)
from lookaside_sim.ddi.io_structures import DEVICE_OBJECT, DRIVER_OBJECT, IO_STACK_LOCATION, IRP
from lookaside_sim.ddi.routine import inlined, routine, routine_up_to
from lookaside_sim.ddi.structures import Fields, by_nt
from lookaside_sim.ddi.types import sizeof
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql, NtStatus

__all__ = [
    "IRP_MJ_CLEANUP",
    "IRP_MJ_CLOSE",
    "IRP_MJ_CREATE",
    "IRP_MJ_DEVICE_CONTROL",
    "IRP_MJ_PNP",
    "IRP_MJ_READ",
    "IRP_MJ_WRITE",
    "SL_INVOKE_ON_CANCEL",
    "SL_INVOKE_ON_ERROR",
    "SL_INVOKE_ON_SUCCESS",
    "SL_PENDING_RETURNED",
    "IoAcquireCancelSpinLock",
    "IoCallDriver",
    "IoCancelIrp",
    "IoCompleteRequest",
    "IoCopyCurrentIrpStackLocationToNext",
    "IoGetCurrentIrpStackLocation",
    "IoGetNextIrpStackLocation",
    "IoInitializeIrp",
    "IoMarkIrpPending",
    "IoReleaseCancelSpinLock",
    "IoReuseIrp",
    "IoSetCancelRoutine",
    "IoSetCompletionRoutine",
    "IoSetNextIrpStackLocation",
    "IoSizeOfIrp",
    "IoSkipCurrentIrpStackLocation",
    "IofCallDriver",
    "IofCompleteRequest",
]

SL_PENDING_RETURNED: Final = 0x01
SL_INVOKE_ON_CANCEL: Final = 0x20
SL_INVOKE_ON_SUCCESS: Final = 0x40
SL_INVOKE_ON_ERROR: Final = 0x80

IRP_MJ_CREATE: Final = 0x00
IRP_MJ_CLOSE: Final = 0x02
IRP_MJ_READ: Final = 0x03
IRP_MJ_WRITE: Final = 0x04
IRP_MJ_DEVICE_CONTROL: Final = 0x0E
IRP_MJ_CLEANUP: Final = 0x12
IRP_MJ_PNP: Final = 0x1B

_TYPE_IRP: Final = 6


# --- stack locations -----------------------------------------------------------------------


@inlined
def IoGetCurrentIrpStackLocation(Irp: Pointer) -> Fields:
    """The stack location of the driver that has the IRP, as fields."""
    return IO_STACK_LOCATION(IRP(Irp).Tail.Overlay.CurrentStackLocation)


@inlined
def IoGetNextIrpStackLocation(Irp: Pointer) -> Fields:
    """The stack location of the driver below, as fields."""
    return IO_STACK_LOCATION(_next(Irp))


@inlined
def IoSetNextIrpStackLocation(Irp: Pointer) -> None:
    """Move on to the next stack location, as for the driver below."""
    _move(IRP(Irp), -1)


@inlined
def IoSkipCurrentIrpStackLocation(Irp: Pointer) -> None:
    """Let the driver below have this driver's own stack location."""
    _move(IRP(Irp), 1)


@inlined
def IoCopyCurrentIrpStackLocationToNext(Irp: Pointer) -> None:
    """Fill the next stack location in as this one, without its completion routine."""
    size = IO_STACK_LOCATION.offset_on(current_kernel().arch, "CompletionRoutine")
    here = IRP(Irp).Tail.Overlay.CurrentStackLocation
    current_kernel().write(_next(Irp), current_kernel().read(here, size))
    IO_STACK_LOCATION(_next(Irp)).Control = 0


@inlined
def IoSetCompletionRoutine(
    Irp: Pointer,
    CompletionRoutine: Code,
    Context: Size,
    InvokeOnSuccess: Boolean,
    InvokeOnError: Boolean,
    InvokeOnCancel: Boolean,
) -> None:
    """Have a routine called when the driver below has completed the IRP.

    Args:
        Irp: the IRP.
        CompletionRoutine: called with the device object, the IRP and the context. What it
            returns but STATUS_MORE_PROCESSING_REQUIRED lets the completion go on.
        Context: handed on.
        InvokeOnSuccess: whether it is called for a success.
        InvokeOnError: likewise.
        InvokeOnCancel: likewise, for an IRP that was canceled.
    """
    location = IO_STACK_LOCATION(_next(Irp))
    location.CompletionRoutine, location.Context = CompletionRoutine or 0, Context
    location.Control = (
        SL_INVOKE_ON_SUCCESS * InvokeOnSuccess
        | SL_INVOKE_ON_ERROR * InvokeOnError
        | SL_INVOKE_ON_CANCEL * InvokeOnCancel
    )


@inlined
def IoMarkIrpPending(Irp: Pointer) -> None:
    """Say that the dispatch routine returns STATUS_PENDING."""
    location = IO_STACK_LOCATION(IRP(Irp).Tail.Overlay.CurrentStackLocation)
    location.Control |= SL_PENDING_RETURNED


def _next(irp: int) -> int:
    current: int = IRP(irp).Tail.Overlay.CurrentStackLocation
    return current - sizeof(IO_STACK_LOCATION)


def _move(here: Fields, steps: int) -> None:
    """Make another stack location of an IRP current; 1 is towards the one who made it."""
    here.CurrentLocation += steps
    here.Tail.Overlay.CurrentStackLocation += steps * sizeof(IO_STACK_LOCATION)


# --- making --------------------------------------------------------------------------------


@inlined
def IoSizeOfIrp(StackSize: Uchar) -> int:
    """Bytes of an IRP with so many stack locations."""
    return sizeof(IRP) + StackSize * sizeof(IO_STACK_LOCATION)


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoInitializeIrp(Irp: Pointer, PacketSize: Ushort, StackSize: Uchar) -> None:
    """Make an IRP of memory that the driver allocated.

    Args:
        Irp: the memory.
        PacketSize: its bytes, `IoSizeOfIrp` or more.
        StackSize: stack locations.
    """
    current_kernel().memory.write(Irp, bytes(PacketSize))
    here = by_nt(IRP, Irp)
    here.Type, here.Size = _TYPE_IRP, PacketSize
    here.StackCount, here.CurrentLocation = StackSize, StackSize + 1
    links = here.ThreadListEntry
    links.Flink = links.Blink = links
    end = Irp + sizeof(IRP) + StackSize * sizeof(IO_STACK_LOCATION)
    here.Tail.Overlay.CurrentStackLocation = end


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoReuseIrp(Irp: Pointer, Iostatus: Long) -> None:
    """Make an IRP of `IoAllocateIrp` as good as new.

    Args:
        Irp: the IRP.
        Iostatus: its status from now on.
    """
    here = by_nt(IRP, Irp)
    size, flags, count = here.Size, here.AllocationFlags, here.StackCount
    IoInitializeIrp(Irp, min(size, IoSizeOfIrp(count)), count)
    here.Size, here.AllocationFlags = size, flags
    here.IoStatus.Status = Iostatus & 0xFFFF_FFFF


# --- calling and completing ----------------------------------------------------------------


@routine_up_to(Irql.DISPATCH_LEVEL)
def IofCallDriver(DeviceObject: Pointer, Irp: Pointer) -> int:
    """Hand an IRP to the driver of a device.

    Args:
        DeviceObject: the device.
        Irp: the IRP, whose next stack location is filled in.

    Returns:
        What its dispatch routine returned; STATUS_INVALID_DEVICE_REQUEST without one, with the
        IRP completed so.

    Raises:
        BugCheck: NO_MORE_IRP_STACK_LOCATIONS.
    """
    here = by_nt(IRP, Irp)
    if here.CurrentLocation <= 1:
        current_kernel().machine.stop(
            BugCheckCode.NO_MORE_IRP_STACK_LOCATIONS,
            (Irp, 0, 0, 0),
            f"the IRP at {Irp:#x} was sent on, and has no stack location left",
        )
    _move(here, -1)
    location = by_nt(IO_STACK_LOCATION, here.Tail.Overlay.CurrentStackLocation)
    location.DeviceObject = DeviceObject
    driver = by_nt(DRIVER_OBJECT, by_nt(DEVICE_OBJECT, DeviceObject).DriverObject)
    dispatch = driver.MajorFunction[location.MajorFunction] if driver else 0
    if not dispatch:
        here.IoStatus.Status = NtStatus.STATUS_INVALID_DEVICE_REQUEST
        _complete(Irp)
        return NtStatus.STATUS_INVALID_DEVICE_REQUEST
    status: int = _call_as_driver(driver, dispatch, DeviceObject, Irp)
    return status


IoCallDriver = IofCallDriver


@routine_up_to(Irql.DISPATCH_LEVEL)
def IofCompleteRequest(Irp: Pointer, PriorityBoost: Long) -> None:
    """Complete an IRP: call the completion routines of the drivers above, lowest first.

    Args:
        Irp: the IRP, with its IoStatus.
        PriorityBoost: has no effect.

    Raises:
        BugCheck: MULTIPLE_IRP_COMPLETE_REQUESTS.
    """
    _complete(Irp)


IoCompleteRequest = IofCompleteRequest


def _complete(irp: int) -> None:
    here = by_nt(IRP, irp)
    if here.CurrentLocation > here.StackCount + 1 or here.Type != _TYPE_IRP:
        current_kernel().machine.stop(
            BugCheckCode.MULTIPLE_IRP_COMPLETE_REQUESTS,
            (irp, 0, 0, 0),
            f"the IRP at {irp:#x} was completed, and is no IRP, or completed already",
        )
    while here.CurrentLocation <= here.StackCount:
        location = by_nt(IO_STACK_LOCATION, here.Tail.Overlay.CurrentStackLocation)
        here.PendingReturned = location.Control & SL_PENDING_RETURNED
        _move(here, 1)
        if not _is_wanted(location.Control, here):
            continue
        device = 0
        if here.CurrentLocation <= here.StackCount:
            above = by_nt(IO_STACK_LOCATION, here.Tail.Overlay.CurrentStackLocation)
            device = above.DeviceObject
        status = call_code(location.CompletionRoutine, device, irp, location.Context)
        if status == NtStatus.STATUS_MORE_PROCESSING_REQUIRED:
            return
    here.CurrentLocation = here.StackCount + 2  # nobody has it any more


def _is_wanted(control: int, irp: Fields) -> bool:
    """Whether a completion routine is called for how the IRP ended."""
    if irp.Cancel and control & SL_INVOKE_ON_CANCEL:
        return True
    success = NtStatus.STATUS_SUCCESS <= irp.IoStatus.Status & 0xFFFF_FFFF < 0x8000_0000
    return bool(control & (SL_INVOKE_ON_SUCCESS if success else SL_INVOKE_ON_ERROR))


def _call_as_driver(driver: Fields, code: Callable[..., Any] | int, *arguments: int) -> Any:
    """Call a routine as the code of the driver that a driver object names."""
    image = current_kernel().machine.program.owner_of(driver.DriverStart)
    if image is None:
        return call_code(code, *arguments)
    with image:
        return call_code(code, *arguments)


# --- cancellation --------------------------------------------------------------------------


@inlined
def IoSetCancelRoutine(Irp: Pointer, CancelRoutine: Code) -> int:
    """Set the routine that cancels an IRP, or none; returns the address of the one before."""
    here = IRP(Irp)
    before: int = here.CancelRoutine
    here.CancelRoutine = CancelRoutine or 0
    return before


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoAcquireCancelSpinLock(Irql: Out) -> None:
    """Take the system's cancel spin lock.

    Args:
        Irql: where the IRQL before goes, one byte.
    """
    kernel = current_kernel()
    store(Irql, kernel.spin_locks.acquire(kernel.devices.cancel_lock), 1)


@routine
def IoReleaseCancelSpinLock(Irql: Uchar) -> None:
    """Let the system's cancel spin lock go, and lower the IRQL."""
    kernel = current_kernel()
    kernel.spin_locks.release(kernel.devices.cancel_lock, Irql)


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoCancelIrp(Irp: Pointer) -> bool:
    """Cancel an IRP: call its cancel routine, which lets the cancel spin lock go.

    Returns:
        Whether it had one.
    """
    kernel = current_kernel()
    old = kernel.spin_locks.acquire(kernel.devices.cancel_lock)
    here = by_nt(IRP, Irp)
    here.Cancel = 1
    cancel, here.CancelRoutine = here.CancelRoutine, 0
    if not cancel:
        kernel.spin_locks.release(kernel.devices.cancel_lock, old)
        return False
    here.CancelIrql = old
    location = by_nt(IO_STACK_LOCATION, here.Tail.Overlay.CurrentStackLocation)
    device = location.DeviceObject if here.CurrentLocation <= here.StackCount else 0
    call_code(cancel, device, Irp)
    return True

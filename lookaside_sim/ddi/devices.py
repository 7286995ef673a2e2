"""The documented routines on devices; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h). Choice: the device extension follows the DEVICE_OBJECT, aligned
    as pool blocks are; both are one block with the tag ``Devi`` that counts as the driver's.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Boolean, Out, Pointer, Ulong, store_pointer
from lookaside_sim.ddi.io_structures import DEVICE_OBJECT, DRIVER_OBJECT
from lookaside_sim.ddi.routine import routine_up_to
from lookaside_sim.ddi.strings import text_of
from lookaside_sim.ddi.structures import by_nt
from lookaside_sim.ddi.types import sizeof
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql, NtStatus, PoolTag, PoolType

__all__ = [
    "DO_BUFFERED_IO",
    "DO_DEVICE_INITIALIZING",
    "DO_DIRECT_IO",
    "FILE_DEVICE_UNKNOWN",
    "IoAttachDeviceToDeviceStack",
    "IoCreateDevice",
    "IoCreateSymbolicLink",
    "IoDeleteDevice",
    "IoDeleteSymbolicLink",
    "IoDetachDevice",
]

FILE_DEVICE_UNKNOWN: Final = 0x22
DO_BUFFERED_IO: Final = 0x4
DO_DIRECT_IO: Final = 0x10
DO_DEVICE_INITIALIZING: Final = 0x80
_TYPE_DEVICE: Final = 3
_TAG: Final = PoolTag(b"Devi")


@routine_up_to(Irql.APC_LEVEL)
def IoCreateDevice(
    DriverObject: Pointer,
    DeviceExtensionSize: Ulong,
    DeviceName: Pointer,
    DeviceType: Ulong,
    DeviceCharacteristics: Ulong,
    Exclusive: Boolean,
    DeviceObject: Out,
) -> NtStatus:
    """Make a device, with its extension, zeroed.

    Args:
        DriverObject: whose; it leads to its devices.
        DeviceExtensionSize: bytes of the extension.
        DeviceName: UNICODE_STRING, or 0 for NULL.
        DeviceType: such as FILE_DEVICE_UNKNOWN.
        DeviceCharacteristics: flags.
        Exclusive: has no effect.
        DeviceObject: where its address goes.

    Returns:
        STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES or STATUS_OBJECT_NAME_COLLISION.
    """
    kernel = current_kernel()
    name = text_of(DeviceName) if DeviceName else ""
    if name and kernel.devices.named(name) is not None:
        return NtStatus.STATUS_OBJECT_NAME_COLLISION
    alignment = kernel.arch.maximum_alignment
    head = -(-sizeof(DEVICE_OBJECT) // alignment) * alignment
    pool_type = PoolType.NonPagedPoolNx | PoolType.POOL_ZERO_ALLOCATION
    address = kernel.pool.allocate(pool_type, head + DeviceExtensionSize, _TAG)
    if not address:
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES
    here = by_nt(DEVICE_OBJECT, address)
    here.Type = _TYPE_DEVICE
    here.Size = (sizeof(DEVICE_OBJECT) + DeviceExtensionSize) & 0xFFFF
    here.DriverObject = DriverObject
    here.DeviceExtension = address + head if DeviceExtensionSize else 0
    here.DeviceType, here.Characteristics = DeviceType, DeviceCharacteristics
    here.Flags, here.StackSize = DO_DEVICE_INITIALIZING, 1
    if DriverObject:
        driver = by_nt(DRIVER_OBJECT, DriverObject)
        here.NextDevice, driver.DeviceObject = driver.DeviceObject, address
    kernel.devices.add(address, name, DriverObject)
    store_pointer(DeviceObject, address)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(Irql.APC_LEVEL)
def IoDeleteDevice(DeviceObject: Pointer) -> None:
    """Delete a device and its extension.

    Args:
        DeviceObject: the device; nothing may lie in its extension that still counts.

    Raises:
        BugCheck: what freeing a block with an active list or timer in it gives.
        LookasideSimError: no device, or one that was deleted.
    """
    kernel = current_kernel()
    device = kernel.devices.remove(DeviceObject)
    if device is None:
        raise LookasideSimError(f"IoDeleteDevice({DeviceObject:#x}): no device lies there")
    following = by_nt(DEVICE_OBJECT, DeviceObject).NextDevice
    if device.driver:
        driver = by_nt(DRIVER_OBJECT, device.driver)
        if driver.DeviceObject == DeviceObject:
            driver.DeviceObject = following
        else:
            before = by_nt(DEVICE_OBJECT, driver.DeviceObject)
            while before and before.NextDevice != DeviceObject:
                before = by_nt(DEVICE_OBJECT, before.NextDevice)
            if before:
                before.NextDevice = following
    kernel.pool.free(DeviceObject)


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoAttachDeviceToDeviceStack(SourceDevice: Pointer, TargetDevice: Pointer) -> int:
    """Put a device on top of a stack of devices.

    Args:
        SourceDevice: the device.
        TargetDevice: any device of the stack.

    Returns:
        The device that was on top, which IRPs are handed on to.
    """
    top = by_nt(DEVICE_OBJECT, TargetDevice)
    while top.AttachedDevice:
        top = by_nt(DEVICE_OBJECT, top.AttachedDevice)
    top.AttachedDevice = SourceDevice
    by_nt(DEVICE_OBJECT, SourceDevice).StackSize = top.StackSize + 1
    return top.address


@routine_up_to(Irql.PASSIVE_LEVEL)
def IoDetachDevice(TargetDevice: Pointer) -> None:
    """Take the device that is attached to one off it."""
    by_nt(DEVICE_OBJECT, TargetDevice).AttachedDevice = 0


@routine_up_to(Irql.PASSIVE_LEVEL)
def IoCreateSymbolicLink(SymbolicLinkName: Pointer, DeviceName: Pointer) -> NtStatus:
    """Give a device another name; STATUS_OBJECT_NAME_COLLISION where it is taken."""
    devices = current_kernel().devices
    name = text_of(SymbolicLinkName).lower()
    if name in devices.links:
        return NtStatus.STATUS_OBJECT_NAME_COLLISION
    devices.links[name] = text_of(DeviceName)
    return NtStatus.STATUS_SUCCESS


@routine_up_to(Irql.PASSIVE_LEVEL)
def IoDeleteSymbolicLink(SymbolicLinkName: Pointer) -> NtStatus:
    """Take a name away; STATUS_OBJECT_NAME_NOT_FOUND for one that nothing has."""
    links = current_kernel().devices.links
    if links.pop(text_of(SymbolicLinkName).lower(), None) is None:
        return NtStatus.STATUS_OBJECT_NAME_NOT_FOUND
    return NtStatus.STATUS_SUCCESS

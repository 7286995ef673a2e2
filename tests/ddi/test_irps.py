"""IRPs through a stack of two drivers: locations, completion, cancellation, misuse."""

from __future__ import annotations

from typing import Any

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, ddi


def stack(kernel: Kernel, *dispatches: Any) -> list[int]:
    """Devices, the lowest first, each of a driver with one dispatch routine for reads."""
    devices: list[int] = []
    for dispatch in dispatches:
        driver, device = ddi.variable(ddi.DRIVER_OBJECT), ddi.Ref()
        driver.MajorFunction[ddi.IRP_MJ_READ] = dispatch
        assert ddi.IoCreateDevice(driver, 0, 0, ddi.FILE_DEVICE_UNKNOWN, 0, False, device) == 0
        if devices:
            assert ddi.IoAttachDeviceToDeviceStack(device.value, devices[0]) == devices[-1]
        devices.append(device.value)
    return devices


def sent(device: int, completion: Any = None) -> int:
    """An IRP for a read."""
    irp = ddi.IoAllocateIrp(ddi.DEVICE_OBJECT(device).StackSize, False)
    location = ddi.IoGetNextIrpStackLocation(irp)
    location.MajorFunction = ddi.IRP_MJ_READ
    location.Parameters.Read.Length = 0x200
    if completion is not None:
        ddi.IoSetCompletionRoutine(irp, completion, 0x99, True, True, True)
    return irp


def test_down_the_stack_and_up_again(current: Kernel) -> None:
    seen: list[Any] = []

    def lower(device: int, irp: int) -> int:
        seen.append(("lower", ddi.IoGetCurrentIrpStackLocation(irp).Parameters.Read.Length))
        ddi.IRP(irp).IoStatus.Status = ddi.STATUS_SUCCESS
        ddi.IRP(irp).IoStatus.Information = 0x200
        ddi.IoCompleteRequest(irp, ddi.IO_NO_INCREMENT)
        return int(ddi.STATUS_SUCCESS)

    def above(device: int, irp: int, context: int) -> int:
        seen.append(("above", device == devices[1], context))
        return int(ddi.STATUS_SUCCESS)

    def upper(device: int, irp: int) -> int:
        ddi.IoCopyCurrentIrpStackLocationToNext(irp)
        ddi.IoSetCompletionRoutine(irp, above, 0x11, True, False, False)
        return ddi.IoCallDriver(devices[0], irp)

    def done(device: int, irp: int, context: int) -> int:
        seen.append(("done", device, context, ddi.IRP(irp).IoStatus.Information))
        ddi.IoFreeIrp(irp)
        return int(ddi.STATUS_MORE_PROCESSING_REQUIRED)

    devices = stack(current, lower, upper)
    assert ddi.DEVICE_OBJECT(devices[1]).StackSize == 2
    assert ddi.IoCallDriver(devices[1], sent(devices[1], done)) == 0
    assert seen == [("lower", 0x200), ("above", True, 0x11), ("done", 0, 0x99, 0x200)]


def test_a_location_that_is_skipped(current: Kernel) -> None:
    seen: list[int] = []

    def lower(device: int, irp: int) -> int:
        seen.append(ddi.IRP(irp).CurrentLocation)
        ddi.IoMarkIrpPending(irp)
        return int(ddi.STATUS_PENDING)

    def upper(device: int, irp: int) -> int:
        ddi.IoSkipCurrentIrpStackLocation(irp)
        return ddi.IofCallDriver(devices[0], irp)

    devices = stack(current, lower, upper)
    irp = sent(
        devices[1], lambda device, irp, context: seen.append(ddi.IRP(irp).PendingReturned)
    )
    assert ddi.IoCallDriver(devices[1], irp) == ddi.STATUS_PENDING
    ddi.IofCompleteRequest(irp, 0)
    assert seen == [2, 1]


def test_completed_twice_and_sent_too_deep(arch: str) -> None:
    with Kernel(arch) as kernel:
        (device,) = stack(kernel, 0)
        irp = sent(device)
        assert ddi.IoCallDriver(device, irp) == ddi.STATUS_INVALID_DEVICE_REQUEST
        with pytest.raises(BugCheck) as stop:
            ddi.IoCompleteRequest(irp, 0)
    assert stop.value.code is BugCheckCode.MULTIPLE_IRP_COMPLETE_REQUESTS
    with Kernel(arch) as kernel:
        (device,) = stack(kernel, 0)
        irp = sent(device)
        ddi.IoSetNextIrpStackLocation(irp)
        with pytest.raises(BugCheck) as stop:
            ddi.IoCallDriver(device, irp)
    assert stop.value.code is BugCheckCode.NO_MORE_IRP_STACK_LOCATIONS


def test_memory_of_the_drivers_own_and_reuse(current: Kernel) -> None:
    size = ddi.IoSizeOfIrp(2)
    irp = ddi.ExAllocatePoolWithTag(512, size, b"Irpm")
    ddi.IoInitializeIrp(irp, size, 2)
    here = ddi.IRP(irp)
    assert (here.Type, here.Size, here.StackCount, here.CurrentLocation) == (6, size, 2, 3)
    assert here.Tail.Overlay.CurrentStackLocation == irp + size
    assert here.ThreadListEntry.Flink == here.ThreadListEntry
    allocated = ddi.IoAllocateIrp(1, False)
    before = ddi.IRP(allocated).AllocationFlags, ddi.IRP(allocated).Size
    ddi.IoReuseIrp(allocated, ddi.STATUS_CANCELLED)
    assert (ddi.IRP(allocated).AllocationFlags, ddi.IRP(allocated).Size) == before
    assert ddi.IRP(allocated).IoStatus.Status == ddi.STATUS_CANCELLED
    ddi.IoFreeIrp(allocated)


def test_cancellation(current: Kernel) -> None:
    seen: list[Any] = []

    def cancel(device: int, irp: int) -> None:
        seen.append((device, int(current.irql)))
        ddi.IoReleaseCancelSpinLock(ddi.IRP(irp).CancelIrql)

    irp = ddi.IoAllocateIrp(1, False)
    assert ddi.IoSetCancelRoutine(irp, cancel) == 0
    assert ddi.IoCancelIrp(irp)
    assert (seen, current.irql, ddi.IRP(irp).Cancel) == ([(0, 2)], 0, 1)
    assert not ddi.IoCancelIrp(irp)
    ddi.IoSetCancelRoutine(irp, cancel)
    assert ddi.IoSetCancelRoutine(irp, 0) == current.routines.address_of(cancel)
    old = ddi.Ref()
    ddi.IoAcquireCancelSpinLock(old)
    assert (old.value, current.irql) == (0, 2)
    ddi.IoReleaseCancelSpinLock(old.value)
    assert current.spin_locks.held() == []

"""Devices: extensions where lists live, names, links, and what is left in a deleted one."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideSimError, Verifier, ddi
from tests.ddi.test_strings import string

EXTENSION = ddi.structure(
    "EXTENSION", ("Count", ddi.ULONG), ("List", ddi.LOOKASIDE_LIST_EX), ("Lock", ddi.KSPIN_LOCK)
)


def made(driver: object = 0, name: object = 0, size: int = 0) -> int:
    device = ddi.Ref()
    assert ddi.IoCreateDevice(driver, size, name, 0x22, 0, False, device) == 0
    return int(device.value)


def test_a_list_lives_in_a_device_extension(current: Kernel) -> None:
    device = made(size=ddi.sizeof(EXTENSION))
    extension = EXTENSION(ddi.DEVICE_OBJECT(device).DeviceExtension)
    assert extension.Count == 0
    ddi.ExInitializeLookasideListEx(extension.List, 0, 0, 512, 0, 64, b"Devx", 0)
    entry = ddi.ExAllocateFromLookasideListEx(extension.List)
    ddi.ExFreeToLookasideListEx(extension.List, entry)
    ddi.ExDeleteLookasideListEx(extension.List)
    ddi.IoDeleteDevice(device)
    assert not current.devices.all()


def test_deleting_a_device_with_an_active_list(arch: str) -> None:
    with Kernel(arch, verifier=Verifier.standard()):
        device = made(size=ddi.sizeof(EXTENSION))
        extension = EXTENSION(ddi.DEVICE_OBJECT(device).DeviceExtension)
        ddi.ExInitializeLookasideListEx(extension.List, 0, 0, 512, 0, 64, b"Devx", 0)
        with pytest.raises(BugCheck) as stop:
            ddi.IoDeleteDevice(device)
    assert stop.value.parameters[0] == 0xCC


def test_a_driver_object_leads_to_its_devices(current: Kernel) -> None:
    driver = ddi.variable(ddi.DRIVER_OBJECT)
    first, second, third = (made(driver) for _ in range(3))
    assert driver.DeviceObject == third
    ddi.IoDeleteDevice(second)
    assert ddi.DEVICE_OBJECT(third).NextDevice == first
    ddi.IoDeleteDevice(third)
    assert driver.DeviceObject == first
    ddi.IoDeleteDevice(first)
    assert driver.DeviceObject == 0
    with pytest.raises(LookasideSimError, match="no device lies there"):
        ddi.IoDeleteDevice(first)


def test_names_and_links(current: Kernel) -> None:
    name, link = string("\\Device\\Ours"), string("\\DosDevices\\Ours")
    device = made(name=name)
    assert str(current.devices.all()[0]).startswith(
        f"the device '\\\\Device\\\\Ours' at {device:#x}"
    )
    assert ddi.IoCreateDevice(0, 0, name, 0, 0, False, ddi.Ref()) == (
        ddi.STATUS_OBJECT_NAME_COLLISION
    )
    assert ddi.IoCreateSymbolicLink(link, name) == 0
    assert ddi.IoCreateSymbolicLink(link, name) == ddi.STATUS_OBJECT_NAME_COLLISION
    found = current.devices.named("\\dosdevices\\ours")
    assert found is not None
    assert found.address == device
    assert ddi.IoDeleteSymbolicLink(link) == 0
    assert ddi.IoDeleteSymbolicLink(link) == ddi.STATUS_OBJECT_NAME_NOT_FOUND
    ddi.IoDetachDevice(device)
    ddi.IoDeleteDevice(device)


def test_no_memory_for_a_device() -> None:
    with Kernel(nonpaged_nx_pool_bytes=0):
        assert ddi.IoCreateDevice(0, 8, 0, 0, 0, False, ddi.Ref()) == (
            ddi.STATUS_INSUFFICIENT_RESOURCES
        )

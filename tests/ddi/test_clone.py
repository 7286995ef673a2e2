"""A copy of a machine has its own locks, objects, devices, framework objects and queues."""

from __future__ import annotations

from lookaside_sim import Kernel, ddi


def test_what_the_routines_keep_is_copied(current: Kernel) -> None:
    driver = current.load_driver("a.sys")
    event, dpc, timer = (ddi.variable(each) for each in (ddi.KEVENT, ddi.KDPC, ddi.KTIMER))
    handle, device, memory, lookaside = (ddi.Ref() for _ in range(4))
    with driver:
        ddi.KeInitializeEvent(event, ddi.NotificationEvent, False)
        ddi.KeInitializeTimer(timer)
        ddi.KeInitializeDpc(dpc, lambda *given: ddi.KeSetEvent(event, 0, False), 0)
        ddi.KeSetTimer(timer, -10_000_000, dpc)
        ddi.ZwOpenKey(handle, 0, 0)
        ddi.IoCreateDevice(0, 16, 0, 0, 0, False, device)
        ddi.WdfLookasideListCreate(0, 32, 512, 0, b"Copy", lookaside)
        ddi.WdfMemoryCreateFromLookaside(lookaside.value, memory)
        ddi.KeEnterCriticalRegion()
    copy = current.clone()
    with copy:
        assert ddi.KeWaitForSingleObject(event, 0, 0, False, 0) == 0
        assert ddi.ZwClose(handle.value) == 0
        ddi.IoDeleteDevice(device.value)
        ddi.WdfObjectDelete(lookaside.value)
        ddi.KeLeaveCriticalRegion()
        copy.drivers.named("a.sys").unload()
        assert not copy.lookaside_lists
    with current:
        assert ddi.KeReadStateEvent(event) == 0
        assert current.seconds == 0
        assert ddi.WdfMemoryGetBuffer(memory.value, 0)
        assert len(current.lookaside_lists) == 1
        assert [each.address for each in current.devices.all()] == [device.value]
        assert [each.value for each in current.references.handles()] == [handle.value]
        assert ddi.KeAreApcsDisabled()
        assert driver.loaded

"""Events with names and handles."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, ddi


def test_an_event_of_a_name_has_a_handle_to_close(current: Kernel) -> None:
    name, handle = ddi.variable(ddi.UNICODE_STRING), ddi.Ref()
    ddi.RtlInitUnicodeString(name, "\\BaseNamedObjects\\Ours")
    event = ddi.IoCreateNotificationEvent(name, handle)
    assert ddi.KeReadStateEvent(event) == 1
    ddi.KeClearEvent(event)
    before = ddi.Ref(7)
    assert ddi.ZwSetEvent(handle.value, before) == ddi.STATUS_SUCCESS
    assert (before.value, ddi.KeReadStateEvent(event)) == (0, 1)
    assert ddi.ZwClose(handle.value) == ddi.STATUS_SUCCESS
    assert ddi.ZwSetEvent(handle.value, ddi.NULL) == ddi.STATUS_INVALID_HANDLE


def test_a_synchronization_event_lets_one_wait_through(current: Kernel) -> None:
    handle = ddi.Ref()
    event = ddi.IoCreateSynchronizationEvent("Ours", handle)
    assert (
        ddi.KeWaitForSingleObject(event, ddi.Executive, ddi.KernelMode, ddi.FALSE, ddi.NULL)
        == ddi.STATUS_SUCCESS
    )
    assert ddi.KeReadStateEvent(event) == 0
    ddi.ZwClose(handle.value)


def test_a_standard_event_has_a_handle_too(current: Kernel) -> None:
    handle = ddi.Ref()
    event = ddi.IoCreateNotificationEvent("\\KernelObjects\\LowMemoryCondition", handle)
    assert ddi.KeReadStateEvent(event) == 0
    assert ddi.ZwClose(handle.value) == ddi.STATUS_SUCCESS


def test_without_a_handle_only_a_standard_event_is_opened(current: Kernel) -> None:
    assert (
        ddi.KeReadStateEvent(ddi.IoCreateNotificationEvent("HighMemoryCondition", ddi.NULL))
        == 1
    )
    with pytest.raises(ValueError, match="event 'Ours': give one of"):
        ddi.IoCreateNotificationEvent("Ours", ddi.NULL)


def test_a_handle_to_something_else_is_no_event(current: Kernel) -> None:
    handle, attributes, block = (
        ddi.Ref(),
        ddi.variable(ddi.OBJECT_ATTRIBUTES),
        ddi.variable(ddi.IO_STATUS_BLOCK),
    )
    ddi.InitializeObjectAttributes(
        attributes, ddi.NULL, ddi.OBJ_KERNEL_HANDLE, ddi.NULL, ddi.NULL
    )
    ddi.ZwOpenFile(handle, 0, attributes, block, 0, 0)
    assert ddi.ZwSetEvent(handle.value, ddi.NULL) == ddi.STATUS_OBJECT_TYPE_MISMATCH


def test_without_memory_there_is_no_event() -> None:
    with Kernel(nonpaged_pool_bytes=0x1000, paged_pool_bytes=0x1000) as kernel:
        while kernel.pool.allocate(512, 0x400, b"Full") or kernel.pool.allocate(
            512, 16, b"Full"
        ):
            pass
        handle = ddi.Ref(7)
        assert ddi.IoCreateNotificationEvent("Ours", handle) == ddi.NULL
        assert handle.value == 0

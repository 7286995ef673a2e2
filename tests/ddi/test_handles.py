"""Objects, references and handles: counts that leak, and counts that go below zero."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, NtStatus, Verifier, ddi
from tests.ddi.test_strings import string


def opened(name: str = "\\??\\C:\\file") -> tuple[int, int]:
    """A file's handle, and the address of its object without a reference taken."""
    attributes, block = ddi.variable(ddi.OBJECT_ATTRIBUTES), ddi.variable(ddi.IO_STATUS_BLOCK)
    ddi.InitializeObjectAttributes(attributes, string(name), ddi.OBJ_KERNEL_HANDLE, 0, 0)
    handle, file = ddi.Ref(), ddi.Ref()
    assert (
        ddi.ZwCreateFile(handle, 0, attributes, block, 0, 0, 0, 1, 0, 0, 0)
        == block.Status
        == ddi.STATUS_SUCCESS
    )
    assert block.Information == 1
    assert ddi.ObReferenceObjectByHandle(handle.value, 0, ddi.IoFileObjectType, 0, file, 0) == 0
    assert ddi.ObDereferenceObject(file.value) == 1
    return handle.value, file.value


def test_an_object_lives_for_its_handles_and_references(current: Kernel) -> None:
    handle, file = opened()
    assert handle >> (current.arch.address_bits - 1) == 1  # a kernel handle
    assert ddi.ObReferenceObject(file) == 2
    assert ddi.ObReferenceObjectWithTag(file, b"Test") == 3
    assert ddi.ZwClose(handle) == 0
    assert ddi.ZwClose(handle) == ddi.STATUS_INVALID_HANDLE
    ((thing, where), (_, second)) = current.references.taken()
    assert str(thing) == f"the File object '\\\\??\\\\C:\\\\file' at {file:#x}"
    assert "test_handles.py" in where
    assert "test_handles.py" in second
    assert ddi.ObDereferenceObjectWithTag(file, b"Test") == 1
    assert ddi.ObDereferenceObject(file) == 0
    assert current.references.blocks == 0
    with pytest.raises(BugCheck) as stop:
        ddi.ObDereferenceObject(file)
    assert stop.value.code is BugCheckCode.REFERENCE_BY_POINTER


def test_what_the_verifier_says_of_counts(arch: str) -> None:
    cases: tuple[tuple[Callable[[], object], int], ...] = (
        (lambda: ddi.ObDereferenceObject(0x1230), 0x3F),
        (lambda: ddi.ObReferenceObjectByHandle(0x40, 0, 0, 0, ddi.Ref(), 0), 0x3C),
    )
    for do, violation in cases:
        with Kernel(arch, verifier=Verifier.standard()), pytest.raises(BugCheck) as stop:
            do()
        assert stop.value.parameters[0] == violation


def test_types_are_checked(current: Kernel) -> None:
    handle, file = opened()
    by_handle = ddi.ObReferenceObjectByHandle
    assert by_handle(handle, 0, ddi.ExEventObjectType, 0, ddi.Ref(), 0) == (
        NtStatus.STATUS_OBJECT_TYPE_MISMATCH
    )
    assert by_handle(0x44, 0, 0, 0, ddi.Ref(), 0) == NtStatus.STATUS_INVALID_HANDLE
    assert ddi.ObReferenceObjectByPointer(file, 0, ddi.PsThreadType, 0) == (
        NtStatus.STATUS_OBJECT_TYPE_MISMATCH
    )
    assert ddi.ObReferenceObjectByPointer(file, 0, 0, 0) == 0
    second = ddi.Ref()
    assert ddi.ObOpenObjectByPointer(file, 0, 0, 0, ddi.PsThreadType, 0, second) == (
        NtStatus.STATUS_OBJECT_TYPE_MISMATCH
    )
    assert ddi.ObOpenObjectByPointer(file, 0, 0, 0, 0, 0, second) == 0
    assert len(current.references.handles()) == 2
    ddi.ObDereferenceObject(file)
    ddi.ZwClose(second.value)
    ddi.ZwClose(handle)
    assert current.references.blocks == 0


def test_files_keys_and_events(current: Kernel) -> None:
    handle, disposition = ddi.Ref(), ddi.Ref()
    attributes = ddi.variable(ddi.OBJECT_ATTRIBUTES)
    ddi.InitializeObjectAttributes(attributes, string("\\Registry\\Machine"), 0, 0, 0)
    opens: tuple[Callable[[], int], ...] = (
        lambda: ddi.ZwOpenFile(handle, 0, attributes, 0, 0, 0),
        lambda: ddi.ZwOpenKey(handle, 0, attributes),
        lambda: ddi.ZwCreateKey(handle, 0, attributes, 0, 0, 0, disposition),
        lambda: ddi.ZwCreateKey(handle, 0, attributes, 0, 0, 0, 0),
    )
    for do in opens:
        assert do() == 0
        assert ddi.ZwClose(handle.value) == 0
    assert disposition.value == 2
    assert ddi.ZwCreateEvent(handle, 0, 0, ddi.NotificationEvent, True) == 0
    event = ddi.Ref()
    ddi.ObReferenceObjectByHandle(handle.value, 0, ddi.ExEventObjectType, 0, event, 0)
    assert ddi.KeReadStateEvent(event.value) == 1
    ddi.ObDereferenceObject(event.value)
    ddi.ZwClose(handle.value)
    assert current.references.blocks == 0


def test_no_memory_for_an_object() -> None:
    with Kernel(nonpaged_nx_pool_bytes=0):
        assert ddi.ZwOpenKey(ddi.Ref(), 0, 0) == ddi.STATUS_INSUFFICIENT_RESOURCES
        assert ddi.ZwCreateEvent(ddi.Ref(), 0, 0, 0, False) == (
            ddi.STATUS_INSUFFICIENT_RESOURCES
        )
        assert ddi.ZwOpenFile(ddi.Ref(), 0, 0, 0, 0, 0) == ddi.STATUS_INSUFFICIENT_RESOURCES


def test_a_process_is_looked_up(current: Kernel) -> None:
    process = ddi.Ref()
    assert ddi.PsLookupProcessByProcessId(1, process) == 0
    assert process.value == ddi.PsGetCurrentProcess()
    assert ddi.PsLookupProcessByProcessId(process.value, process) == 0
    assert len(current.references.taken()) == 2
    ddi.ObDereferenceObject(process.value)
    ddi.ObDereferenceObject(process.value)
    assert not current.references.taken()
    assert ddi.PsLookupProcessByProcessId(99, process) == ddi.STATUS_INVALID_PARAMETER

"""KMDF's memory, lists and locks over the machine's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, Verifier, ddi
from lookaside_sim.testing import LeakTracker
from tests.ddi.helpers import memory


def listed(size: int = 64, tag: bytes = b"Wdfl") -> int:
    lookaside = ddi.Ref()
    assert ddi.WdfLookasideListCreate(0, size, ddi.NonPagedPoolNx, 0, tag, lookaside) == 0
    return int(lookaside.value)


def taken(lookaside: int) -> int:
    made = ddi.Ref()
    assert ddi.WdfMemoryCreateFromLookaside(lookaside, made) == 0
    return int(made.value)


def test_memory_from_pool(current: Kernel) -> None:
    handle, buffer, size = ddi.Ref(), ddi.Ref(), ddi.Ref()
    create = ddi.WdfMemoryCreate
    with LeakTracker(current) as tracker:
        assert create(0, ddi.PagedPool, b"Wdfm", 100, handle, buffer) == 0
        assert ddi.WdfMemoryGetBuffer(handle.value, size) == buffer.value
        assert size.value == 100
        block = current.pool.find(buffer.value)
        assert block is not None
        assert (bytes(block.tag.to_bytes(4, "little")), block.size) == (b"Wdfm", 100)
        assert len(tracker.leaks()) == 1
        ddi.WdfObjectDelete(handle.value)
        tracker.check()
    assert create(0, 512, b"Wdfm", 0, handle, 0) == ddi.STATUS_INVALID_PARAMETER
    with pytest.raises(BugCheck, match=r"is no object, no WDFMEMORY") as stop:
        ddi.WdfMemoryGetBuffer(handle.value, 0)
    assert stop.value.code is BugCheckCode.WDF_VIOLATION


def test_memory_from_a_list_goes_back_to_it(current: Kernel) -> None:
    lookaside = listed()
    first = taken(lookaside)
    buffer = ddi.WdfMemoryGetBuffer(first, 0)
    (lists,) = current.lookaside_lists
    assert (lists.size, lists.total_allocates, str(lists.tag)) == (64, 1, "Wdfl")
    ddi.WdfObjectDelete(first)
    assert lists.current_depth == 1
    assert ddi.WdfMemoryGetBuffer(taken(lookaside), 0) == buffer
    ddi.WdfObjectDelete(lookaside)
    assert not current.lookaside_lists
    assert all(row.nonpaged_bytes == 0 for row in current.pool.rows().values())


def test_a_list_lives_as_long_as_somebody_refers_to_its_memory(current: Kernel) -> None:
    lookaside = listed()
    handle = taken(lookaside)
    ddi.WdfObjectReference(handle)
    ddi.WdfObjectDelete(lookaside)
    (lists,) = current.lookaside_lists
    assert ddi.WdfMemoryGetBuffer(handle, 0)
    ddi.WdfObjectDereference(handle)
    assert not lists.is_active


def test_parents_and_callbacks(current: Kernel) -> None:
    called: list[tuple[str, int]] = []
    parent, child = ddi.Ref(), ddi.Ref()
    assert ddi.WdfObjectCreate(ddi.WDF_NO_OBJECT_ATTRIBUTES, parent) == 0
    attributes = ddi.variable(ddi.WDF_OBJECT_ATTRIBUTES)
    ddi.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
    assert attributes.Size == ddi.sizeof(ddi.WDF_OBJECT_ATTRIBUTES)
    attributes.ParentObject = parent.value
    attributes.EvtCleanupCallback = lambda handle: called.append(("cleanup", handle))
    attributes.EvtDestroyCallback = lambda handle: called.append(("destroy", handle))
    assert ddi.WdfMemoryCreate(attributes, 512, 0, 8, child, 0) == 0
    ddi.WdfObjectDelete(parent.value)
    assert called == [("cleanup", child.value), ("destroy", child.value)]


def test_the_framework_deletes_what_a_driver_leaves(arch: str) -> None:
    with Kernel(arch, verifier=Verifier.standard()) as kernel:
        driver = kernel.load_driver("wdf.sys")
        with driver:
            handle = ddi.Ref()
            assert ddi.WdfDriverCreate(0, 0, 0, 0, handle) == 0
            assert handle.value == ddi.WdfGetDriver()
            ddi.WdfMemoryCreate(0, 512, b"Left", 32, ddi.Ref(), 0)
            taken(listed())
            ddi.WdfSpinLockCreate(0, ddi.Ref())
        driver.unload()
        assert not kernel.lookaside_lists
        assert all(row.nonpaged_bytes == 0 for row in kernel.pool.rows().values())


def test_a_buffer_of_the_drivers_own(current: Kernel) -> None:
    buffer, other, handle = memory(current), memory(current), ddi.Ref()
    assert ddi.WdfMemoryCreatePreallocated(0, buffer, 16, handle) == 0
    assert ddi.WdfMemoryCopyFromBuffer(handle.value, 2, other, 14) == 0
    assert (
        ddi.WdfMemoryCopyFromBuffer(handle.value, 3, other, 14) == ddi.STATUS_BUFFER_TOO_SMALL
    )
    assert ddi.WdfMemoryCopyToBuffer(handle.value, 0, other, 16) == 0
    assert ddi.WdfMemoryCopyToBuffer(handle.value, 1, other, 16) == ddi.STATUS_BUFFER_TOO_SMALL
    assert ddi.WdfMemoryAssignBuffer(handle.value, other, 8) == 0
    assert ddi.WdfMemoryGetBuffer(handle.value, 0) == other
    assert ddi.WdfMemoryAssignBuffer(handle.value, other, 0) == ddi.STATUS_INVALID_PARAMETER
    ddi.WdfObjectDelete(handle.value)
    assert current.pool.find(buffer) is not None
    assert ddi.WdfMemoryCreatePreallocated(0, 0, 16, handle) == ddi.STATUS_INVALID_PARAMETER


def test_spin_locks(current: Kernel) -> None:
    lock = ddi.Ref()
    assert ddi.WdfSpinLockCreate(0, lock) == 0
    ddi.WdfSpinLockAcquire(lock.value)
    assert current.irql == 2
    ddi.WdfSpinLockRelease(lock.value)
    assert current.irql == 0
    with pytest.raises(BugCheck, match="SPIN_LOCK_NOT_OWNED"):
        ddi.WdfSpinLockRelease(lock.value)


def test_no_memory() -> None:
    with Kernel(nonpaged_nx_pool_bytes=0, nonpaged_pool_bytes=0) as kernel:
        none = ddi.STATUS_INSUFFICIENT_RESOURCES
        assert ddi.WdfMemoryCreate(0, 512, b"None", 8, ddi.Ref(), 0) == none
        assert ddi.WdfLookasideListCreate(0, 8, 512, 0, b"None", ddi.Ref()) == none
        assert ddi.WdfSpinLockCreate(0, ddi.Ref()) == none
        assert ddi.WdfLookasideListCreate(0, 0, 512, 0, b"None", ddi.Ref()) == (
            ddi.STATUS_INVALID_PARAMETER
        )
        assert kernel.bugcheck is None


def _delete_twice(handle: int) -> None:
    ddi.WdfObjectReference(handle)
    ddi.WdfObjectDelete(handle)
    ddi.WdfObjectDelete(handle)


@pytest.mark.parametrize(
    "do",
    [
        _delete_twice,
        lambda handle: ddi.WdfObjectDelete(ddi.WdfGetDriver()),
        lambda handle: ddi.WdfSpinLockAcquire(handle),
        lambda handle: ddi.WdfObjectDereference(handle),
    ],
    ids=["twice", "root", "type", "reference"],
)
def test_handles_that_are_wrong(current: Kernel, do: Callable[[int], None]) -> None:
    handle = ddi.Ref()
    ddi.WdfMemoryCreate(0, 512, 0, 8, handle, 0)
    with pytest.raises(BugCheck, match="WDF_VIOLATION"):
        do(handle.value)

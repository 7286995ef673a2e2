"""LIST_ENTRY and SINGLE_LIST_ENTRY, against Python's lists, and what corrupt ones do."""

from __future__ import annotations

import random

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, ddi
from tests.ddi.helpers import memory


def entries(kernel: Kernel, head: int) -> list[int]:
    """What hangs on a list, forwards; backwards it is the same."""
    entry, found = ddi.LIST_ENTRY(head), []
    while entry.Flink != head:
        assert ddi.LIST_ENTRY(entry.Flink).Blink == entry
        entry = ddi.LIST_ENTRY(entry.Flink)
        found.append(entry.address)
    assert ddi.LIST_ENTRY(head).Blink == entry
    return found


def test_random_programs_do_what_a_python_list_does(current: Kernel) -> None:
    draw = random.Random(7)
    head = memory(current)
    ddi.InitializeListHead(head)
    out, model = [memory(current, 16) for _ in range(8)], list[int]()
    for _ in range(400):
        step = draw.randrange(5)
        if step < 2 and out:
            entry = out.pop(draw.randrange(len(out)))
            (ddi.InsertHeadList, ddi.InsertTailList)[step](head, entry)
            model.insert(0 if step == 0 else len(model), entry)
        elif step == 2 and model:
            entry = model.pop(draw.randrange(len(model)))
            assert ddi.RemoveEntryList(entry) == (not model)
            out.append(entry)
        elif step > 2:
            remove = (ddi.RemoveHeadList, ddi.RemoveTailList)[step - 3]
            if model:
                entry = model.pop(0 if step == 3 else -1)
                assert remove(head) == entry
                out.append(entry)
            else:
                assert remove(head) == head
        assert entries(current, head) == model
        assert ddi.IsListEmpty(head) == (not model)


def test_a_ring_is_appended(current: Kernel) -> None:
    head, one, two, three = (memory(current, 16) for _ in range(4))
    ddi.InitializeListHead(head)
    ddi.InsertTailList(head, one)
    ddi.InitializeListHead(two)
    ddi.InsertTailList(two, three)
    ddi.AppendTailList(head, two)
    assert entries(current, head) == [one, two, three]


def test_the_locked_ones(current: Kernel) -> None:
    head, one, two, lock = (memory(current, 16) for _ in range(4))
    ddi.KeInitializeSpinLock(lock)
    ddi.InitializeListHead(head)
    assert ddi.ExInterlockedInsertHeadList(head, one, lock) == 0
    assert ddi.ExInterlockedInsertTailList(head, two, lock) == one
    assert entries(current, head) == [one, two]
    assert ddi.ExInterlockedInsertHeadList(head, memory(current, 16), lock) == one
    ddi.RemoveHeadList(head)
    assert ddi.ExInterlockedRemoveHeadList(head, lock) == one
    assert ddi.ExInterlockedRemoveHeadList(head, lock) == two
    assert ddi.ExInterlockedRemoveHeadList(head, lock) == 0
    assert ddi.ExInterlockedInsertTailList(head, one, lock) == 0


def test_a_lock_that_is_held_stops_the_machine(current: Kernel) -> None:
    head, lock = memory(current, 16), memory(current, 16)
    ddi.KeInitializeSpinLock(lock)
    ddi.KeAcquireSpinLockRaiseToDpc(lock)
    with pytest.raises(BugCheck) as stop:
        ddi.ExInterlockedRemoveHeadList(head, lock)
    assert stop.value.code is BugCheckCode.SPIN_LOCK_ALREADY_OWNED


def test_single_lists(current: Kernel) -> None:
    head, one, two, lock = (memory(current, 16) for _ in range(4))
    ddi.PushEntryList(head, one)
    assert ddi.ExInterlockedPushEntryList(head, two, lock) == one
    assert ddi.PopEntryList(head) == two
    assert ddi.ExInterlockedPopEntryList(head, lock) == one
    assert ddi.ExInterlockedPopEntryList(head, lock) == ddi.PopEntryList(head) == 0


@pytest.mark.parametrize(
    "do",
    [
        lambda head, one, two: ddi.RemoveEntryList(two),
        lambda head, one, two: ddi.RemoveTailList(head),
        lambda head, one, two: ddi.InsertTailList(head, one),
        lambda head, one, two: ddi.AppendTailList(head, one),
    ],
)
def test_a_corrupt_list_stops_the_machine(current: Kernel, do: object) -> None:
    head, one, two = (memory(current, 16) for _ in range(3))
    ddi.InitializeListHead(head)
    ddi.InsertTailList(head, two)
    ddi.LIST_ENTRY(two).Flink = one
    ddi.InitializeListHead(one)
    with pytest.raises(BugCheck) as stop:
        do(head, one, two)  # type: ignore[operator]
    assert stop.value.code is BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE
    assert stop.value.parameters[0] == 3


def test_an_entry_removed_twice_stops_the_machine(current: Kernel) -> None:
    head, one, two = (memory(current, 16) for _ in range(3))
    ddi.InitializeListHead(head)
    ddi.InsertTailList(head, one)
    ddi.InsertTailList(head, two)
    ddi.RemoveEntryList(one)
    with pytest.raises(BugCheck, match="KERNEL_SECURITY_CHECK_FAILURE"):
        ddi.RemoveEntryList(one)


def test_a_head_whose_first_entry_points_elsewhere(current: Kernel) -> None:
    head, one, two = (memory(current, 16) for _ in range(3))
    ddi.InitializeListHead(head)
    ddi.InsertHeadList(head, one)
    ddi.LIST_ENTRY(one).Blink = two
    with pytest.raises(BugCheck, match=f"the LIST_ENTRY at {one:#x} is corrupt"):
        ddi.InsertHeadList(head, two)

"""The documented routines on LIST_ENTRY and SINGLE_LIST_ENTRY; import them from `lookaside_sim.ddi`.

They are inline functions of wdm.h: the driver's own code follows the links. Where a neighbour does
not point back, the list is corrupt, and the machine stops (0x139, 3), as it does since Windows 8.
The ExInterlocked ones are NT's: they hold a spin lock at DISPATCH_LEVEL or above, and check
nothing.

Source:
    [doc] the page of each routine; Safe unlinking, bug check 0x139. [header] wdm.h for which links are
    checked: both of the entry that is removed, one of the place where an entry is put.
"""

from __future__ import annotations

from typing import NoReturn

from lookaside_sim.ddi.arguments import Pointer
from lookaside_sim.ddi.routine import inlined, routine
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.bugchecks import FAST_FAIL_CORRUPT_LIST_ENTRY, BugCheckCode

__all__ = [
    "AppendTailList",
    "ExInterlockedInsertHeadList",
    "ExInterlockedInsertTailList",
    "ExInterlockedPopEntryList",
    "ExInterlockedPushEntryList",
    "ExInterlockedRemoveHeadList",
    "InitializeListHead",
    "InsertHeadList",
    "InsertTailList",
    "IsListEmpty",
    "PopEntryList",
    "PushEntryList",
    "RemoveEntryList",
    "RemoveHeadList",
    "RemoveTailList",
]


# --- LIST_ENTRY ----------------------------------------------------------------------------


@inlined
def InitializeListHead(ListHead: Pointer) -> None:
    """Make an empty list: both links of the head point at it."""
    head = ListHead
    _set_flink(head, head)
    _set_blink(head, head)


@inlined
def IsListEmpty(ListHead: Pointer) -> bool:
    """Whether the head points at itself."""
    return _flink(ListHead) == int(ListHead)


@inlined
def InsertHeadList(ListHead: Pointer, Entry: Pointer) -> None:
    """Put an entry in front.

    Args:
        ListHead: the head.
        Entry: the LIST_ENTRY.

    Raises:
        BugCheck: KERNEL_SECURITY_CHECK_FAILURE where the first entry does not point back.
    """
    head, entry = ListHead, Entry
    following = _flink(head)
    if _blink(following) != head:
        _corrupt(following, head, _blink(following))
    _set_flink(entry, following)
    _set_blink(entry, head)
    _set_blink(following, entry)
    _set_flink(head, entry)


@inlined
def InsertTailList(ListHead: Pointer, Entry: Pointer) -> None:
    """Put an entry behind all others; see `InsertHeadList`."""
    head, entry = ListHead, Entry
    before = _blink(head)
    if _flink(before) != head:
        _corrupt(before, head, _flink(before))
    _set_flink(entry, head)
    _set_blink(entry, before)
    _set_flink(before, entry)
    _set_blink(head, entry)


@inlined
def RemoveEntryList(Entry: Pointer) -> bool:
    """Take an entry off its list.

    Args:
        Entry: the LIST_ENTRY, whose own links stay as they are.

    Returns:
        Whether the list is empty now.

    Raises:
        BugCheck: KERNEL_SECURITY_CHECK_FAILURE where a neighbour does not point at the entry, as when
            it is removed a second time.
    """
    return _unlink(Entry)


@inlined
def RemoveHeadList(ListHead: Pointer) -> int:
    """Take the first entry off; see `RemoveEntryList`.

    Returns:
        Its address; the head's own where the list is empty.
    """
    entry = _flink(ListHead)
    _unlink(entry)
    return entry


@inlined
def RemoveTailList(ListHead: Pointer) -> int:
    """Take the last entry off; see `RemoveHeadList`."""
    entry = _blink(ListHead)
    _unlink(entry)
    return entry


@inlined
def AppendTailList(ListHead: Pointer, ListToAppend: Pointer) -> None:
    """Put a ring of entries without a head behind all others of a list.

    Args:
        ListHead: the head.
        ListToAppend: first entry of the ring.

    Raises:
        BugCheck: KERNEL_SECURITY_CHECK_FAILURE where either of the two is corrupt.
    """
    head, appended = ListHead, ListToAppend
    for each in (head, appended):
        following, before = _flink(each), _blink(each)
        if _blink(following) != each or _flink(before) != each:
            _corrupt(each, following, before)
    last, end = _blink(head), _blink(appended)
    _set_flink(last, appended)
    _set_blink(appended, last)
    _set_flink(end, head)
    _set_blink(head, end)


# --- SINGLE_LIST_ENTRY ---------------------------------------------------------------------


@inlined
def PushEntryList(ListHead: Pointer, Entry: Pointer) -> None:
    """Put a SINGLE_LIST_ENTRY in front; nothing is checked."""
    head, entry = ListHead, Entry
    _set_flink(entry, _flink(head))
    _set_flink(head, entry)


@inlined
def PopEntryList(ListHead: Pointer) -> int:
    """Take the first SINGLE_LIST_ENTRY off; its address, or 0 for NULL."""
    head = ListHead
    entry = _flink(head)
    if entry:
        _set_flink(head, _flink(entry))
    return entry


# --- under a spin lock of the caller's -------------------------------------------------------


@routine
def ExInterlockedInsertHeadList(ListHead: Pointer, ListEntry: Pointer, Lock: Pointer) -> int:
    """Put an entry in front, under a lock.

    Args:
        ListHead: the head.
        ListEntry: the LIST_ENTRY.
        Lock: a KSPIN_LOCK that nobody holds.

    Returns:
        The entry that was first, or 0 for NULL.

    Raises:
        BugCheck: SPIN_LOCK_ALREADY_OWNED when the caller holds the lock.
    """
    head, entry = ListHead, ListEntry
    _check_lock(Lock)
    memory, pointer = current_kernel().memory, current_kernel().arch.pointer_size
    first = memory.read_pointer(head)
    memory.write_pointer(entry, first)
    memory.write_pointer(entry + pointer, head)
    memory.write_pointer(first + pointer, entry)
    memory.write_pointer(head, entry)
    return 0 if first == head else first


@routine
def ExInterlockedInsertTailList(ListHead: Pointer, ListEntry: Pointer, Lock: Pointer) -> int:
    """Put an entry behind all others, under a lock.

    Returns:
        The entry that was last, or 0 for NULL.
    """
    head, entry = ListHead, ListEntry
    _check_lock(Lock)
    memory, pointer = current_kernel().memory, current_kernel().arch.pointer_size
    last = memory.read_pointer(head + pointer)
    memory.write_pointer(entry, head)
    memory.write_pointer(entry + pointer, last)
    memory.write_pointer(last, entry)
    memory.write_pointer(head + pointer, entry)
    return 0 if last == head else last


@routine
def ExInterlockedRemoveHeadList(ListHead: Pointer, Lock: Pointer) -> int:
    """Take the first entry off, under a lock; its address, or 0 for NULL."""
    head = ListHead
    _check_lock(Lock)
    memory, pointer = current_kernel().memory, current_kernel().arch.pointer_size
    entry = memory.read_pointer(head)
    if entry == head:
        return 0
    following = memory.read_pointer(entry)
    memory.write_pointer(head, following)
    memory.write_pointer(following + pointer, head)
    return entry


@routine
def ExInterlockedPushEntryList(ListHead: Pointer, ListEntry: Pointer, Lock: Pointer) -> int:
    """Put a SINGLE_LIST_ENTRY in front, under a lock; what was first, or 0 for NULL."""
    head, entry = ListHead, ListEntry
    _check_lock(Lock)
    memory = current_kernel().memory
    first = memory.read_pointer(head)
    memory.write_pointer(entry, first)
    memory.write_pointer(head, entry)
    return first


@routine
def ExInterlockedPopEntryList(ListHead: Pointer, Lock: Pointer) -> int:
    """Take the first SINGLE_LIST_ENTRY off, under a lock; its address, or 0 for NULL."""
    head = ListHead
    _check_lock(Lock)
    memory = current_kernel().memory
    entry = memory.read_pointer(head)
    if entry:
        memory.write_pointer(head, memory.read_pointer(entry))
    return entry


# --- links ---------------------------------------------------------------------------------


def _check_lock(lock: int) -> None:
    """The lock is free: it is held inside this call only, where nobody else runs."""
    current_kernel().spin_locks.check_free(lock)


def _flink(entry: int) -> int:
    kernel = current_kernel()
    return int.from_bytes(kernel.read(entry, kernel.arch.pointer_size), "little")


def _blink(entry: int) -> int:
    return _flink(entry + current_kernel().arch.pointer_size)


def _set_flink(entry: int, link: int) -> None:
    kernel = current_kernel()
    kernel.write(entry, link.to_bytes(kernel.arch.pointer_size, "little"))


def _set_blink(entry: int, link: int) -> None:
    _set_flink(entry + current_kernel().arch.pointer_size, link)


def _unlink(entry: int) -> bool:
    """Check an entry's neighbours and link them to each other."""
    following, before = _flink(entry), _blink(entry)
    if _blink(following) != entry or _flink(before) != entry:
        _corrupt(entry, following, before)
    _set_flink(before, following)
    _set_blink(following, before)
    return following == before


def _corrupt(entry: int, one: int, other: int) -> NoReturn:
    current_kernel().machine.stop(
        BugCheckCode.KERNEL_SECURITY_CHECK_FAILURE,
        (FAST_FAIL_CORRUPT_LIST_ENTRY, 0, 0, 0),
        f"the LIST_ENTRY at {entry:#x} is corrupt: its links, or those that should point at it,"
        f" are {one:#x} and {other:#x}",
    )

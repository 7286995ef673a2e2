"""The documented routines on SLISTs; import them from `lookaside_sim.ddi`.

A head is an SLIST_HEADER, 16 bytes aligned to 16 on x64, 8 bytes on x86; an entry begins with
one pointer, the link. The Ex routines with a lock do not use it: it is there for machines
that cannot do without.

Source:
    [doc] the page of each routine (wdm.h); docs/sources.md, lists section 2.
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Pointer, address_of
from lookaside_sim.kernel import current_kernel

__all__ = [
    "ExInitializeSListHead",
    "ExInterlockedFlushSList",
    "ExInterlockedPopEntrySList",
    "ExInterlockedPushEntrySList",
    "ExQueryDepthSList",
    "FirstEntrySList",
    "InitializeSListHead",
    "InterlockedFlushSList",
    "InterlockedPopEntrySList",
    "InterlockedPushEntrySList",
    "QueryDepthSList",
]


def InitializeSListHead(ListHead: Pointer) -> None:
    """Make an empty SLIST; see `SLists.initialize`.

    Args:
        ListHead: its head.

    Raises:
        NtStatusError: STATUS_DATATYPE_MISALIGNMENT for a misaligned head, on x64.
    """
    current_kernel().slists.initialize(address_of("ListHead", ListHead))


def ExInitializeSListHead(SListHead: Pointer) -> None:
    """Make an empty SLIST; see `SLists.initialize`."""
    current_kernel().slists.initialize(address_of("SListHead", SListHead))


def InterlockedPushEntrySList(ListHead: Pointer, ListEntry: Pointer) -> int:
    """Put an entry in front; see `SLists.push`.

    Returns:
        The entry that was first, or 0 for NULL.
    """
    head, entry = address_of("ListHead", ListHead), address_of("ListEntry", ListEntry)
    return current_kernel().slists.push(head, entry)


def ExInterlockedPushEntrySList(ListHead: Pointer, ListEntry: Pointer, Lock: Pointer) -> int:
    """Put an entry in front; see `SLists.push`.

    Args:
        ListHead: the list's head.
        ListEntry: the entry.
        Lock: a spin lock, which is not used.

    Returns:
        The entry that was first, or 0 for NULL.
    """
    address_of("Lock", Lock)
    return InterlockedPushEntrySList(ListHead, ListEntry)


def InterlockedPopEntrySList(ListHead: Pointer) -> int:
    """Take the first entry off; see `SLists.pop`. Returns 0 for NULL."""
    return current_kernel().slists.pop(address_of("ListHead", ListHead))


def ExInterlockedPopEntrySList(ListHead: Pointer, Lock: Pointer) -> int:
    """Take the first entry off; see `SLists.pop`.

    Args:
        ListHead: the list's head.
        Lock: a spin lock, which is not used.

    Returns:
        The entry, or 0 for NULL.
    """
    address_of("Lock", Lock)
    return InterlockedPopEntrySList(ListHead)


def InterlockedFlushSList(ListHead: Pointer) -> int:
    """Take all entries off at once; see `SLists.flush`.

    Returns:
        The first entry, or 0 for NULL.
    """
    return current_kernel().slists.flush(address_of("ListHead", ListHead))


ExInterlockedFlushSList = InterlockedFlushSList


def ExQueryDepthSList(SListHead: Pointer) -> int:
    """How many entries a list has, 0 to 65535; see `SLists.depth`."""
    return current_kernel().slists.depth(address_of("SListHead", SListHead))


QueryDepthSList = ExQueryDepthSList


def FirstEntrySList(SListHead: Pointer) -> int:
    """The first entry, which stays on the list; 0 for NULL."""
    return current_kernel().slists.first(address_of("SListHead", SListHead))

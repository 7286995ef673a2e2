"""MDLs: what they describe, locking and mapping; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h); bug check 0xC4 (0x70, 0x7C, 0x7D, 0x7F, 0xB0). [header] the flags.
    Choice: system addresses are the addresses themselves, and a page's number is its address's.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Pointer, Size, Uchar, Ulong
from lookaside_sim.ddi.io_structures import MDL
from lookaside_sim.ddi.routine import inlined, routine_up_to
from lookaside_sim.ddi.structures import by_nt
from lookaside_sim.ddi.types import sizeof
from lookaside_sim.errors import NtStatusError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.io_layouts import (
    MDL_ALLOCATED_FIXED_SIZE,
    MDL_MAPPED_TO_SYSTEM_VA,
    MDL_PAGES_LOCKED,
    MDL_PARTIAL,
    MDL_SOURCE_IS_NONPAGED_POOL,
)
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from lookaside_sim.nt.types import Irql, NtStatus

__all__ = [
    "MDL_MAPPED_TO_SYSTEM_VA",
    "MDL_PAGES_LOCKED",
    "MDL_SOURCE_IS_NONPAGED_POOL",
    "IoBuildPartialMdl",
    "IoModifyAccess",
    "IoReadAccess",
    "IoWriteAccess",
    "MmBuildMdlForNonPagedPool",
    "MmCached",
    "MmGetMdlByteCount",
    "MmGetMdlByteOffset",
    "MmGetMdlPfnArray",
    "MmGetMdlVirtualAddress",
    "MmGetSystemAddressForMdlSafe",
    "MmInitializeMdl",
    "MmMapLockedPagesSpecifyCache",
    "MmPrepareMdlForReuse",
    "MmProbeAndLockPages",
    "MmSizeOfMdl",
    "MmUnlockPages",
    "MmUnmapLockedPages",
    "NormalPagePriority",
]

IoReadAccess: Final = 0
IoWriteAccess: Final = 1
IoModifyAccess: Final = 2
MmCached: Final = 1
NormalPagePriority: Final = 16
_LOCKED_KIND: Final = "locked pages of the MDL"


# --- what one describes ----------------------------------------------------------------------


@inlined
def MmGetMdlVirtualAddress(Mdl: Pointer) -> int:
    """Start of the buffer, as who made the MDL knows it."""
    here = MDL(Mdl)
    start: int = here.StartVa + here.ByteOffset
    return start


@inlined
def MmGetMdlByteCount(Mdl: Pointer) -> int:
    """Bytes of the buffer."""
    count: int = MDL(Mdl).ByteCount
    return count


@inlined
def MmGetMdlByteOffset(Mdl: Pointer) -> int:
    """Where in its first page the buffer begins."""
    offset: int = MDL(Mdl).ByteOffset
    return offset


@inlined
def MmGetMdlPfnArray(Mdl: Pointer) -> int:
    """Where the page numbers lie: behind the MDL."""
    return int(Mdl) + sizeof(MDL)


@inlined
def MmInitializeMdl(MemoryDescriptorList: Pointer, BaseVa: Pointer, Length: Size) -> None:
    """Make an MDL of memory that the driver has for it.

    Args:
        MemoryDescriptorList: the memory, `MmSizeOfMdl` bytes.
        BaseVa: start of the buffer.
        Length: its bytes.
    """
    here = MDL(MemoryDescriptorList)
    here.Next = here.Process = here.MappedSystemVa = 0
    pages = _pages(BaseVa, Length)
    here.Size = sizeof(MDL) + pages * current_kernel().arch.pointer_size
    here.MdlFlags = 0
    here.StartVa, here.ByteOffset = BaseVa & ~PAGE_MASK, BaseVa & PAGE_MASK
    here.ByteCount = Length


@routine_up_to(Irql.HIGH_LEVEL)
def MmSizeOfMdl(Base: Pointer, Length: Size) -> int:
    """Bytes of an MDL for a buffer, its page numbers included."""
    return sizeof(MDL) + _pages(Base, Length) * current_kernel().arch.pointer_size


@inlined
def MmPrepareMdlForReuse(Mdl: Pointer) -> None:
    """Undo the mapping of a partial MDL."""
    here = MDL(Mdl)
    if here.MdlFlags & MDL_PARTIAL:
        here.MdlFlags &= ~MDL_MAPPED_TO_SYSTEM_VA


@routine_up_to(Irql.DISPATCH_LEVEL)
def IoBuildPartialMdl(
    SourceMdl: Pointer, TargetMdl: Pointer, VirtualAddress: Pointer, Length: Ulong
) -> None:
    """Have an MDL describe a part of what another one does.

    Args:
        SourceMdl: the other one.
        TargetMdl: the MDL, large enough for the part.
        VirtualAddress: where the part begins.
        Length: its bytes; 0 for all that follows.
    """
    source, target = by_nt(MDL, SourceMdl), by_nt(MDL, TargetMdl)
    start = source.StartVa + source.ByteOffset
    rest = start + source.ByteCount - VirtualAddress
    target.StartVa, target.ByteOffset = VirtualAddress & ~PAGE_MASK, VirtualAddress & PAGE_MASK
    target.ByteCount = Length or rest
    wanted = source.MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA)
    target.MdlFlags = target.MdlFlags & MDL_ALLOCATED_FIXED_SIZE | MDL_PARTIAL | wanted
    if wanted:
        target.MappedSystemVa = source.MappedSystemVa + VirtualAddress - start


def _pages(start: int, length: int) -> int:
    return ((start & PAGE_MASK) + length + PAGE_MASK) >> PAGE_SHIFT


# --- locking and mapping ---------------------------------------------------------------------


@routine_up_to(Irql.DISPATCH_LEVEL)
def MmBuildMdlForNonPagedPool(MemoryDescriptorList: Pointer) -> None:
    """Fill in the page numbers of a buffer that is never paged out.

    Raises:
        BugCheck: PAGE_FAULT_IN_NONPAGED_AREA for a buffer that is not there; in verified code, for
            paged pool, DRIVER_VERIFIER_DETECTED_VIOLATION (0x7F).
    """
    here = by_nt(MDL, MemoryDescriptorList)
    start = here.StartVa + here.ByteOffset
    _write_pages(MemoryDescriptorList)
    here.MappedSystemVa = start
    here.MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL


@routine_up_to(Irql.DISPATCH_LEVEL)
def MmProbeAndLockPages(
    MemoryDescriptorList: Pointer, AccessMode: Uchar, Operation: Ulong
) -> None:
    """Make the buffer's pages stay in memory.

    Args:
        MemoryDescriptorList: the MDL.
        AccessMode: KernelMode or UserMode; has no effect.
        Operation: IoReadAccess, IoWriteAccess or IoModifyAccess; has no effect.

    Raises:
        NtStatusError: STATUS_ACCESS_VIOLATION for a buffer that is not there.
        BugCheck: in verified code, for an MDL whose pages are locked already or never leave,
            DRIVER_VERIFIER_DETECTED_VIOLATION (0xB0).
    """
    kernel = current_kernel()
    here = by_nt(MDL, MemoryDescriptorList)
    start = here.StartVa + here.ByteOffset
    for address in range(start & ~PAGE_MASK, start + here.ByteCount, PAGE_SIZE):
        if kernel.memory.peek_bytes(max(address, start), 1) is None:
            raise NtStatusError(
                NtStatus.STATUS_ACCESS_VIOLATION,
                f"MmProbeAndLockPages: nothing is mapped at {max(address, start):#x}",
            )
    _write_pages(MemoryDescriptorList)
    here.MdlFlags |= MDL_PAGES_LOCKED
    kernel.threads.take(_LOCKED_KIND, MemoryDescriptorList, exclusive=False)


@routine_up_to(Irql.DISPATCH_LEVEL)
def MmUnlockPages(MemoryDescriptorList: Pointer) -> None:
    """Let the buffer's pages go, and unmap them.

    Raises:
        BugCheck: in verified code, for pages that were not locked (0x7C) or are nonpaged pool's
            (0x7D), DRIVER_VERIFIER_DETECTED_VIOLATION.
    """
    here = by_nt(MDL, MemoryDescriptorList)
    here.MdlFlags &= ~(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA)
    current_kernel().threads.forget(MemoryDescriptorList)


@routine_up_to(Irql.DISPATCH_LEVEL)
def MmMapLockedPagesSpecifyCache(
    MemoryDescriptorList: Pointer,
    AccessMode: Uchar,
    CacheType: Ulong,
    RequestedAddress: Pointer,
    BugCheckOnFailure: Ulong,
    Priority: Ulong,
) -> int:
    """Map the buffer's pages into the system's address space.

    Args:
        MemoryDescriptorList: the MDL.
        AccessMode: has no effect, and nor have the other arguments.
        CacheType: such as MmCached.
        RequestedAddress: NULL.
        BugCheckOnFailure: FALSE.
        Priority: such as NormalPagePriority.

    Returns:
        The buffer's address there.
    """
    return _map(MemoryDescriptorList)


@inlined
def MmGetSystemAddressForMdlSafe(Mdl: Pointer, Priority: Ulong) -> int:
    """The buffer's address in the system's address space; maps its pages where they are not yet.

    Args:
        Mdl: the MDL.
        Priority: such as NormalPagePriority; has no effect.

    Returns:
        The address.
    """
    here = MDL(Mdl)
    if here.MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL):
        mapped: int = here.MappedSystemVa
        return mapped
    return MmMapLockedPagesSpecifyCache(Mdl, 0, MmCached, 0, 0, Priority)


@routine_up_to(Irql.DISPATCH_LEVEL)
def MmUnmapLockedPages(BaseAddress: Pointer, MemoryDescriptorList: Pointer) -> None:
    """Undo a mapping.

    Args:
        BaseAddress: what mapping returned.
        MemoryDescriptorList: the MDL.
    """
    by_nt(MDL, MemoryDescriptorList).MdlFlags &= ~MDL_MAPPED_TO_SYSTEM_VA


def _map(mdl: int) -> int:
    here = by_nt(MDL, mdl)
    start: int = here.StartVa + here.ByteOffset
    here.MappedSystemVa = start
    here.MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA
    return start


def _write_pages(mdl: int) -> None:
    """Write the number of each page, which a touch shows to be there."""
    kernel = current_kernel()
    pointer = kernel.arch.pointer_size
    here = by_nt(MDL, mdl)
    start, count = here.StartVa, here.ByteCount
    first = start + here.ByteOffset
    for index in range(_pages(first, count)):
        address = start + index * PAGE_SIZE
        kernel.memory.read(max(address, first), 1)
        number = (address >> PAGE_SHIFT) & (1 << 8 * pointer) - 1
        kernel.memory.write_pointer(mdl + sizeof(MDL) + index * pointer, number)

"""The documented routines on processors, versions and addresses; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h, ntddk.h). Choice: the process and thread that run have
    the numbers of Windows' System process.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Out, Pointer, Uchar, Ushort, store_optional
from lookaside_sim.ddi.routine import routine
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import NtStatus

__all__ = [
    "IoIsWdmVersionAvailable",
    "KeGetCurrentProcessorNumberEx",
    "KeQueryActiveProcessorCount",
    "KeQueryActiveProcessorCountEx",
    "KeQueryMaximumProcessorCount",
    "MmIsAddressValid",
    "PsGetCurrentProcessId",
    "PsGetCurrentThreadId",
    "RtlGetVersion",
]

_SYSTEM_PROCESS: Final = 4
_SYSTEM_THREAD: Final = 8
_VERSION: Final = ((4, 10), (8, 0), (12, 17763), (16, 2))
"""Offsets in RTL_OSVERSIONINFOW, and what they hold: 10.0, the build, VER_PLATFORM_WIN32_NT."""
_HIGHEST_WDM: Final = 6


@routine
def KeGetCurrentProcessorNumberEx(ProcNumber: Out) -> int:
    """The number of the processor that runs.

    Args:
        ProcNumber: where it goes too, as a PROCESSOR_NUMBER; or 0 for NULL.
    """
    number = current_kernel().processor
    store_optional(ProcNumber, number << 16, 4)
    return number


@routine
def KeQueryActiveProcessorCount(ActiveProcessors: Out) -> int:
    """How many processors there are.

    Args:
        ActiveProcessors: where a bit for each of them goes, a KAFFINITY; or 0 for NULL.
    """
    kernel = current_kernel()
    store_optional(ActiveProcessors, (1 << kernel.processors) - 1, kernel.arch.pointer_size)
    return kernel.processors


@routine
def KeQueryActiveProcessorCountEx(GroupNumber: Ushort) -> int:
    """How many processors there are; all are in one group."""
    return current_kernel().processors


def KeQueryMaximumProcessorCount() -> int:
    """How many processors there can be."""
    kernel = current_kernel()
    kernel.check_running()
    return kernel.processors


@routine
def MmIsAddressValid(VirtualAddress: Pointer) -> bool:
    """Whether a touch of an address does not fault."""
    return current_kernel().memory.is_mapped(VirtualAddress, 1)


def PsGetCurrentProcessId() -> int:
    """The number of the process that runs."""
    current_kernel().check_running()
    return _SYSTEM_PROCESS


def PsGetCurrentThreadId() -> int:
    """The number of the thread that runs."""
    current_kernel().check_running()
    return _SYSTEM_THREAD


@routine
def RtlGetVersion(VersionInformation: Pointer) -> NtStatus:
    """Fill an RTL_OSVERSIONINFOW in, whose size is set: Windows 10, version 1809."""
    for offset, number in _VERSION:
        current_kernel().memory.write(VersionInformation + offset, number.to_bytes(4, "little"))
    return NtStatus.STATUS_SUCCESS


@routine
def IoIsWdmVersionAvailable(MajorVersion: Uchar, MinorVersion: Uchar) -> bool:
    """Whether this version of WDM is there."""
    return MajorVersion <= _HIGHEST_WDM

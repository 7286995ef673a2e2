"""The one table of what exports take: how many arguments, how wide, and how they come.

A line is a name and the types of its parameters. A name that begins with ``@`` takes its first two
arguments in registers on x86 (fastcall), one that begins with ``!`` leaves its arguments on the stack
(cdecl); the others take them off (stdcall). On x64 all come alike. ``p`` is a pointer or a SIZE_T, the
others have their bits; ``...`` are more arguments, which the routine fetches itself.

Source:
    [header] wdm.h, ntddk.h, ntifs.h (mingw-w64). A test holds the slots of each line against the
    decorated names in mingw-w64's import library.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import attrs

_BITS: Final = {"u8": 8, "u16": 16, "u32": 32, "i32": 32, "u64": 64, "i64": 64, "p": 0}

TABLE: Final = """
ExAllocatePool u32 p
ExAllocatePoolWithTag u32 p u32
ExAllocatePoolWithQuota u32 p
ExAllocatePoolWithQuotaTag u32 p u32
ExAllocatePoolWithTagPriority u32 p u32 u32
ExAllocatePool2 u64 p u32
ExAllocatePool3 u64 p u32 p u32
ExFreePool p
ExFreePoolWithTag p u32
ExFreePool2 p u32 p u32
ExQueryPoolBlockSize p p
FsRtlAllocatePoolWithTag u32 p u32
FsRtlAllocatePool u32 p

ExInitializeLookasideListEx p p p u32 u32 p u32 u16
ExDeleteLookasideListEx p
ExFlushLookasideListEx p
ExAllocateFromLookasideListEx p
ExFreeToLookasideListEx p p
ExInitializeNPagedLookasideList p p p u32 p u32 u16
ExDeleteNPagedLookasideList p
ExInitializePagedLookasideList p p p u32 p u32 u16
ExDeletePagedLookasideList p
ExAllocateFromPagedLookasideList p
ExFreeToPagedLookasideList p p

InitializeSListHead p
FirstEntrySList p
ExpInterlockedPopEntrySList p
ExpInterlockedPushEntrySList p p
ExpInterlockedFlushSList p
ExQueryDepthSList p
@InterlockedPopEntrySList p
@InterlockedPushEntrySList p p
@ExInterlockedPopEntrySList p p
@ExInterlockedPushEntrySList p p p
@ExInterlockedFlushSList p

KeGetCurrentIrql
KeRaiseIrql u8 p
KeLowerIrql u8
@KfRaiseIrql u8
@KfLowerIrql u8
KeRaiseIrqlToDpcLevel
KeRaiseIrqlToSynchLevel
KeGetCurrentProcessorNumber
KeGetCurrentProcessorNumberEx p
KeQueryActiveProcessorCount p
KeQueryActiveProcessorCountEx u16
KeQueryMaximumProcessorCount
KeInitializeSpinLock p
KeAcquireSpinLock p p
KeReleaseSpinLock p u8
KeAcquireSpinLockRaiseToDpc p
@KfAcquireSpinLock p
@KfReleaseSpinLock p u8
KeAcquireSpinLockAtDpcLevel p
KeReleaseSpinLockFromDpcLevel p
@KefAcquireSpinLockAtDpcLevel p
@KefReleaseSpinLockFromDpcLevel p
@KeTryToAcquireSpinLockAtDpcLevel p
@KeTestSpinLock p
@KeAcquireInStackQueuedSpinLock p p
@KeReleaseInStackQueuedSpinLock p
@KeAcquireInStackQueuedSpinLockAtDpcLevel p p
@KeReleaseInStackQueuedSpinLockFromDpcLevel p
KeEnterCriticalRegion
KeLeaveCriticalRegion
KeEnterGuardedRegion
KeLeaveGuardedRegion
KeAreApcsDisabled

@InterlockedIncrement p
@InterlockedDecrement p
@InterlockedExchange p u32
@InterlockedExchangeAdd p u32
@InterlockedCompareExchange p u32 u32
@ExInterlockedAddLargeStatistic p u32
@ExfInterlockedCompareExchange64 p p p
ExInterlockedAddLargeInteger p u64 p
ExInterlockedAddUlong p u32 p
ExInterlockedInsertHeadList p p p
ExInterlockedInsertTailList p p p
ExInterlockedRemoveHeadList p p
ExInterlockedPushEntryList p p p
ExInterlockedPopEntryList p p
@ExfInterlockedInsertHeadList p p p
@ExfInterlockedInsertTailList p p p
@ExfInterlockedRemoveHeadList p p
@ExfInterlockedPushEntryList p p p
@ExfInterlockedPopEntryList p p

KeInitializeEvent p u32 u8
KeSetEvent p u32 u8
KeResetEvent p
KeClearEvent p
KeReadStateEvent p
KeInitializeMutex p u32
KeReleaseMutex p u8
KeReadStateMutex p
KeInitializeSemaphore p u32 u32
KeReleaseSemaphore p u32 u32 u8
KeReadStateSemaphore p
KeWaitForSingleObject p u32 u8 u8 p
KeWaitForMutexObject p u32 u8 u8 p
KeDelayExecutionThread u8 u8 p
@ExAcquireFastMutex p
@ExReleaseFastMutex p
@ExAcquireFastMutexUnsafe p
@ExReleaseFastMutexUnsafe p
@ExTryToAcquireFastMutex p
@KeInitializeGuardedMutex p
@KeAcquireGuardedMutex p
@KeReleaseGuardedMutex p
@KeTryToAcquireGuardedMutex p
ExInitializeResourceLite p
ExDeleteResourceLite p
ExAcquireResourceExclusiveLite p u8
ExAcquireResourceSharedLite p u8
@ExReleaseResourceLite p
ExIsResourceAcquiredExclusiveLite p
ExIsResourceAcquiredSharedLite p
ExConvertExclusiveToSharedLite p
KeInitializeTimer p
KeSetTimer p i64 p
KeCancelTimer p
KeReadStateTimer p
KeInitializeDpc p p p
KeInsertQueueDpc p p p
KeRemoveQueueDpc p
KeSetImportanceDpc p u32
KeSetTargetProcessorDpc p u8
KeFlushQueuedDpcs
IoAllocateWorkItem p
IoFreeWorkItem p
IoQueueWorkItem p p u32 p
IoQueueWorkItemEx p p u32 p
IoSizeofWorkItem
ExQueueWorkItem p u32

!memcpy p p p
!memmove p p p
!memset p i32 p
!memcmp p p p
!strlen p
!strcmp p p
!strncmp p p p
!strcpy p p
!strncpy p p p
!strcat p p
!strchr p i32
!wcslen p
!wcscmp p p
!wcscpy p p
RtlCopyMemory p p p
RtlMoveMemory p p p
RtlFillMemory p p u8
RtlZeroMemory p p
RtlCompareMemory p p p
RtlCompareMemoryUlong p p u32
RtlFillMemoryUlong p p u32
RtlInitUnicodeString p p
RtlInitAnsiString p p
RtlInitString p p
RtlCopyUnicodeString p p
RtlCompareUnicodeString p p u8
RtlEqualUnicodeString p p u8
RtlCompareString p p u8
RtlEqualString p p u8
RtlAppendUnicodeToString p p
RtlAppendUnicodeStringToString p p
RtlPrefixUnicodeString p p u8
RtlUpcaseUnicodeChar u16
RtlUpcaseUnicodeString p p u8
RtlAnsiStringToUnicodeString p p u8
RtlUnicodeStringToAnsiString p p u8
RtlIntegerToUnicodeString u32 u32 p
RtlUnicodeStringToInteger p u32 p
RtlFreeUnicodeString p
RtlFreeAnsiString p
RtlGetVersion p

!DbgPrint p ...
!DbgPrintEx u32 u32 p ...
DbgBreakPoint
KdDisableDebugger
!_snprintf p p p ...
!_snwprintf p p p ...
!sprintf p p ...
!swprintf p p ...
!_vsnprintf p p p p
!_vsnwprintf p p p p

KeBugCheck u32
KeBugCheckEx u32 p p p p
ExRaiseStatus u32
ExRaiseAccessViolation
ExRaiseDatatypeMisalignment
RtlRaiseStatus u32
ProbeForRead p p u32
ProbeForWrite p p u32

IoAllocateIrp u8 u8
IoFreeIrp p
IoInitializeIrp p u16 u8
IoReuseIrp p u32
@IofCallDriver p p
@IofCompleteRequest p u8
IoAllocateMdl p u32 u8 u8 p
IoFreeMdl p
IoBuildPartialMdl p p p u32
MmBuildMdlForNonPagedPool p
MmProbeAndLockPages p u8 u32
MmUnlockPages p
MmMapLockedPages p u8
MmMapLockedPagesSpecifyCache p u8 u32 p u32 u32
MmUnmapLockedPages p p
MmSizeOfMdl p p
MmGetSystemRoutineAddress p
MmIsAddressValid p
IoCreateDevice p u32 p u32 u32 u8 p
IoDeleteDevice p
IoCreateSymbolicLink p p
IoDeleteSymbolicLink p
IoGetCurrentProcess
IoRegisterShutdownNotification p
IoUnregisterShutdownNotification p
PsGetCurrentProcessId
PsGetCurrentThreadId
PsGetCurrentProcess
KeGetCurrentThread
PsGetVersion p p p p
IoIsWdmVersionAvailable u8 u8
@ObfReferenceObject p
@ObfDereferenceObject p
KeQuerySystemTime p
KeQueryTickCount p
KeQueryTimeIncrement
KeQueryInterruptTime
KeQueryPerformanceCounter p
KeStallExecutionProcessor u32
@ExAcquireRundownProtection p
ExAcquireSharedStarveExclusive p u8
ExAcquireSharedWaitForExclusive p u8
ExAcquireSpinLockExclusive p
ExAcquireSpinLockExclusiveAtDpcLevel p
ExAcquireSpinLockShared p
ExAcquireSpinLockSharedAtDpcLevel p
ExEnterCriticalRegionAndAcquireResourceExclusive p
ExEnterCriticalRegionAndAcquireResourceShared p
@ExInitializeRundownProtection p
@ExReInitializeRundownProtection p
@ExReleaseResourceAndLeaveCriticalRegion p
ExReleaseResourceForThreadLite p p
@ExReleaseRundownProtection p
ExReleaseSpinLockExclusive p u8
ExReleaseSpinLockExclusiveFromDpcLevel p
ExReleaseSpinLockShared p u8
ExReleaseSpinLockSharedFromDpcLevel p
@ExRundownCompleted p
ExTryConvertSharedSpinLockExclusive p
@ExWaitForRundownProtectionRelease p
IoAcquireCancelSpinLock p
IoAttachDeviceToDeviceStack p p
IoCallDriver p p
IoCancelIrp p
IoCompleteRequest p i32
IoDetachDevice p
IoReleaseCancelSpinLock u8
KeWaitForMultipleObjects u32 p u32 u32 u8 u8 p p
ObDereferenceObject p
ObOpenObjectByPointer p u32 p u32 p u8 p
ObReferenceObjectByHandle p u32 p u8 p p
ObReferenceObjectByPointer p u32 p u8
PsCreateSystemThread p u32 p p p p p
PsGetCurrentThread
PsLookupProcessByProcessId p p
PsTerminateSystemThread i32
RtlDuplicateUnicodeString u32 p p
ZwClose p
ZwCreateEvent p u32 p u32 u8
ZwCreateFile p u32 p p p u32 u32 u32 u32 p u32
ZwCreateKey p u32 p u32 p u32 p
ZwOpenFile p u32 p p u32 u32
ZwOpenKey p u32 p
IopInvalidDeviceRequest p p
__C_specific_handler p p p p
"""


@attrs.frozen
class Signature:
    """What an export takes.

    Attributes:
        name: of the export.
        bits: of each parameter; 0 for a pointer's.
        signed: whether each parameter has a sign.
        is_fastcall: whether the first two come in registers on x86.
        is_cdecl: whether the caller takes the arguments off the stack on x86.
        is_variadic: whether more arguments follow.
    """

    name: str
    bits: tuple[int, ...]
    signed: tuple[bool, ...]
    is_fastcall: bool
    is_cdecl: bool
    is_variadic: bool

    @property
    def slots(self) -> int:
        """Words of 4 bytes that the arguments take on x86."""
        return sum(2 if bits == 64 else 1 for bits in self.bits)

    @property
    def taken(self) -> int:
        """Bytes that the routine takes off the stack on x86."""
        if self.is_cdecl or self.is_variadic:
            return 0
        return 4 * max(self.slots - (2 if self.is_fastcall else 0), 0)


def _parsed(line: str) -> Signature:
    name, *types = line.split()
    mark = name[0] if name[0] in "@!" else ""
    is_variadic = types[-1:] == ["..."]
    if is_variadic:
        types.pop()
    return Signature(
        name.removeprefix(mark),
        tuple(_BITS[each] for each in types),
        tuple(each[0] == "i" for each in types),
        mark == "@",
        mark == "!",
        is_variadic,
    )


@cache
def signatures() -> dict[str, Signature]:
    """The table, by name."""
    lines = [line for line in TABLE.splitlines() if line]
    return {each.name: each for each in map(_parsed, lines)}

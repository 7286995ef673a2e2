"""What the routines of the `ddi`, the debugger's writes and other fronts are told as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lookaside_sim import LookasideList, SpinLock, ddi, windbg
from lookaside_sim.lookaside.calls import (
    AllocateEntry,
    DeleteList,
    FlushList,
    FreeEntry,
    InitializeList,
    ResetCounters,
    SetDepth,
)
from lookaside_sim.lookaside.slist import FlushSList, InitializeSList, PopEntry, PushEntry
from lookaside_sim.machine.calls import (
    AcquireLock,
    Call,
    InitializeLock,
    LowerIrql,
    RaiseIrql,
    ReleaseLock,
    WriteMemory,
)
from lookaside_sim.pool.calls import AllocateBlock, FreeBlock
from lookaside_sim.system.calls import (
    AllocateIrp,
    AllocateMdl,
    CancelTimer,
    DeleteResource,
    FreeIrp,
    FreeMdl,
    InitializeResource,
    InitializeTimer,
    OptIntoNx,
    PlaceData,
    SetTimer,
)
from tests.machine.call_table import Row, Scene, inside, stops


def fronts(
    kind: type[Call], arguments: Callable[[Scene], tuple[Any, ...]], *names: str
) -> dict[str, Row]:
    """Routines of the `ddi` that take the same arguments and are told as the same call."""

    def row(name: str) -> Row:
        return lambda scene: getattr(ddi, name)(*arguments(scene)), [kind]

    return {name: row(name) for name in names}


DDI: dict[str, Row] = {
    **fronts(PlaceData, lambda s: (ddi.ULONG,), "variable"),
    **fronts(
        InitializeList,
        lambda s: (s.blank, 0, 0, 0, 0, 8, b"Tabl", 0),
        "ExInitializeLookasideListEx",
    ),
    **fronts(
        InitializeList,
        lambda s: (s.blank, 0, 0, 0, 8, b"Tabl", 0),
        "ExInitializeNPagedLookasideList",
        "ExInitializePagedLookasideList",
    ),
    **fronts(
        AllocateEntry,
        lambda s: (s.list,),
        "ExAllocateFromLookasideListEx",
        "ExAllocateFromNPagedLookasideList",
        "ExAllocateFromPagedLookasideList",
    ),
    **fronts(
        FreeEntry,
        lambda s: (s.list, s.entry),
        "ExFreeToLookasideListEx",
        "ExFreeToNPagedLookasideList",
        "ExFreeToPagedLookasideList",
    ),
    **fronts(FlushList, lambda s: (s.list,), "ExFlushLookasideListEx"),
    **fronts(
        DeleteList,
        lambda s: (s.list,),
        "ExDeleteLookasideListEx",
        "ExDeleteNPagedLookasideList",
        "ExDeletePagedLookasideList",
    ),
    **fronts(AllocateBlock, lambda s: (0, 8), "ExAllocatePool", "ExAllocatePoolWithQuota"),
    **fronts(
        AllocateBlock,
        lambda s: (0, 8, b"Tabl"),
        "ExAllocatePoolWithTag",
        "ExAllocatePoolZero",
        "ExAllocatePoolUninitialized",
        "ExAllocatePoolWithQuotaTag",
        "ExAllocatePoolQuotaZero",
        "ExAllocatePoolQuotaUninitialized",
    ),
    **fronts(
        AllocateBlock,
        lambda s: (0, 8, b"Tabl", 16),
        "ExAllocatePoolWithTagPriority",
        "ExAllocatePoolPriorityZero",
        "ExAllocatePoolPriorityUninitialized",
    ),
    **fronts(AllocateBlock, lambda s: (0x40, 8, b"Tabl"), "ExAllocatePool2"),
    **fronts(AllocateBlock, lambda s: (0x40, 8, b"Tabl", None, 0), "ExAllocatePool3"),
    **fronts(
        AllocateBlock,
        lambda s: (0, 8, b"Tabl"),
        "FsRtlAllocatePoolWithTag",
        "FsRtlAllocatePoolWithQuotaTag",
    ),
    **fronts(
        AllocateBlock, lambda s: (0, 8), "FsRtlAllocatePool", "FsRtlAllocatePoolWithQuota"
    ),
    **fronts(OptIntoNx, lambda s: (1,), "ExInitializeDriverRuntime"),
    **fronts(FreeBlock, lambda s: (s.block,), "ExFreePool"),
    **fronts(FreeBlock, lambda s: (s.block, 0), "ExFreePoolWithTag"),
    **fronts(FreeBlock, lambda s: (s.block, 0, 0, 0), "ExFreePool2"),
    **fronts(RaiseIrql, lambda s: (2, ddi.Ref()), "KeRaiseIrql"),
    **fronts(RaiseIrql, lambda s: (), "KeRaiseIrqlToDpcLevel"),
    **fronts(LowerIrql, lambda s: (0,), "KeLowerIrql"),
    **fronts(InitializeLock, lambda s: (s.lock,), "KeInitializeSpinLock"),
    **fronts(AcquireLock, lambda s: (s.lock, ddi.Ref()), "KeAcquireSpinLock"),
    **fronts(AcquireLock, lambda s: (s.lock,), "KeAcquireSpinLockRaiseToDpc"),
    **fronts(AcquireLock, lambda s: (s.lock,), "KeAcquireSpinLockAtDpcLevel"),
    **fronts(ReleaseLock, lambda s: (s.held, 0), "KeReleaseSpinLock"),
    **fronts(ReleaseLock, lambda s: (s.held,), "KeReleaseSpinLockFromDpcLevel"),
    **fronts(AllocateIrp, lambda s: (1, False), "IoAllocateIrp"),
    **fronts(FreeIrp, lambda s: (s.irp,), "IoFreeIrp"),
    **fronts(AllocateMdl, lambda s: (0, 8), "IoAllocateMdl"),
    **fronts(FreeMdl, lambda s: (s.mdl,), "IoFreeMdl"),
    **fronts(InitializeTimer, lambda s: (s.block,), "KeInitializeTimer"),
    **fronts(SetTimer, lambda s: (s.block, -1, 0), "KeSetTimer"),
    **fronts(CancelTimer, lambda s: (s.block,), "KeCancelTimer"),
    **fronts(InitializeResource, lambda s: (s.block,), "ExInitializeResourceLite"),
    **fronts(DeleteResource, lambda s: (s.block,), "ExDeleteResourceLite"),
    **fronts(
        InitializeSList, lambda s: (s.block,), "InitializeSListHead", "ExInitializeSListHead"
    ),
    **fronts(PushEntry, lambda s: (s.list, s.entry), "InterlockedPushEntrySList"),
    **fronts(PushEntry, lambda s: (s.list, s.entry, 0), "ExInterlockedPushEntrySList"),
    **fronts(PopEntry, lambda s: (s.list,), "InterlockedPopEntrySList"),
    **fronts(PopEntry, lambda s: (s.list, 0), "ExInterlockedPopEntrySList"),
    **fronts(
        FlushSList, lambda s: (s.list,), "InterlockedFlushSList", "ExInterlockedFlushSList"
    ),
}
DDI_LOOKS = {
    "ExQueryPoolBlockSize",
    *("ExQueryDepthSList", "QueryDepthSList"),
    "FirstEntrySList",
    "KeGetCurrentIrql",
    *("KeGetCurrentProcessorNumber", "KeQueryMaximumProcessorCount"),
    *("KeQueryInterruptTime", "KeQueryTimeIncrement"),
    *("PsGetCurrentProcessId", "PsGetCurrentThreadId"),
    *("KeReadStateEvent", "KeReadStateMutex", "KeReadStateSemaphore"),
    "KeReadStateTimer",
    *("NT_ASSERT", "NT_ASSERTMSG", "ASSERT", "NT_VERIFY"),
    *("DbgPrint", "DbgPrintEx", "KdPrint", "KdPrintEx"),  # nobody's memory but the log's
    *("NT_SUCCESS", "NT_INFORMATION", "NT_WARNING", "NT_ERROR"),
}
DDI_HELPERS = {
    *("literal", "structure", "union", "sizeof"),
    *("FIELD_OFFSET", "CONTAINING_RECORD", "text_of"),
    *("ADDRESS_AND_SIZE_TO_SPAN_PAGES", "BYTES_TO_PAGES", "ROUND_TO_PAGES", "PAGE_ALIGN"),
    *("ALIGN_DOWN_BY", "ALIGN_UP_BY", "BYTE_OFFSET", "UNREFERENCED_PARAMETER"),
}
"""Ways to write C down, which ask nothing of a machine."""
WINDBG: dict[str, Row] = {
    "reset_counters": (lambda s: windbg.reset_counters(s.list), [ResetCounters]),
    "set_depth": (lambda s: windbg.set_depth(s.list, 9), [SetDepth]),
}
OTHERS: dict[str, Row] = {
    "LOOKASIDE_LIST_EX": (lambda s: ddi.LOOKASIDE_LIST_EX(), []),
    "NPAGED_LOOKASIDE_LIST": (lambda s: ddi.NPAGED_LOOKASIDE_LIST(), []),
    "PAGED_LOOKASIDE_LIST": (lambda s: ddi.PAGED_LOOKASIDE_LIST(), []),
    "SpinLock()": (lambda s: SpinLock(s.kernel), [InitializeLock]),
    "KeRaiseIrql, to memory": (
        lambda s: ddi.KeRaiseIrql(1, s.block),
        [RaiseIrql, WriteMemory],
    ),
    "with a lock": (inside(lambda s: s.lock), [AcquireLock, ReleaseLock]),
    "with a list": (inside(lambda s: s.list), [DeleteList]),
    "LookasideList()": (lambda s: LookasideList(s.kernel), []),
    "in a driver": (inside(lambda s: s.driver), []),
    "ExFreePool2 with parameters": (
        stops(lambda s: ddi.ExFreePool2(s.block, 0, 1, 1)),
        [FreeBlock],
    ),
    "ExAllocatePool2 with quota": (
        lambda s: ddi.ExAllocatePool2(0x41, 8, b"Tabl"),
        [AllocateBlock],
    ),
    "ExAllocatePool2, special": (
        lambda s: ddi.ExAllocatePool2(0x1_0000_0040, 8, b"Tabl"),
        [AllocateBlock],
    ),
    "ExAllocatePool2 with flags that reach no pool": (
        lambda s: ddi.ExAllocatePool2(0, 8, b"Tabl"),
        [],
    ),
    "a resource where no memory is": (
        stops(
            lambda s: s.kernel.objects.initialize_resource(
                (1 << s.kernel.arch.address_bits) - 0x1000
            )
        ),
        [InitializeResource],
    ),
}

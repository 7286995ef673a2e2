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
from lookaside_sim.machine.calls import (
    AcquireLock,
    Call,
    InitializeLock,
    LowerIrql,
    RaiseIrql,
    ReleaseLock,
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
    **fronts(FreeBlock, lambda s: (s.block,), "ExFreePool"),
    **fronts(FreeBlock, lambda s: (s.block, 0), "ExFreePoolWithTag"),
    **fronts(FreeBlock, lambda s: (s.block, 0, 0, 0), "ExFreePool2"),
    **fronts(RaiseIrql, lambda s: (1,), "KeRaiseIrql"),
    **fronts(LowerIrql, lambda s: (0,), "KeLowerIrql"),
    **fronts(InitializeLock, lambda s: (), "KeInitializeSpinLock"),
    **fronts(AcquireLock, lambda s: (s.lock,), "KeAcquireSpinLock"),
    **fronts(AcquireLock, lambda s: (s.lock,), "KeAcquireSpinLockAtDpcLevel"),
    **fronts(ReleaseLock, lambda s: (s.held, 0), "KeReleaseSpinLock"),
    **fronts(ReleaseLock, lambda s: (s.held,), "KeReleaseSpinLockFromDpcLevel"),
    **fronts(AllocateIrp, lambda s: (1, False), "IoAllocateIrp"),
    **fronts(FreeIrp, lambda s: (s.irp,), "IoFreeIrp"),
    **fronts(AllocateMdl, lambda s: (0, 8), "IoAllocateMdl"),
    **fronts(FreeMdl, lambda s: (s.mdl,), "IoFreeMdl"),
    **fronts(SetTimer, lambda s: (s.block, 1), "KeSetTimer"),
    **fronts(CancelTimer, lambda s: (s.block,), "KeCancelTimer"),
    **fronts(InitializeResource, lambda s: (s.block,), "ExInitializeResourceLite"),
    **fronts(DeleteResource, lambda s: (s.block,), "ExDeleteResourceLite"),
}
DDI_LOOKS = {
    "IoCreateNotificationEvent",
    "KeGetCurrentIrql",
    "KeGetCurrentProcessorNumber",
    "KeReadStateEvent",
}
WINDBG: dict[str, Row] = {
    "reset_counters": (lambda s: windbg.reset_counters(s.list), [ResetCounters]),
    "set_depth": (lambda s: windbg.set_depth(s.list, 9), [SetDepth]),
}
OTHERS: dict[str, Row] = {
    "SpinLock()": (lambda s: SpinLock(s.kernel), [InitializeLock]),
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
        stops(lambda s: s.kernel.objects.initialize_resource(0x10)),
        [InitializeResource],
    ),
}

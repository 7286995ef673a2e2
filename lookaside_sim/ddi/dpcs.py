"""The documented routines on DPCs; import them from `lookaside_sim.ddi`.

A DPC that is queued runs while somebody waits, or when `Queues.run` is called: no interrupt comes
by itself.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Code, Pointer, Size, code_address
from lookaside_sim.ddi.routine import routine, routine_up_to
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql

__all__ = ["KeFlushQueuedDpcs", "KeInitializeDpc", "KeInsertQueueDpc", "KeRemoveQueueDpc"]


@routine
def KeInitializeDpc(Dpc: Pointer, DeferredRoutine: Code, DeferredContext: Size) -> None:
    """Make a KDPC that is not queued.

    Args:
        Dpc: the KDPC, in nonpaged memory.
        DeferredRoutine: called with the KDPC, the context and two arguments, at DISPATCH_LEVEL.
        DeferredContext: handed on.
    """
    current_kernel().dpcs.initialize(Dpc, code_address(DeferredRoutine), DeferredContext)


@routine
def KeInsertQueueDpc(Dpc: Pointer, SystemArgument1: Size, SystemArgument2: Size) -> bool:
    """Queue a DPC.

    Args:
        Dpc: the KDPC.
        SystemArgument1: handed on.
        SystemArgument2: likewise.

    Returns:
        Whether it was not queued yet.
    """
    return current_kernel().dpcs.insert(Dpc, SystemArgument1, SystemArgument2)


@routine
def KeRemoveQueueDpc(Dpc: Pointer) -> bool:
    """Take a DPC off the queue; returns whether it was queued."""
    return current_kernel().queues.remove(Dpc)


@routine_up_to(Irql.APC_LEVEL)
def KeFlushQueuedDpcs() -> None:
    """Have all DPCs run that are queued."""
    queues = current_kernel().queues
    while queues.waiting and queues.waiting[0].kind == "DPC":
        queues.run_next()

"""The documented routines of run-down protection; import them from `lookaside_sim.ddi`.

Source:
    [doc] Run-Down Protection, and the page of each routine. Choice: EX_RUNDOWN_REF.Count counts in twos,
    and its lowest bit says that no more protection is given.
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Pointer
from lookaside_sim.ddi.routine import routine_up_to
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql

__all__ = [
    "ExAcquireRundownProtection",
    "ExInitializeRundownProtection",
    "ExReInitializeRundownProtection",
    "ExReleaseRundownProtection",
    "ExRundownCompleted",
    "ExWaitForRundownProtectionRelease",
]

_KIND = "run-down protection"
_OVER = 1


@routine_up_to(Irql.HIGH_LEVEL)
def ExInitializeRundownProtection(RunRef: Pointer) -> None:
    """Make run-down protection that can be taken.

    Args:
        RunRef: the EX_RUNDOWN_REF.
    """
    _set(RunRef, 0)


@routine_up_to(Irql.HIGH_LEVEL)
def ExReInitializeRundownProtection(RunRef: Pointer) -> None:
    """Make it usable again after `ExWaitForRundownProtectionRelease`."""
    _set(RunRef, 0)


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExAcquireRundownProtection(RunRef: Pointer) -> bool:
    """Keep an object from being run down; returns False once that has begun."""
    kernel = current_kernel()
    count = kernel.memory.read_pointer(RunRef)
    if count & _OVER:
        return False
    kernel.memory.write_pointer(RunRef, count + 2)
    kernel.threads.take(_KIND, RunRef, exclusive=False)
    return True


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExReleaseRundownProtection(RunRef: Pointer) -> None:
    """Let protection go that was taken, by whichever thread.

    Raises:
        LookasideSimError: none was taken.
    """
    kernel = current_kernel()
    count = kernel.memory.read_pointer(RunRef)
    if count < 2:
        raise LookasideSimError(
            f"run-down protection at {RunRef:#x} was released, and nobody has any"
        )
    kernel.memory.write_pointer(RunRef, count - 2)
    threads = kernel.threads
    holders = threads.holders(RunRef)
    mine = [each.thread for each in holders if each.thread == threads.current]
    if holders:
        threads.let_go(RunRef, mine[0] if mine else holders[0].thread)


@routine_up_to(Irql.APC_LEVEL)
def ExWaitForRundownProtectionRelease(RunRef: Pointer) -> None:
    """Give no more protection, and wait until all that was taken is let go.

    Raises:
        LookasideSimError: nobody is left who could let the rest go.
    """
    kernel = current_kernel()
    memory, queues = kernel.memory, kernel.queues
    memory.write_pointer(RunRef, memory.read_pointer(RunRef) | _OVER)
    while memory.read_pointer(RunRef) > _OVER:
        if not queues.waiting:
            holders = kernel.threads.holders(RunRef)
            where = f", taken at {holders[0].where}," if holders else ""
            raise LookasideSimError(
                f"a wait that nobody can end: the run-down protection at {RunRef:#x}{where} would"
                " have to be released: before the wait, or in a work item, DPC or thread that is"
                " queued when it begins; none is left"
            )
        queues.run_next()


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExRundownCompleted(RunRef: Pointer) -> None:
    """Say that the object was run down; protection is refused from now on."""
    _set(RunRef, _OVER)


def _set(reference: int, count: int) -> None:
    kernel = current_kernel()
    kernel.memory.write_pointer(reference, count)
    kernel.threads.forget(reference)

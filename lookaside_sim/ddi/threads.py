"""System threads, and the processes and threads that run; import them from `lookaside_sim.ddi`.

A thread waits to run, as a work item does: it runs while somebody waits, for the thread or anything
else, or when `Queues.run` is called.

Source:
    [doc] PsCreateSystemThread, PsTerminateSystemThread, KeGetCurrentThread.
"""

from __future__ import annotations

from typing import NoReturn

from lookaside_sim.ddi.arguments import (
    Code,
    Long,
    Out,
    Pointer,
    Size,
    Ulong,
    code_address,
    store_pointer,
)
from lookaside_sim.ddi.routine import routine, routine_up_to
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql, NtStatus
from lookaside_sim.system.queues import ThreadEnded

__all__ = [
    "IoGetCurrentProcess",
    "KeGetCurrentThread",
    "PsCreateSystemThread",
    "PsGetCurrentProcess",
    "PsGetCurrentThread",
    "PsTerminateSystemThread",
]


@routine_up_to(Irql.PASSIVE_LEVEL)
def PsCreateSystemThread(
    ThreadHandle: Out,
    DesiredAccess: Ulong,
    ObjectAttributes: Pointer,
    ProcessHandle: Size,
    ClientId: Pointer,
    StartRoutine: Code,
    StartContext: Size,
) -> NtStatus:
    """Make a thread that waits to run.

    Args:
        ThreadHandle: where the handle goes; the thread object is signaled when the routine is over.
        DesiredAccess: has no effect.
        ObjectAttributes: NULL.
        ProcessHandle: NULL.
        ClientId: NULL.
        StartRoutine: called with the context, at PASSIVE_LEVEL.
        StartContext: handed on.

    Returns:
        STATUS_SUCCESS, or STATUS_INSUFFICIENT_RESOURCES without memory.
    """
    kernel = current_kernel()
    made = kernel.system_threads.make(code_address(StartRoutine), StartContext)
    if made is None:
        return NtStatus.STATUS_INSUFFICIENT_RESOURCES
    store_pointer(ThreadHandle, kernel.references.open(made, for_kernel=True))
    return NtStatus.STATUS_SUCCESS


@routine
def PsTerminateSystemThread(ExitStatus: Long) -> NoReturn:
    """End the thread that runs; only a thread's own routine may call it."""
    raise ThreadEnded


@routine
def KeGetCurrentThread() -> int:
    """The thread that runs: an address that stands for it."""
    return current_kernel().threads.current


PsGetCurrentThread = KeGetCurrentThread


@routine
def PsGetCurrentProcess() -> int:
    """Address of the EPROCESS of the process that runs."""
    return current_kernel().processes.current.address


IoGetCurrentProcess = PsGetCurrentProcess

"""Fast and guarded mutexes, and the regions that keep APCs out; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine; Fast Mutexes and Guarded Mutexes; Disabling APCs. [header] FAST_MUTEX:
    Count is 1 while it is free. Choice: a guarded mutex is a fast mutex that leaves the IRQL
    alone, as it has been since Windows 8.
"""

from __future__ import annotations

from typing import NoReturn

from lookaside_sim.ddi.arguments import Pointer
from lookaside_sim.ddi.known_structures import FAST_MUTEX
from lookaside_sim.ddi.routine import routine, routine_up_to
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql

__all__ = [
    "ExAcquireFastMutex",
    "ExAcquireFastMutexUnsafe",
    "ExInitializeFastMutex",
    "ExReleaseFastMutex",
    "ExReleaseFastMutexUnsafe",
    "ExTryToAcquireFastMutex",
    "FsRtlEnterFileSystem",
    "FsRtlExitFileSystem",
    "KeAcquireGuardedMutex",
    "KeAreApcsDisabled",
    "KeEnterCriticalRegion",
    "KeEnterGuardedRegion",
    "KeInitializeGuardedMutex",
    "KeLeaveCriticalRegion",
    "KeLeaveGuardedRegion",
    "KeReleaseGuardedMutex",
    "KeTryToAcquireGuardedMutex",
]


# --- fast mutexes --------------------------------------------------------------------------


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExInitializeFastMutex(FastMutex: Pointer) -> None:
    """Make a FAST_MUTEX that is free.

    Args:
        FastMutex: the mutex, in nonpaged memory.
    """
    _initialize(FastMutex)


@routine_up_to(Irql.APC_LEVEL)
def ExAcquireFastMutex(FastMutex: Pointer) -> None:
    """Take a fast mutex, and raise the IRQL to APC_LEVEL.

    Raises:
        BugCheck: IRQL_NOT_LESS_OR_EQUAL above APC_LEVEL; in verified code
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x33).
        LookasideSimError: it is held: this thread waits for itself, or for one that waits too.
    """
    _take(FastMutex, raises=True)


@routine_up_to(Irql.APC_LEVEL)
def ExTryToAcquireFastMutex(FastMutex: Pointer) -> bool:
    """Take a fast mutex if it is free; returns whether it was."""
    if _count(FastMutex) < 1:
        return False
    _take(FastMutex, raises=True)
    return True


@routine_up_to(Irql.APC_LEVEL)
def ExReleaseFastMutex(FastMutex: Pointer) -> None:
    """Let a fast mutex go, and lower the IRQL to what it was.

    Raises:
        BugCheck: in verified code at another level than APC_LEVEL
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x34).
        LookasideSimError: this thread does not hold it.
    """
    _let_go(FastMutex, lowers=True)


@routine_up_to(Irql.APC_LEVEL)
def ExAcquireFastMutexUnsafe(FastMutex: Pointer) -> None:
    """Take a fast mutex with APCs disabled already; the IRQL stays.

    Raises:
        BugCheck: in verified code, in no critical region and below APC_LEVEL,
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x39).
    """
    _take(FastMutex, raises=False)


@routine_up_to(Irql.APC_LEVEL)
def ExReleaseFastMutexUnsafe(FastMutex: Pointer) -> None:
    """Let a fast mutex go that `ExAcquireFastMutexUnsafe` took; as there, 0x3A."""
    _let_go(FastMutex, lowers=False)


@routine_up_to(Irql.APC_LEVEL)
def KeInitializeGuardedMutex(Mutex: Pointer) -> None:
    """Make a guarded mutex that is free."""
    _initialize(Mutex)


@routine_up_to(Irql.APC_LEVEL)
def KeAcquireGuardedMutex(Mutex: Pointer) -> None:
    """Enter a guarded region and take a guarded mutex."""
    current_kernel().threads.disable_apcs(1)
    _take(Mutex, raises=False, kind="guarded mutex")


@routine_up_to(Irql.APC_LEVEL)
def KeTryToAcquireGuardedMutex(Mutex: Pointer) -> bool:
    """Take a guarded mutex if it is free; returns whether it was."""
    if _count(Mutex) < 1:
        return False
    current_kernel().threads.disable_apcs(1)
    _take(Mutex, raises=False, kind="guarded mutex")
    return True


@routine_up_to(Irql.APC_LEVEL)
def KeReleaseGuardedMutex(Mutex: Pointer) -> None:
    """Let a guarded mutex go and leave the guarded region."""
    _let_go(Mutex, lowers=False, kind="guarded mutex")
    current_kernel().threads.disable_apcs(-1)


def _fields(mutex: int) -> tuple[int, int, int]:
    """Where Count, Owner and OldIrql lie."""
    arch = current_kernel().arch
    count, owner, old = (
        mutex + FAST_MUTEX.offset_on(arch, name) for name in ("Count", "Owner", "OldIrql")
    )
    return count, owner, old


def _initialize(mutex: int) -> None:
    kernel = current_kernel()
    kernel.memory.write(mutex, bytes(FAST_MUTEX.size_on(kernel.arch)))
    kernel.memory.write(_fields(mutex)[0], (1).to_bytes(4, "little"))
    kernel.threads.forget(mutex)


def _count(mutex: int) -> int:
    raw = current_kernel().memory.read(_fields(mutex)[0], 4)
    return int.from_bytes(raw, "little", signed=True)


def _take(mutex: int, *, raises: bool, kind: str = "fast mutex") -> None:
    kernel = current_kernel()
    if _count(mutex) < 1:
        _held(mutex, kind)
    count, owner, old = _fields(mutex)
    irql = int(kernel.irql)
    kernel.memory.write(count, bytes(4))
    kernel.memory.write_pointer(owner, kernel.threads.current)
    if raises:
        kernel.memory.write(old, irql.to_bytes(4, "little"))
        kernel.machine.processors.change_irql(int(Irql.APC_LEVEL))
    kernel.threads.take(kind, mutex)


def _let_go(mutex: int, *, lowers: bool, kind: str = "fast mutex") -> None:
    kernel = current_kernel()
    count, owner, old = _fields(mutex)
    thread = kernel.threads.current
    if _count(mutex) >= 1 or kernel.memory.read_pointer(owner) != thread:
        holders = kernel.threads.holders(mutex)
        state = f"{holders[0]}, has it" if holders else "nobody has it"
        raise LookasideSimError(
            f"the {kind} at {mutex:#x} was released by a thread that does not have it: {state}"
        )
    kernel.memory.write_pointer(owner, 0)
    kernel.memory.write(count, (1).to_bytes(4, "little"))
    kernel.threads.let_go(mutex, thread)
    if lowers:
        irql = int.from_bytes(kernel.memory.read(old, 4), "little")
        kernel.machine.processors.lower_to(irql)


def _held(mutex: int, kind: str) -> NoReturn:
    threads = current_kernel().threads
    holders = threads.holders(mutex)
    if not holders:
        raise LookasideSimError(
            f"a wait that nobody can end: the {kind} at {mutex:#x} is not free, and nobody took"
            " it: was it initialized?"
        )
    who = "this thread" if holders[0].thread == threads.current else "another thread"
    raise LookasideSimError(
        f"a wait that nobody can end: {who} took the {kind} at {mutex:#x} at"
        f" {holders[0].where}, and would have to release it first"
    )


# --- regions -------------------------------------------------------------------------------


@routine_up_to(Irql.APC_LEVEL)
def KeEnterCriticalRegion() -> None:
    """Disable normal kernel APCs for the current thread, once more."""
    current_kernel().threads.disable_apcs(1)


@routine_up_to(Irql.APC_LEVEL)
def KeLeaveCriticalRegion() -> None:
    """Undo one `KeEnterCriticalRegion`.

    Raises:
        BugCheck: in verified code that is in no critical region
            DRIVER_VERIFIER_DETECTED_VIOLATION (0x3E).
    """
    current_kernel().threads.disable_apcs(-1)


@routine_up_to(Irql.APC_LEVEL)
def KeEnterGuardedRegion() -> None:
    """Disable all APCs for the current thread, once more."""
    current_kernel().threads.disable_apcs(1)


@routine_up_to(Irql.APC_LEVEL)
def KeLeaveGuardedRegion() -> None:
    """Undo one `KeEnterGuardedRegion`."""
    current_kernel().threads.disable_apcs(-1)


FsRtlEnterFileSystem = KeEnterCriticalRegion
FsRtlExitFileSystem = KeLeaveCriticalRegion


@routine
def KeAreApcsDisabled() -> bool:
    """Whether the current thread is in a critical or guarded region."""
    return current_kernel().threads.apcs_disabled > 0

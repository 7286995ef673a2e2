"""Reader/writer and queued spin locks; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine; Queued Spin Locks. Choice: an EX_SPIN_LOCK is a LONG with the top bit
    for who has it alone, and else the number of those who share it.
"""

from __future__ import annotations

from typing import Final, NoReturn

from lookaside_sim.ddi.arguments import Pointer, Uchar
from lookaside_sim.ddi.known_structures import KLOCK_QUEUE_HANDLE
from lookaside_sim.ddi.routine import routine, routine_up_to
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql

__all__ = [
    "ExAcquireSpinLockExclusive",
    "ExAcquireSpinLockExclusiveAtDpcLevel",
    "ExAcquireSpinLockShared",
    "ExAcquireSpinLockSharedAtDpcLevel",
    "ExReleaseSpinLockExclusive",
    "ExReleaseSpinLockExclusiveFromDpcLevel",
    "ExReleaseSpinLockShared",
    "ExReleaseSpinLockSharedFromDpcLevel",
    "ExTryConvertSharedSpinLockExclusive",
    "KeAcquireInStackQueuedSpinLock",
    "KeAcquireInStackQueuedSpinLockAtDpcLevel",
    "KeReleaseInStackQueuedSpinLock",
    "KeReleaseInStackQueuedSpinLockFromDpcLevel",
    "KeTestSpinLock",
    "KeTryToAcquireSpinLockAtDpcLevel",
]

_ALONE: Final = 0x8000_0000
_KIND: Final = "reader/writer spin lock"


# --- reader/writer spin locks --------------------------------------------------------------


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExAcquireSpinLockExclusive(SpinLock: Pointer) -> int:
    """Raise the IRQL to DISPATCH_LEVEL and take an EX_SPIN_LOCK alone.

    Args:
        SpinLock: the lock, a LONG that is 0 while it is free.

    Returns:
        The IRQL before.

    Raises:
        LookasideSimError: it is held: the processor would spin for ever.
    """
    return _acquire(SpinLock, exclusive=True)


@routine_up_to(Irql.DISPATCH_LEVEL)
def ExAcquireSpinLockShared(SpinLock: Pointer) -> int:
    """Raise the IRQL to DISPATCH_LEVEL and share an EX_SPIN_LOCK; returns the IRQL before."""
    return _acquire(SpinLock, exclusive=False)


@routine
def ExAcquireSpinLockExclusiveAtDpcLevel(SpinLock: Pointer) -> None:
    """Take an EX_SPIN_LOCK alone; the IRQL is DISPATCH_LEVEL or above already."""
    _check_dpc_level("acquired", SpinLock)
    _take(SpinLock, exclusive=True)


@routine
def ExAcquireSpinLockSharedAtDpcLevel(SpinLock: Pointer) -> None:
    """Share an EX_SPIN_LOCK; the IRQL is DISPATCH_LEVEL or above already."""
    _check_dpc_level("acquired", SpinLock)
    _take(SpinLock, exclusive=False)


@routine
def ExReleaseSpinLockExclusive(SpinLock: Pointer, OldIrql: Uchar) -> None:
    """Let an EX_SPIN_LOCK go and lower the IRQL.

    Args:
        SpinLock: the lock.
        OldIrql: the IRQL before it was taken.

    Raises:
        BugCheck: SPIN_LOCK_NOT_OWNED.
    """
    _let_go(SpinLock, exclusive=True)
    current_kernel().machine.processors.lower_to(OldIrql)


@routine
def ExReleaseSpinLockShared(SpinLock: Pointer, OldIrql: Uchar) -> None:
    """Let a shared EX_SPIN_LOCK go and lower the IRQL."""
    _let_go(SpinLock, exclusive=False)
    current_kernel().machine.processors.lower_to(OldIrql)


@routine
def ExReleaseSpinLockExclusiveFromDpcLevel(SpinLock: Pointer) -> None:
    """Let an EX_SPIN_LOCK go and stay at DISPATCH_LEVEL."""
    _check_dpc_level("released", SpinLock)
    _let_go(SpinLock, exclusive=True)


@routine
def ExReleaseSpinLockSharedFromDpcLevel(SpinLock: Pointer) -> None:
    """Let a shared EX_SPIN_LOCK go and stay at DISPATCH_LEVEL."""
    _check_dpc_level("released", SpinLock)
    _let_go(SpinLock, exclusive=False)


@routine
def ExTryConvertSharedSpinLockExclusive(SpinLock: Pointer) -> bool:
    """Have a shared EX_SPIN_LOCK alone, if nobody else shares it; returns whether that is so."""
    _check_dpc_level("converted", SpinLock)
    kernel = current_kernel()
    if _word(SpinLock) != 1:
        return False
    _let_go(SpinLock, exclusive=False)
    _take(SpinLock, exclusive=True)
    return kernel.threads.holding(SpinLock, kernel.threads.current) is not None


def _word(lock: int) -> int:
    return int.from_bytes(current_kernel().memory.read(lock, 4), "little")


def _write(lock: int, word: int) -> None:
    current_kernel().memory.write(lock, word.to_bytes(4, "little"))


def _acquire(lock: int, *, exclusive: bool) -> int:
    kernel = current_kernel()
    old = int(kernel.irql)
    _check_free(lock, exclusive=exclusive)
    kernel.machine.processors.change_irql(int(Irql.DISPATCH_LEVEL), by_spin_lock=True)
    _take(lock, exclusive=exclusive)
    return old


def _check_free(lock: int, *, exclusive: bool) -> None:
    word = _word(lock)
    if not word or (not exclusive and not word & _ALONE):
        return
    holders = current_kernel().threads.holders(lock)
    where = f": {holders[0]}" if holders else ""
    raise LookasideSimError(
        f"processor {current_kernel().processor} would spin for ever on the {_KIND} at"
        f" {lock:#x}{where}"
    )


def _take(lock: int, *, exclusive: bool) -> None:
    _check_free(lock, exclusive=exclusive)
    _write(lock, _ALONE if exclusive else _word(lock) + 1)
    current_kernel().threads.take(_KIND, lock, exclusive=exclusive)


def _let_go(lock: int, *, exclusive: bool) -> None:
    kernel = current_kernel()
    word = _word(lock)
    if not word or bool(word & _ALONE) != exclusive:
        how = "exclusive" if exclusive else "shared"
        kernel.machine.stop(
            BugCheckCode.SPIN_LOCK_NOT_OWNED,
            (lock, 0, 0, 0),
            f"the {_KIND} at {lock:#x} was released as {how}, and nobody has it so",
        )
    _write(lock, 0 if exclusive else word - 1)
    kernel.threads.let_go(lock, kernel.threads.current)


def _check_dpc_level(verb: str, lock: int) -> None:
    machine = current_kernel().machine
    irql = int(machine.processors.irql)
    if irql < Irql.DISPATCH_LEVEL:
        _wrong_irql(lock, irql, f"was {verb} at DPC level, and the IRQL is {irql}")


def _wrong_irql(lock: int, irql: int, what: str) -> NoReturn:
    machine = current_kernel().machine
    machine.stop(
        BugCheckCode.IRQL_NOT_GREATER_OR_EQUAL,
        (irql, int(Irql.DISPATCH_LEVEL), 0, 0),
        f"the {_KIND} at {lock:#x} {what}",
    )


# --- spin locks ----------------------------------------------------------------------------


@routine
def KeTestSpinLock(SpinLock: Pointer) -> bool:
    """Whether a KSPIN_LOCK is free."""
    return not current_kernel().memory.read_pointer(SpinLock)


@routine
def KeTryToAcquireSpinLockAtDpcLevel(SpinLock: Pointer) -> bool:
    """Take a KSPIN_LOCK if it is free; returns whether it was."""
    kernel = current_kernel()
    if kernel.memory.read_pointer(SpinLock):
        return False
    kernel.spin_locks.acquire_at_dpc_level(SpinLock)
    return True


@routine
def KeAcquireInStackQueuedSpinLock(SpinLock: Pointer, LockHandle: Pointer) -> None:
    """Raise the IRQL to DISPATCH_LEVEL and take a KSPIN_LOCK in the order of those who came.

    Args:
        SpinLock: the lock.
        LockHandle: a KLOCK_QUEUE_HANDLE of the caller's, which keeps the IRQL before.

    Raises:
        BugCheck, LookasideSimError: as `SpinLocks.acquire`.
    """
    kernel = current_kernel()
    _write_handle(LockHandle, SpinLock, kernel.spin_locks.acquire(SpinLock))


@routine
def KeAcquireInStackQueuedSpinLockAtDpcLevel(SpinLock: Pointer, LockHandle: Pointer) -> None:
    """Take a KSPIN_LOCK so; the IRQL is DISPATCH_LEVEL or above already."""
    kernel = current_kernel()
    kernel.spin_locks.acquire_at_dpc_level(SpinLock)
    _write_handle(LockHandle, SpinLock, int(kernel.irql))


@routine
def KeReleaseInStackQueuedSpinLock(LockHandle: Pointer) -> None:
    """Let a KSPIN_LOCK go that was taken with a handle, and lower the IRQL."""
    kernel = current_kernel()
    offset = KLOCK_QUEUE_HANDLE.offset_on
    lock = kernel.memory.read_pointer(LockHandle + offset(kernel.arch, "Lock"))
    irql = kernel.memory.read(LockHandle + offset(kernel.arch, "OldIrql"), 1)[0]
    kernel.spin_locks.release(lock, irql)


@routine
def KeReleaseInStackQueuedSpinLockFromDpcLevel(LockHandle: Pointer) -> None:
    """Let a KSPIN_LOCK go that was taken with a handle, and stay at DISPATCH_LEVEL."""
    kernel = current_kernel()
    lock_at = LockHandle + KLOCK_QUEUE_HANDLE.offset_on(kernel.arch, "Lock")
    kernel.spin_locks.release_from_dpc_level(kernel.memory.read_pointer(lock_at))


def _write_handle(handle: int, lock: int, old_irql: int) -> None:
    kernel = current_kernel()
    offset = KLOCK_QUEUE_HANDLE.offset_on
    kernel.memory.write_pointer(handle, 0)
    kernel.memory.write_pointer(handle + offset(kernel.arch, "Lock"), lock)
    kernel.memory.write(handle + offset(kernel.arch, "OldIrql"), bytes((old_irql,)))

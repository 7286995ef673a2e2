"""The documented IRQL and spin lock routines; import them from `lookaside_sim.ddi`.

KeRaiseIrql and KeAcquireSpinLock are macros in wdm.h: the caller's own code stores the old
IRQL, once it has been raised.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Out, Pointer, address_of, check_out, store_byte
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.types import Irql

__all__ = [
    "KeAcquireSpinLock",
    "KeAcquireSpinLockAtDpcLevel",
    "KeAcquireSpinLockRaiseToDpc",
    "KeGetCurrentIrql",
    "KeGetCurrentProcessorNumber",
    "KeInitializeSpinLock",
    "KeLowerIrql",
    "KeRaiseIrql",
    "KeRaiseIrqlToDpcLevel",
    "KeReleaseSpinLock",
    "KeReleaseSpinLockFromDpcLevel",
]

# --- IRQL and processors -----------------------------------------------------------------


def KeGetCurrentIrql() -> int:
    """The IRQL of the current processor."""
    return int(current_kernel().irql)


def KeRaiseIrql(NewIrql: int, OldIrql: Out) -> None:
    """Raise the IRQL; see `Kernel.raise_irql`.

    Args:
        NewIrql: 0 to 15, on x86 to 31, not below the current one.
        OldIrql: where the IRQL before goes, one byte.
    """
    check_out("OldIrql", OldIrql)
    store_byte(OldIrql, current_kernel().raise_irql(NewIrql).previous)


def KeRaiseIrqlToDpcLevel() -> int:
    """Raise the IRQL to DISPATCH_LEVEL; returns what it was."""
    return current_kernel().raise_irql(Irql.DISPATCH_LEVEL).previous


def KeLowerIrql(NewIrql: int) -> None:
    """Lower the IRQL; see `Kernel.lower_irql`."""
    current_kernel().lower_irql(NewIrql)


def KeGetCurrentProcessorNumber() -> int:
    """Number of the processor that runs."""
    return current_kernel().processor


# --- spin locks --------------------------------------------------------------------------


def KeInitializeSpinLock(SpinLock: Pointer) -> None:
    """Make a KSPIN_LOCK, one pointer in memory, a lock that is free.

    Args:
        SpinLock: the lock.

    Raises:
        BugCheck: the memory cannot be touched.
    """
    locks = current_kernel().spin_locks
    locks.initialize(address_of("SpinLock", SpinLock), getattr(SpinLock, "name", ""))


def KeAcquireSpinLock(SpinLock: Pointer, OldIrql: Out) -> None:
    """Raise the IRQL to DISPATCH_LEVEL and take a lock; see `SpinLocks.acquire`.

    Args:
        SpinLock: the lock.
        OldIrql: where the IRQL before goes, one byte.
    """
    check_out("OldIrql", OldIrql)
    store_byte(OldIrql, KeAcquireSpinLockRaiseToDpc(SpinLock))


def KeAcquireSpinLockRaiseToDpc(SpinLock: Pointer) -> int:
    """Raise the IRQL to DISPATCH_LEVEL and take a lock; returns the IRQL before."""
    return current_kernel().spin_locks.acquire(address_of("SpinLock", SpinLock))


def KeReleaseSpinLock(SpinLock: Pointer, NewIrql: int) -> None:
    """Let a lock go and lower the IRQL; see `SpinLocks.release`.

    Args:
        SpinLock: the lock.
        NewIrql: the IRQL from before the lock was acquired.
    """
    current_kernel().spin_locks.release(address_of("SpinLock", SpinLock), NewIrql)


def KeAcquireSpinLockAtDpcLevel(SpinLock: Pointer) -> None:
    """Take a lock at DISPATCH_LEVEL; see `SpinLocks.acquire_at_dpc_level`."""
    current_kernel().spin_locks.acquire_at_dpc_level(address_of("SpinLock", SpinLock))


def KeReleaseSpinLockFromDpcLevel(SpinLock: Pointer) -> None:
    """Let a lock go and stay at DISPATCH_LEVEL; see `SpinLocks.release_from_dpc_level`."""
    current_kernel().spin_locks.release_from_dpc_level(address_of("SpinLock", SpinLock))

"""The documented IRQL, spin lock, I/O and object routines; import them from `ddi`.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.kernel import current_kernel
from lookaside_sim.machine.spin_lock import SpinLock

# --- IRQL and processors -----------------------------------------------------------------


def KeGetCurrentIrql() -> int:
    """The IRQL of the current processor."""
    return int(current_kernel().irql)


def KeRaiseIrql(NewIrql: int) -> int:
    """Raise the IRQL; see `Kernel.raise_irql`. Returns what it was (*OldIrql*)."""
    return current_kernel().raise_irql(NewIrql).previous


def KeLowerIrql(NewIrql: int) -> None:
    """Lower the IRQL; see `Kernel.lower_irql`."""
    current_kernel().lower_irql(NewIrql)


def KeGetCurrentProcessorNumber() -> int:
    """Number of the processor that runs."""
    return current_kernel().processor


# --- spin locks --------------------------------------------------------------------------


def KeInitializeSpinLock(name: str = "") -> SpinLock:
    """Make a spin lock; the routine initializes one at an address."""
    return SpinLock(current_kernel(), name)


def KeAcquireSpinLock(SpinLock: SpinLock) -> int:
    """Acquire a spin lock; see `SpinLock.acquire`. Returns *OldIrql*."""
    return SpinLock.acquire()


def KeReleaseSpinLock(SpinLock: SpinLock, NewIrql: int) -> None:
    """Release a spin lock; see `SpinLock.release`."""
    SpinLock.release(NewIrql)


def KeAcquireSpinLockAtDpcLevel(SpinLock: SpinLock) -> None:
    """Acquire a spin lock at DISPATCH_LEVEL; see `SpinLock.acquire_at_dpc_level`."""
    SpinLock.acquire_at_dpc_level()


def KeReleaseSpinLockFromDpcLevel(SpinLock: SpinLock) -> None:
    """Release a spin lock at DISPATCH_LEVEL; see `SpinLock.release_from_dpc_level`."""
    SpinLock.release_from_dpc_level()


# --- I/O structures ----------------------------------------------------------------------


def IoAllocateIrp(StackSize: int, ChargeQuota: bool) -> int:
    """Allocate an IRP; see `IoLists.allocate_irp`. Returns 0 for NULL."""
    return current_kernel().io_lists.allocate_irp(StackSize, ChargeQuota)


def IoFreeIrp(Irp: int) -> None:
    """Free an IRP; see `IoLists.free_irp`."""
    current_kernel().io_lists.free_irp(Irp)


def IoAllocateMdl(
    VirtualAddress: int,
    Length: int,
    SecondaryBuffer: bool = False,
    ChargeQuota: bool = False,
    Irp: int = 0,
) -> int:
    """Allocate an MDL; see `IoLists.allocate_mdl`. Returns 0 for NULL.

    Choice: the last three arguments, of which the first and last concern an IRP's chain of
    MDLs and ChargeQuota is reserved, have no effect.
    """
    return current_kernel().io_lists.allocate_mdl(VirtualAddress, Length)


def IoFreeMdl(Mdl: int) -> None:
    """Free an MDL; see `IoLists.free_mdl`."""
    current_kernel().io_lists.free_mdl(Mdl)


# --- timers and resources ----------------------------------------------------------------


def KeSetTimer(Timer: int, Seconds: int) -> bool:
    """Start a timer; see `KernelObjects.set_timer`. Time is in simulated seconds here."""
    return current_kernel().objects.set_timer(Timer, Seconds)


def KeCancelTimer(Timer: int) -> bool:
    """Stop a timer; see `KernelObjects.cancel_timer`."""
    return current_kernel().objects.cancel_timer(Timer)


def ExInitializeResourceLite(Resource: int) -> None:
    """Initialize an ERESOURCE; see `KernelObjects.initialize_resource`."""
    current_kernel().objects.initialize_resource(Resource)


def ExDeleteResourceLite(Resource: int) -> None:
    """Delete an ERESOURCE; see `KernelObjects.delete_resource`."""
    current_kernel().objects.delete_resource(Resource)

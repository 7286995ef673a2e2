"""The documented routines for IRPs and MDLs; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.kernel import current_kernel


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
    """Allocate an MDL; see `IoLists.allocate_mdl`.

    Args:
        VirtualAddress: start of the buffer it describes.
        Length: bytes of the buffer.
        SecondaryBuffer: chain it behind the IRP's last MDL.
        ChargeQuota: reserved, has no effect.
        Irp: the IRP whose MDL it becomes; 0 for NULL.

    Returns:
        Its address; 0 for NULL, also for more than 4 GiB - PAGE_SIZE.
    """
    return current_kernel().io_lists.allocate_mdl(
        VirtualAddress, Length, secondary=SecondaryBuffer, irp=Irp
    )


def IoFreeMdl(Mdl: int) -> None:
    """Free an MDL; see `IoLists.free_mdl`."""
    current_kernel().io_lists.free_mdl(Mdl)

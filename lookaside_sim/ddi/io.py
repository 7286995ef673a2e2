"""The documented routines for IRPs and MDLs; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Pointer, address_of
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import boolean, integer, unsigned

__all__ = [
    "IoAllocateIrp",
    "IoAllocateMdl",
    "IoFreeIrp",
    "IoFreeMdl",
]


def IoAllocateIrp(StackSize: int, ChargeQuota: bool) -> int:
    """Allocate an IRP; see `IoLists.allocate_irp`. Returns 0 for NULL."""
    stack_size, charge_quota = (
        integer("StackSize", StackSize),
        boolean("ChargeQuota", ChargeQuota),
    )
    return current_kernel().io_lists.allocate_irp(stack_size, charge_quota)


def IoFreeIrp(Irp: Pointer) -> None:
    """Free an IRP; see `IoLists.free_irp`."""
    current_kernel().io_lists.free_irp(address_of("Irp", Irp))


def IoAllocateMdl(
    VirtualAddress: Pointer,
    Length: int,
    SecondaryBuffer: bool = False,
    ChargeQuota: bool = False,
    Irp: Pointer = 0,
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
    start, length = address_of("VirtualAddress", VirtualAddress), unsigned("Length", Length, 32)
    boolean("ChargeQuota", ChargeQuota)
    return current_kernel().io_lists.allocate_mdl(
        start,
        length,
        secondary=boolean("SecondaryBuffer", SecondaryBuffer),
        irp=address_of("Irp", Irp),
    )


def IoFreeMdl(Mdl: Pointer) -> None:
    """Free an MDL; see `IoLists.free_mdl`."""
    current_kernel().io_lists.free_mdl(address_of("Mdl", Mdl))

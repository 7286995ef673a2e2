"""The I/O structures that come from lists: the public calls for IRPs and MDLs.

Source:
    [doc] IoAllocateIrp, IoFreeIrp, IoAllocateMdl, IoFreeMdl; docs/sources.md, lists section 7.
"""

from __future__ import annotations

from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.arguments import boolean, unsigned
from lookaside_sim.nt.io_layouts import IO_LAYOUTS, MOST_STACK_LOCATIONS
from lookaside_sim.nt.windows import Windows
from lookaside_sim.pool.kind import Pool
from lookaside_sim.system.calls import AllocateIrp, AllocateMdl, FreeIrp, FreeMdl
from lookaside_sim.system.io_pairs import IoPairs, ListPair
from lookaside_sim.system.irps import (
    LARGE_IRP_LOCATIONS,
    MEDIUM_IRP_LOCATIONS,
    SMALL_IRP_LOCATIONS,
    Irps,
)
from lookaside_sim.system.mdls import FIXED_MDL_PAGES, Mdls
from lookaside_sim.system.quota import Quota


class IoLists:
    """IRPs, MDLs and the nine pairs of lists.

    Args:
        machine: the machine.
        pool: where entries come from.
        quota: where charged IRPs come from.
        windows: whose pairs there are.

    Attributes:
        irps: what is known of IRPs: their large size, and how many a processor lends.
    """

    __slots__ = ("_machine", "_mdls", "_pairs", "irps")

    def __init__(self, machine: Machine, pool: Pool, quota: Quota, windows: Windows) -> None:
        layout = IO_LAYOUTS[machine.arch.name]
        self._machine = machine
        self._pairs = IoPairs(
            machine,
            pool,
            {
                "small IRP": layout.irp_size(SMALL_IRP_LOCATIONS),
                "medium IRP": layout.irp_size(MEDIUM_IRP_LOCATIONS),
                "large IRP": layout.irp_size(LARGE_IRP_LOCATIONS),
                "MDL": layout.mdl_size(FIXED_MDL_PAGES),
            },
            windows,
        )
        self.irps = Irps(machine, pool, quota, self._pairs)
        self._mdls = Mdls(machine, pool, self._pairs)

    # --- the lists -----------------------------------------------------------------------

    @property
    def pairs(self) -> tuple[ListPair, ...]:
        """All of them, nine from Windows 7 on, in KPRCB order."""
        return self._pairs.all

    @property
    def small_irp(self) -> ListPair:
        """IRPs with 1 stack location."""
        return self._pairs.named("small IRP")

    @property
    def medium_irp(self) -> ListPair:
        """IRPs with up to 4; from Windows 7 on."""
        return self._pairs.named("medium IRP")

    @property
    def large_irp(self) -> ListPair:
        """IRPs with up to 10 stack locations, later up to 20 where more are asked for."""
        return self._pairs.named("large IRP")

    @property
    def mdl(self) -> ListPair:
        """MDLs of the fixed size."""
        return self._pairs.named("MDL")

    @property
    def held(self) -> int:
        """Entries that wait on all of them."""
        return self._pairs.held

    def scan(self, processor: int | None, period: int) -> bool:
        """Adjust the depth of the P lists of a processor, or of the L lists for None."""
        return self._pairs.scan(processor, period)

    def check(self) -> None:
        """Verify that each list holds as many entries as it says.

        Raises:
            InvariantError: the first that does not.
        """
        self._pairs.check()

    # --- the calls -----------------------------------------------------------------------

    def allocate_irp(self, stack_size: int, charge_quota: bool = False) -> int:
        """IoAllocateIrp.

        Args:
            stack_size: stack locations, 1 to 127.
            charge_quota: have a processor lend it, else charge the current process.

        Returns:
            Address of the initialized IRP, 0 for NULL.

        Raises:
            TypeError, ValueError: an impossible number of stack locations.
        """
        self._machine.check_running()
        stack_size = unsigned("stack size", stack_size, 7)
        if not stack_size:
            raise ValueError(f"stack size 0: give 1 to {MOST_STACK_LOCATIONS} locations")
        charge_quota = boolean("charge_quota", charge_quota)
        call = AllocateIrp(stack_size, charge_quota)
        return self._machine.hooks.run(call, self.irps.allocate, stack_size, charge_quota)

    def free_irp(self, irp: int) -> None:
        """IoFreeIrp.

        Raises:
            BugCheck: MULTIPLE_IRP_COMPLETE_REQUESTS for memory that is no IRP (any more).
            TypeError, ValueError: no address.
        """
        self._machine.check_running()
        irp = unsigned("irp", irp, self._machine.arch.address_bits)
        self._machine.hooks.run(FreeIrp(irp), self.irps.free, irp)

    def allocate_mdl(
        self, address: int, length: int, *, secondary: bool = False, irp: int = 0
    ) -> int:
        """IoAllocateMdl.

        Args:
            address: start of the buffer it describes.
            length: bytes of the buffer, a ULONG.
            secondary: chain it behind the IRP's last MDL, instead of making it the IRP's first.
            irp: the IRP whose MDL it becomes; 0 for none.

        Returns:
            Address of the MDL; 0 for NULL: no memory, or more than 4 GiB - PAGE_SIZE.

        Raises:
            BugCheck: the IRP, or the chain of its MDLs, cannot be touched.
            TypeError, ValueError: an argument that its C type cannot hold.
        """
        self._machine.check_running()
        bits = self._machine.arch.address_bits
        address, irp = unsigned("address", address, bits), unsigned("irp", irp, bits)
        length = unsigned("length", length, 32)
        secondary = boolean("secondary", secondary)
        call = AllocateMdl(address, length, secondary, irp)
        return self._machine.hooks.run(
            call, self._mdls.allocate, address, length, secondary, irp
        )

    def free_mdl(self, mdl: int) -> None:
        """IoFreeMdl.

        Raises:
            BugCheck: the memory cannot be touched.
            TypeError, ValueError: no address.
        """
        self._machine.check_running()
        mdl = unsigned("mdl", mdl, self._machine.arch.address_bits)
        self._machine.hooks.run(FreeMdl(mdl), self._mdls.free, mdl)

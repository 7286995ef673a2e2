"""MDLs: IoAllocateMdl and IoFreeMdl over one pair of lists.

Source:
    [doc] IoAllocateMdl, Length, SecondaryBuffer and Irp; docs/sources.md, lists section 7.
    Choice, where only habit is public: an MDL of up to 23 pages has the fixed size.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.io_layouts import IO_LAYOUTS, LARGEST_MDL_BYTES, MDL_ALLOCATED_FIXED_SIZE
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT
from lookaside_sim.nt.types import PoolTag
from lookaside_sim.pool.kind import Pool
from lookaside_sim.system.io_pairs import IoPairs

MDL_TAG: Final = PoolTag(b"Mdl ")
VERIFIED_MDL_TAG: Final = PoolTag(b"VMdl")
"""What an MDL is tagged with while the verifier watches the caller: it comes from the pool."""
FIXED_MDL_PAGES: Final = 23


class Mdls:
    """MDLs of one machine.

    Args:
        machine: the machine.
        pool: where large ones come from.
        pairs: the lists.
    """

    __slots__ = ("_layout", "_machine", "_pairs", "_pool")

    def __init__(self, machine: Machine, pool: Pool, pairs: IoPairs) -> None:
        self._machine = machine
        self._pool = pool
        self._pairs = pairs
        self._layout = IO_LAYOUTS[machine.arch.name]

    def allocate(self, address: int, length: int, secondary: bool, irp: int) -> int:
        """IoAllocateMdl; 0 for NULL, also for a buffer of more than 4 GiB - PAGE_SIZE.

        Raises:
            BugCheck: the IRP, or the chain of its MDLs, cannot be touched.
        """
        if length > LARGEST_MDL_BYTES:
            return 0
        machine, layout = self._machine, self._layout
        pages = ((address & PAGE_MASK) + length + PAGE_MASK) >> PAGE_SHIFT
        size, flags = layout.mdl_size(pages), 0
        if machine.program.is_watched:
            pool_type = int(self._pairs.pool_type)
            mdl = self._pool.allocate_block(pool_type, size, VERIFIED_MDL_TAG)
        elif pages <= FIXED_MDL_PAGES:
            mdl = self._pairs.allocate_or_ask_pool(self._pairs.named("MDL"))
            flags = MDL_ALLOCATED_FIXED_SIZE
        else:
            mdl = self._pool.allocate_block(int(self._pairs.pool_type), size, MDL_TAG)
        if mdl:
            self._initialize(mdl, size, flags, address, length)
            if irp:
                machine.memory.write_pointer(self._place(irp, secondary), mdl)
        return mdl

    def _initialize(self, mdl: int, size: int, flags: int, address: int, length: int) -> None:
        """MmInitializeMdl, and the flags: Next is NULL."""
        pointer = self._machine.arch.pointer_size
        image = bytearray(self._layout.mdl)
        image[pointer : pointer + 2] = (size & 0xFFFF).to_bytes(2, "little")
        image[pointer + 2 : pointer + 4] = flags.to_bytes(2, "little")
        start = address & ~PAGE_MASK
        image[-8 - pointer : -8] = start.to_bytes(pointer, "little")  # StartVa
        image[-8:-4] = length.to_bytes(4, "little")  # ByteCount
        image[-4:] = (address & PAGE_MASK).to_bytes(4, "little")  # ByteOffset
        self._machine.memory.write(mdl, bytes(image))

    def _place(self, irp: int, secondary: bool) -> int:
        """Where the address of a new MDL goes: Irp->MdlAddress, or Next of its last MDL."""
        at = irp + self._layout.mdl_address
        if secondary:
            # The primary buffer has an MDL; without one NT follows NULL, and so does this.
            at = self._machine.memory.read_pointer(at)
            while following := self._machine.memory.read_pointer(at):
                at = following
        return at

    def free(self, mdl: int) -> None:
        """IoFreeMdl: the one MDL, whatever it is chained to."""
        machine = self._machine
        flags_at = mdl + machine.arch.pointer_size + 2
        flags = int.from_bytes(machine.memory.read(flags_at, 2), "little")
        if flags & MDL_ALLOCATED_FIXED_SIZE:
            self._pairs.free(self._pairs.named("MDL"), mdl)
        else:
            self._pool.free_block(mdl)

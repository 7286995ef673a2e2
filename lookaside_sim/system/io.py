"""The P and L lists: per-processor and shared lookaside lists of I/O structures.

IoAllocateIrp and IoAllocateMdl try the list P of the processor they run on, then the list L
that all processors share, then the pool; what is freed goes to P, else L, else the pool. Each
list counts its own calls and misses.

Source:
    docs/sources.md, lists section 7. Sizes of an IRP and its stack locations, and the offsets of
    its fields: [header] wdm.h. Choice, where only habit is public: small IRPs have 1 stack
    location, large ones up to 8, and an MDL of up to 23 pages has the fixed size.
"""

from __future__ import annotations

from typing import Final

import attrs

from lookaside_sim.errors import InvariantError
from lookaside_sim.lookaside.built_in import BuiltInList
from lookaside_sim.lookaside.check import chain
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_MASK, PAGE_SHIFT
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.pool.kind import Pool
from lookaside_sim.system.calls import AllocateIrp, AllocateMdl, FreeIrp, FreeMdl
from lookaside_sim.system.quota import Quota

IRP_TAG: Final = PoolTag(b"Irp ")
MDL_TAG: Final = PoolTag(b"Mdl ")
VERIFIED_MDL_TAG: Final = PoolTag(b"VMdl")
"""What an MDL is tagged with while the verifier watches the caller: it comes from the pool."""
SMALL_IRP_LOCATIONS: Final = 1
LARGE_IRP_LOCATIONS: Final = 8
FIXED_MDL_PAGES: Final = 23
IO_TYPE_IRP: Final = 6
_FIXED_SIZE: Final = 0x04  # IRP.AllocationFlags: IRP_ALLOCATED_FIXED_SIZE
_LOOKASIDE: Final = 0x08  # IRP.AllocationFlags: IRP_LOOKASIDE_ALLOCATION
_MDL_FIXED_SIZE: Final = 0x0008  # MDL.MdlFlags: MDL_ALLOCATED_FIXED_SIZE
_L_OFFSET: Final = 0x8000  # where the L lists lie, behind the P lists of the first processor


@attrs.frozen
class _Layout:
    """Sizes and offsets of an IRP and an MDL on one machine."""

    irp: int
    stack_location: int
    stack_count: int
    allocation_flags: int
    mdl: int
    mdl_page: int


_LAYOUTS: Final = {
    "x64": _Layout(0xD0, 0x48, 0x42, 0x47, 0x30, 8),
    "x86": _Layout(0x70, 0x24, 0x22, 0x27, 0x1C, 4),
}


@attrs.frozen
class ListPair:
    """One use: a P list for each processor, and the L list.

    Attributes:
        name: what it is for.
        per_processor: the P lists.
        shared: the L list.
    """

    name: str
    per_processor: tuple[BuiltInList, ...]
    shared: BuiltInList


class IoLists:
    """The pairs for small IRPs, large IRPs and MDLs.

    Args:
        machine: the machine.
        pool: where entries come from.
        quota: where charged IRPs come from.

    Attributes:
        small_irp: IRPs with 1 stack location.
        large_irp: IRPs with up to 8.
        mdl: MDLs of the fixed size.
    """

    __slots__ = (
        "_layout",
        "_machine",
        "_pool",
        "_quota",
        "large_irp",
        "mdl",
        "small_irp",
    )

    def __init__(self, machine: Machine, pool: Pool, quota: Quota) -> None:
        self._machine = machine
        self._pool = pool
        self._quota = quota
        self._layout = layout = _LAYOUTS[machine.arch.name]
        self.small_irp = self._pair(0, "small IRP", IRP_TAG, self.irp_size(SMALL_IRP_LOCATIONS))
        self.large_irp = self._pair(1, "large IRP", IRP_TAG, self.irp_size(LARGE_IRP_LOCATIONS))
        self.mdl = self._pair(2, "MDL", MDL_TAG, layout.mdl + FIXED_MDL_PAGES * layout.mdl_page)

    def _pair(self, index: int, name: str, tag: PoolTag, size: int) -> ListPair:
        arch, memory = self._machine.arch, self._machine.memory
        start = arch.processor_blocks_start + index * arch.lookaside_size
        lists = [
            BuiltInList(arch, address, PoolType.NonPagedPoolNx, tag, size, counts_hits=False)
            for address in (
                start + _L_OFFSET,
                *(
                    start + processor * 0x10000
                    for processor in range(self._machine.processors.count)
                ),
            )
        ]
        for each in lists:
            memory.attach(each)
        return ListPair(name, tuple(lists[1:]), lists[0])

    @property
    def pairs(self) -> tuple[ListPair, ListPair, ListPair]:
        """All of them, in KPRCB order."""
        return self.small_irp, self.large_irp, self.mdl

    @property
    def held(self) -> int:
        """Entries that wait on all of them."""
        return sum(
            each.current_depth
            for pair in self.pairs
            for each in (*pair.per_processor, pair.shared)
        )

    # --- the pair's two routines ---------------------------------------------------------

    def allocate(self, pair: ListPair) -> int:
        """Take an entry from P, else L, else the pool; 0 for NULL."""
        for each in (pair.per_processor[self._machine.processors.current], pair.shared):
            entry = each.try_allocate()
            if entry:
                each.took(self._machine.memory.read_pointer(entry))
                return entry
        shared = pair.shared
        return self._pool.allocate_block(int(shared.type), shared.size, shared.tag)

    def free(self, pair: ListPair, entry: int) -> None:
        """Give an entry to P, else L, else the pool."""
        for each in (pair.per_processor[self._machine.processors.current], pair.shared):
            if each.try_free():
                self._machine.memory.write_pointer(entry, each.first)
                each.put(entry)
                return
        self._pool.free_block(entry)

    def scan(self, processor: int | None, period: int) -> bool:
        """Adjust the depth of the P lists of a processor, or of the L lists for None."""
        changed = False
        for pair in self.pairs:
            each = pair.shared if processor is None else pair.per_processor[processor]
            changed |= each.adjust_depth(period)
        return changed

    # --- IRPs ----------------------------------------------------------------------------

    def irp_size(self, locations: int) -> int:
        """Bytes of an IRP with so many stack locations."""
        return self._layout.irp + locations * self._layout.stack_location

    def allocate_irp(self, stack_size: int, charge_quota: bool = False) -> int:
        """IoAllocateIrp.

        Args:
            stack_size: stack locations, 1 to 127.
            charge_quota: charge the current process; such an IRP comes from the pool.

        Returns:
            Address of the initialized IRP, 0 for NULL.

        Raises:
            ValueError: an impossible number of stack locations.
        """
        self._machine.check_running()
        if not 1 <= stack_size <= 127:
            raise ValueError(f"stack size {stack_size}: give 1 to 127 locations")
        call = AllocateIrp(stack_size, charge_quota)
        return self._machine.hooks.run(call, self._allocate_irp, stack_size, charge_quota)

    def _allocate_irp(self, stack_size: int, charge_quota: bool) -> int:
        pair = self._irp_pair(stack_size)
        verified = self._machine.program.is_watched
        locations, flags = stack_size, 0
        if pair is None or charge_quota or verified:
            size = self.irp_size(locations)
            pool_type = PoolType.NonPagedPoolNx
            if charge_quota:
                quiet = pool_type | PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
                irp = self._quota.serve(int(quiet), size, IRP_TAG)
            else:
                irp = self._pool.allocate_block(int(pool_type), size, IRP_TAG) or None
        else:
            size = pair.shared.size
            locations = (size - self._layout.irp) // self._layout.stack_location
            irp, flags = self.allocate(pair) or None, _FIXED_SIZE | _LOOKASIDE
        if irp is None:
            return 0
        layout = self._layout
        image = bytearray(self.irp_size(stack_size))
        image[0:2] = IO_TYPE_IRP.to_bytes(2, "little")
        image[2:4] = (size & 0xFFFF).to_bytes(2, "little")
        image[layout.stack_count] = stack_size
        image[layout.stack_count + 1] = stack_size + 1  # CurrentLocation
        image[layout.allocation_flags] = flags
        self._machine.memory.write(irp, bytes(image))
        return irp

    def free_irp(self, irp: int) -> None:
        """IoFreeIrp.

        Raises:
            BugCheck: MULTIPLE_IRP_COMPLETE_REQUESTS for memory that is no IRP (any more).
        """
        self._machine.check_running()
        self._machine.hooks.run(FreeIrp(irp), self._free_irp, irp)

    def _free_irp(self, irp: int) -> None:
        machine, layout = self._machine, self._layout
        head = machine.memory.read(irp, layout.allocation_flags + 1)
        if int.from_bytes(head[:2], "little") != IO_TYPE_IRP:
            machine.stop(
                BugCheckCode.MULTIPLE_IRP_COMPLETE_REQUESTS,
                (irp, 0, 0, 0),
                f"the IRP at {irp:#x} was freed, and is none (any more)",
            )
        machine.memory.write(irp, bytes(2))  # Type: the next free of it is noticed
        size = int.from_bytes(head[2:4], "little")
        if head[layout.allocation_flags] & _LOOKASIDE:
            pair = self.small_irp if size == self.small_irp.shared.size else self.large_irp
            self.free(pair, irp)
        else:
            self._pool.free_block(irp)

    def _irp_pair(self, stack_size: int) -> ListPair | None:
        if stack_size <= SMALL_IRP_LOCATIONS:
            return self.small_irp
        return self.large_irp if stack_size <= LARGE_IRP_LOCATIONS else None

    # --- MDLs ----------------------------------------------------------------------------

    def allocate_mdl(self, address: int, length: int) -> int:
        """IoAllocateMdl, without an IRP to associate it with.

        Args:
            address: start of the buffer it describes.
            length: bytes of the buffer.

        Returns:
            Address of the MDL, 0 for NULL.
        """
        self._machine.check_running()
        if length < 0 or address < 0:
            raise ValueError(f"a buffer of {length} bytes at {address:#x}")
        call = AllocateMdl(address, length)
        return self._machine.hooks.run(call, self._allocate_mdl, address, length)

    def _allocate_mdl(self, address: int, length: int) -> int:
        machine, layout = self._machine, self._layout
        pages = ((address & PAGE_MASK) + length + PAGE_MASK) >> PAGE_SHIFT
        size, flags = layout.mdl + pages * layout.mdl_page, 0
        if machine.program.is_watched:
            pool_type = int(PoolType.NonPagedPoolNx)
            mdl = self._pool.allocate_block(pool_type, size, VERIFIED_MDL_TAG)
        elif pages <= FIXED_MDL_PAGES:
            mdl, flags = self.allocate(self.mdl), _MDL_FIXED_SIZE
        else:
            mdl = self._pool.allocate_block(int(PoolType.NonPagedPoolNx), size, MDL_TAG)
        if mdl:
            pointer = machine.arch.pointer_size
            image = bytearray(layout.mdl)
            image[pointer : pointer + 2] = (size & 0xFFFF).to_bytes(2, "little")
            image[pointer + 2 : pointer + 4] = flags.to_bytes(2, "little")
            start = address & ~PAGE_MASK
            image[-8 - pointer : -8] = start.to_bytes(pointer, "little")  # StartVa
            image[-8:-4] = (length & 0xFFFF_FFFF).to_bytes(4, "little")  # ByteCount
            image[-4:] = (address & PAGE_MASK).to_bytes(4, "little")  # ByteOffset
            machine.memory.write(mdl, bytes(image))
        return mdl

    def free_mdl(self, mdl: int) -> None:
        """IoFreeMdl."""
        self._machine.check_running()
        self._machine.hooks.run(FreeMdl(mdl), self._free_mdl, mdl)

    def _free_mdl(self, mdl: int) -> None:
        machine = self._machine
        flags_at = mdl + machine.arch.pointer_size + 2
        flags = int.from_bytes(machine.memory.read(flags_at, 2), "little")
        if flags & _MDL_FIXED_SIZE:
            self.free(self.mdl, mdl)
        else:
            self._pool.free_block(mdl)

    def check(self) -> None:
        """Verify that each list holds as many entries as it says.

        Raises:
            InvariantError: the first that does not.
        """
        for pair in self.pairs:
            for each in (*pair.per_processor, pair.shared):
                whose = f"a {pair.name} list"
                held = sum(1 for _ in chain(self._machine.memory, each.first, whose))
                if held != each.current_depth:
                    raise InvariantError(
                        f"{whose} says it holds {each.current_depth} entries, holds {held}"
                    )

"""IRPs: IoAllocateIrp and IoFreeIrp over three pairs of lists.

An IRP with the size of a list's entries is fixed: it comes from and goes to the lists, also
where the list was empty and the pool gave it. A charged one that a list gave costs its process
nothing; the processor lends it, from LookasideIrpFloat, until it is freed.

Source:
    [doc] IoAllocateIrp; docs/sources.md, lists section 7. Choice, where no source gives numbers:
    each processor lends 1,024 IRPs; the large size becomes the most locations that were
    asked for in the minute before, and never shrinks; IRPs of the size before go to the pool;
    a charged IRP that comes from the pool carries IRP_QUOTA_CHARGED.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.io_layouts import (
    IO_LAYOUTS,
    IO_TYPE_IRP,
    IRP_ALLOCATED_FIXED_SIZE,
    IRP_LOOKASIDE_ALLOCATION,
    IRP_QUOTA_CHARGED,
)
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.pool.kind import Pool
from lookaside_sim.system.io_pairs import IoPairs, ListPair
from lookaside_sim.system.quota import Quota

IRP_TAG: Final = PoolTag(b"Irp ")
"""What an IRP is tagged with that no list's size fits, or while the verifier watches."""
SMALL_IRP_LOCATIONS: Final = 1
MEDIUM_IRP_LOCATIONS: Final = 4
LARGE_IRP_LOCATIONS: Final = 10
"""Where the large size starts."""
LARGEST_IRP_LOCATIONS: Final = 20
"""Where it ends."""
IRP_FLOAT: Final = 1024
_MINUTE: Final = 60


class Irps:
    """IRPs of one machine.

    Args:
        machine: the machine.
        pool: where they come from that no list gives.
        quota: where charged ones come from then.
        pairs: the lists.

    Attributes:
        large_locations: stack locations of a large IRP now.
        floats: LookasideIrpFloat of each processor: how many charged IRPs it still lends.
    """

    __slots__ = (
        "_asked",
        "_layout",
        "_machine",
        "_pairs",
        "_pool",
        "_quota",
        "floats",
        "large_locations",
    )

    def __init__(self, machine: Machine, pool: Pool, quota: Quota, pairs: IoPairs) -> None:
        self._machine = machine
        self._pool = pool
        self._quota = quota
        self._pairs = pairs
        self._layout = IO_LAYOUTS[machine.arch.name]
        self.large_locations = LARGE_IRP_LOCATIONS
        self.floats = [IRP_FLOAT] * machine.processors.count
        self._asked = 0
        machine.each_second.append(self._adapt)

    def pair_for(self, stack_size: int) -> ListPair | None:
        """The lists of IRPs with so many stack locations; None for none."""
        if stack_size <= SMALL_IRP_LOCATIONS:
            return self._pairs.named("small IRP")
        if stack_size <= MEDIUM_IRP_LOCATIONS and self._pairs.has_medium_irps:
            return self._pairs.named("medium IRP")
        return self._pairs.named("large IRP") if stack_size <= self.large_locations else None

    def allocate(self, stack_size: int, charge_quota: bool) -> int:
        """IoAllocateIrp; 0 for NULL."""
        self._asked = max(self._asked, stack_size)
        pair = self.pair_for(stack_size)
        size = self._layout.irp_size(stack_size)
        irp, flags = 0, 0
        if pair is not None and not self._machine.program.is_watched:
            size, flags = pair.shared.size, IRP_ALLOCATED_FIXED_SIZE
            processor = self._machine.processors.current
            if not charge_quota or self.floats[processor] > 0:
                irp = self._pairs.allocate(pair)
            if irp and charge_quota:
                self.floats[processor] -= 1
                flags |= IRP_LOOKASIDE_ALLOCATION
        if not irp:
            irp = self._from_pool(
                size, IRP_TAG if pair is None else pair.shared.tag, charge_quota
            )
            flags |= IRP_QUOTA_CHARGED if charge_quota else 0
        if irp:
            self._initialize(irp, size, stack_size, flags)
        return irp

    def _from_pool(self, size: int, tag: PoolTag, charge_quota: bool) -> int:
        pool_type = int(self._pairs.pool_type)
        if self._machine.program.is_watched:
            tag = IRP_TAG
        if charge_quota:
            quiet = pool_type | PoolType.POOL_QUOTA_FAIL_INSTEAD_OF_RAISE
            return self._quota.serve(int(quiet), size, tag) or 0
        return self._pool.allocate_block(pool_type, size, tag)

    def _initialize(self, irp: int, size: int, stack_size: int, flags: int) -> None:
        """IoInitializeIrp: zeroes but for what every IRP begins its life with."""
        layout, pointer = self._layout, self._machine.arch.pointer_size
        last = (1 << self._machine.arch.address_bits) - 1  # an overwritten list led to its end
        used = layout.irp_size(stack_size)
        image = bytearray(used)
        image[0:2] = IO_TYPE_IRP.to_bytes(2, "little")
        image[2:4] = (size & 0xFFFF).to_bytes(2, "little")
        empty = (irp + layout.thread_list_entry & last).to_bytes(pointer, "little")
        at = layout.thread_list_entry
        image[at : at + 2 * pointer] = empty * 2
        image[layout.stack_count] = stack_size
        image[layout.stack_count + 1] = stack_size + 1  # CurrentLocation
        image[layout.allocation_flags] = flags
        at = layout.current_stack_location
        image[at : at + pointer] = (irp + used & last).to_bytes(pointer, "little")
        self._machine.memory.write(irp, bytes(image))

    def free(self, irp: int) -> None:
        """IoFreeIrp.

        Raises:
            BugCheck: MULTIPLE_IRP_COMPLETE_REQUESTS for memory that is no IRP (any more).
        """
        machine, layout = self._machine, self._layout
        head = machine.memory.read(irp, layout.allocation_flags + 1)
        if int.from_bytes(head[:2], "little") != IO_TYPE_IRP:
            machine.stop(
                BugCheckCode.MULTIPLE_IRP_COMPLETE_REQUESTS,
                (irp, 0, 0, 0),
                f"the IRP at {irp:#x} was freed, and is none (any more)",
            )
        machine.memory.write(irp, bytes(2))  # Type: the next free of it is noticed
        size, flags = int.from_bytes(head[2:4], "little"), head[layout.allocation_flags]
        if flags & IRP_LOOKASIDE_ALLOCATION:
            self.floats[machine.processors.current] += 1
        pair = self._pair_of_size(size) if flags & IRP_ALLOCATED_FIXED_SIZE else None
        # What is billed to a process goes to the pool, where the process gets its quota back.
        if pair is None or flags & IRP_QUOTA_CHARGED:
            self._pool.free_block(irp)
        else:
            self._pairs.free(pair, irp)

    def _pair_of_size(self, size: int) -> ListPair | None:
        for pair in self._pairs.all:
            if pair.name.endswith("IRP") and pair.shared.size == size:
                return pair
        return None

    def _adapt(self) -> None:
        """Once a minute: make large IRPs as large as what was asked for since the last time."""
        if self._machine.seconds % _MINUTE:
            return
        asked, self._asked = min(self._asked, LARGEST_IRP_LOCATIONS), 0
        if asked > self.large_locations:
            pair = self._pairs.named("large IRP")
            self._pairs.drain(pair)
            self.large_locations = asked
            for each in pair.lists:
                each.resize(self._layout.irp_size(asked))

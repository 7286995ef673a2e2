"""Who allocated each live block, where, and what became of the freed ones.

Kept beside the pool from the moment somebody needs it: a driver was loaded, the verifier was
switched on, or the kernel was made with ``track_pool=True``. NT has this only under the
verifier's pool tracking; without it, it changes nothing but messages and `Driver.pool`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from lookaside_sim.errors import LeakedBlock
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.machine.program import Image, Program
from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.nt.types import PoolTag, PoolType
from lookaside_sim.pool.kind import Pool
from lookaside_sim.pool.plans import PoolPlan
from lookaside_sim.pool.requests import Layer, Order

LOG_ENTRIES: Final = 0x10000
"""Freed blocks that are remembered, as many as the verifier's log of frees has entries."""


class BlockRecord:
    """One allocation.

    A class without ceremony, as one is made for every call: tag and type become values with
    names when somebody asks. It does not change any more once its call is over.

    Args:
        address: of its body.
        size: bytes asked for.
        tag: its tag.
        pool_type: the type asked for, modifier bits included.
        owner: the driver that allocated it, None for code outside any driver.
        call_site: where in the program.
        serial: number of the allocation, from 1.
        verified: whether the verifier watched the allocation.

    Attributes:
        address: as given.
        size: as given.
        owner: as given.
        call_site: as given.
        serial: as given.
        verified: as given.
    """

    __slots__ = (
        "_pool_type",
        "_tag",
        "address",
        "call_site",
        "owner",
        "serial",
        "size",
        "verified",
    )

    def __init__(
        self,
        address: int,
        size: int,
        tag: int,
        pool_type: int,
        owner: Image | None,
        call_site: CallSite,
        serial: int,
        verified: bool = False,
    ) -> None:
        self.address = address
        self.size = size
        self._tag = tag
        self._pool_type = pool_type
        self.owner = owner
        self.call_site = call_site
        self.serial = serial
        self.verified = verified

    @property
    def tag(self) -> PoolTag:
        """Its tag."""
        return PoolTag(self._tag)

    @property
    def pool_type(self) -> PoolType:
        """The type asked for, modifier bits included."""
        return PoolType(self._pool_type)

    def __repr__(self) -> str:
        return f"<BlockRecord {self.serial}: {self}>"

    def __str__(self) -> str:
        kind = "paged" if self.pool_type.is_paged else "nonpaged"
        text = f"the {self.size}-byte {kind} block {self.tag!s} at {self.address:#x}"
        text += f", allocated in {self.call_site}"
        if self.owner is not None:
            text += f" by {self.owner.name}"
        return text


class BlockLedger:
    """The live blocks since the ledger was opened, and the newest of the freed ones.

    Args:
        pool: whose requests it takes note of, once it is opened, and whose stops it explains.
        program: whose code asks.

    Attributes:
        is_open: whether it takes notes.
        live: the record of each live block, by address, in order of allocation.
        freed: the last record of each freed address and where it was freed, oldest free first.
    """

    __slots__ = ("_pool", "_program", "_serial", "freed", "is_open", "live")

    def __init__(self, pool: Pool, program: Program) -> None:
        self._pool = pool
        self._program = program
        self.is_open = False
        self.live: dict[int, BlockRecord] = {}
        self.freed: OrderedDict[int, tuple[BlockRecord, CallSite]] = OrderedDict()
        self._serial = 0

    def open(self) -> None:
        """Take notes from now on."""
        if not self.is_open:
            self.is_open = self._program.notes_sites = True
            self._pool.know_blocks(self)
            self._pool.requests.put(LedgerLayer(self._program, self))

    def add(
        self,
        address: int,
        size: int,
        tag: int,
        pool_type: int,
        owner: Image | None,
        site: CallSite,
        *,
        verified: bool = False,
    ) -> BlockRecord:
        """Record an allocation."""
        self._serial += 1
        record = BlockRecord(address, size, tag, pool_type, owner, site, self._serial, verified)
        self.live[address] = record
        return record

    def remove(self, address: int, site: CallSite) -> BlockRecord | None:
        """Record a free.

        Returns:
            The block's record, None for a block older than the ledger.
        """
        record = self.live.pop(address, None)
        if record is not None:
            self.freed.pop(address, None)
            self.freed[address] = record, site
            if len(self.freed) > LOG_ENTRIES:
                self.freed.popitem(last=False)
        return record

    def describe(self, address: int) -> str:
        """What is known of the block at an address: a noun phrase."""
        record = self.live.get(address)
        return self.describe_freed(address) if record is None else str(record)

    def describe_freed(self, address: int) -> str:
        """What is known of the freed block at an address, whatever is there now."""
        found = self.freed.get(address)
        if found is None:
            return f"the block at {address:#x}"
        record, site = found
        return f"{record}, freed in {site}"

    def known(self, address: int) -> str:
        """What is known of the block at an address, live or freed; empty for nothing."""
        is_known = address in self.live or address in self.freed
        return self.describe(address) if is_known else ""

    def known_before(self, address: int) -> str:
        """What is known of the live block in front of an address, in its page; empty for nothing."""
        page = address >> PAGE_SHIFT
        near = [each for each in self.live if each >> PAGE_SHIFT == page and each < address]
        return str(self.live[max(near)]) if near else ""

    def owned_by(self, driver: Image | None) -> Iterator[BlockRecord]:
        """The live blocks of one driver, oldest first."""
        return (record for record in self.live.values() if record.owner is driver)


class LedgerLayer(Layer):
    """Takes note of each request that was served.

    Args:
        program: whose code asks.
        ledger: gets the notes.
    """

    __slots__ = ("_ledger", "_program")

    order: ClassVar[Order] = Order.LEDGER

    def __init__(self, program: Program, ledger: BlockLedger) -> None:
        self._program = program
        self._ledger = ledger

    def allocate(self, plan: PoolPlan) -> int:
        """Serve, then take note."""
        address = self.below.allocate(plan)
        if address:
            request = plan.request
            running = self._program.running
            self._ledger.add(
                address,
                request.size,
                request.tag,
                request.pool_type,
                running[-1] if running else None,
                self._program.call_site(),
            )
        return address

    def free(self, address: int, tag: int = 0) -> None:
        """Free, then take note."""
        self.below.free(address, tag)
        self._ledger.remove(address, self._program.call_site())


def leak_table(leaks: Sequence[LeakedBlock]) -> str:
    """Print blocks as the pool allocation list of ``!verifier 3`` does.

    Returns:
        A heading and one line a block, without a final newline.
    """
    lines = [
        "Address             Length      Tag   Caller",
        "------------------  ----------  ----  ------",
    ]
    lines += [
        f"{leak.address:#018x}  {leak.size:#010x}  {leak.tag!s}  {leak.call_site}"
        for leak in leaks
    ]
    return "\n".join(lines)

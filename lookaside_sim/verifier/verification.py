"""Driver Verifier at work on one kernel.

What happens when it is switched on, at boot or later: the minimum depth of lookaside lists
becomes 0 and every list gets Depth 0 and MaximumDepth 0xFFFF, so that each free goes to the
pool and each allocation comes from it. The pool asks this object before and after each call
(`lookaside_sim.pool.managed`), lists and IRQL changes report to it.

Whose code is watched: the drivers that the settings name; all, and the code outside any
driver, when they name none. A free is also watched when the block was allocated under watch.

Source:
    docs/sources.md, pool sections 6 and 7, docs/sources.md, lists section 9. Choice: Depth 0 extends to all
    lists, whoever they belong to, as NT's routine walks the system-wide lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from lookaside_sim.errors import NtStatusError
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.nt.types import NONE_TAG, NtStatus, PoolTag, PoolType
from lookaside_sim.nt.violations import Violation
from lookaside_sim.verifier.low_resources import LowResources
from lookaside_sim.verifier.settings import Verifier, VerifierFlags, matches
from lookaside_sim.verifier.special_pool import SpecialBlock, SpecialPool

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel
    from lookaside_sim.lookaside import LookasideList
    from lookaside_sim.pool.ledger import BlockRecord
    from lookaside_sim.pool.manager import PoolAllocation
    from lookaside_sim.system.drivers import Driver

_NAME_OFFSET: Final = 0x200  # of a driver's name in its image
_SLACK_PATTERN: Final = 0xB6
"""What the bytes behind a tracked block's data hold, up to the block's end. Choice."""
_TAG_LACKS_LETTERS: Final = 0x9D  # BAD_POOL_CALLER, parameter 1
_LIST_CHECKS: Final = (
    VerifierFlags.MISCELLANEOUS_CHECKS
    | VerifierFlags.POOL_TRACKING
    | VerifierFlags.SPECIAL_POOL
)
"""Options that bring the checks of lookaside lists. Choice: the documentation names
miscellaneous checks and the pool options."""


@attrs.define(on_setattr=attrs.setters.NO_OP)
class PoolUse:
    """Tracked pool of one driver, or of all: nonpaged, then paged."""

    allocations: list[int] = attrs.field(factory=lambda: [0, 0])
    bytes: list[int] = attrs.field(factory=lambda: [0, 0])
    peak_allocations: list[int] = attrs.field(factory=lambda: [0, 0])
    peak_bytes: list[int] = attrs.field(factory=lambda: [0, 0])

    def add(self, *, paged: bool, size: int) -> None:
        """Count an allocation."""
        self.allocations[paged] += 1
        self.bytes[paged] += size
        self.peak_allocations[paged] = max(
            self.peak_allocations[paged], self.allocations[paged]
        )
        self.peak_bytes[paged] = max(self.peak_bytes[paged], self.bytes[paged])

    def remove(self, *, paged: bool, size: int) -> None:
        """Count a free."""
        self.allocations[paged] -= 1
        self.bytes[paged] -= size


@attrs.define(on_setattr=attrs.setters.NO_OP)
class VerifierCounters:
    """What ``!verifier`` shows of SYSTEM_VERIFIER_INFORMATION."""

    raise_irqls: int = 0
    acquire_spin_locks: int = 0
    synch_executions: int = 0
    trims: int = 0
    allocations_attempted: int = 0
    allocations_succeeded: int = 0
    allocations_succeeded_special_pool: int = 0
    allocations_with_no_tag: int = 0
    allocations_failed: int = 0
    allocations_failed_deliberately: int = 0
    unloads: int = 0


class Verification:
    """The verifier of one kernel. Obtained as `Kernel.verification`.

    Args:
        kernel: the machine.
        verifier: the settings.

    Attributes:
        verifier: as given.
        counters: the verifier's statistics.
        use: tracked pool of everybody.
        use_of: tracked pool of each driver; None is the code outside any.
        special_pool: None when the option is off.
        low_resources: None when neither variant is on.
        trimmed: whether pageable memory is out of memory now.
    """

    __slots__ = (
        "_kernel",
        "_slack",
        "counters",
        "low_resources",
        "special_pool",
        "trimmed",
        "use",
        "use_of",
        "verifier",
    )

    def __init__(self, kernel: Kernel, verifier: Verifier) -> None:
        self._kernel = kernel
        self.verifier = verifier
        self.counters = VerifierCounters()
        self.use = PoolUse()
        self.use_of: dict[Driver | None, PoolUse] = {}
        self.trimmed = False
        self._slack: dict[int, tuple[int, int]] = {}
        flags = verifier.flags
        self.special_pool = (
            SpecialPool(kernel, verifier.special_pool_pages)
            if flags & VerifierFlags.SPECIAL_POOL
            else None
        )
        self.low_resources = (
            LowResources(verifier)
            if flags
            & (VerifierFlags.LOW_RESOURCES_SIMULATION | VerifierFlags.SYSTEMATIC_LOW_RESOURCES)
            else None
        )

    # --- whom it watches -----------------------------------------------------------------

    def covers(self, driver: Driver | None) -> bool:
        """Whether a driver, or None for the code outside any, is verified."""
        return self.verifier.covers(None if driver is None else driver.name)

    def watches_caller(self) -> bool:
        """Whether the code that runs now is verified."""
        return self.covers(self._kernel.drivers.current)

    def has(self, flag: VerifierFlags) -> bool:
        """Whether an option is on."""
        return bool(self.verifier.flags & flag)

    def stop(
        self, violation: Violation, parameters: tuple[int, int, int], message: str
    ) -> NoReturn:
        """Stop the machine for a violation.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION.
        """
        self._kernel.stop(
            BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION,
            (int(violation), *parameters),
            f"{message} ({self._where()})",
        )

    def _where(self) -> str:
        drivers = self._kernel.drivers
        current = drivers.current
        where = f"in {drivers.call_site()}"
        return where if current is None else f"{where} of {current.name}"

    # --- allocations ---------------------------------------------------------------------

    def check_allocate(self, pool_type: int, size: int, tag: int) -> None:
        """The checks of an allocating routine, in verified code.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0 to 3, 0x61, 0x2000) or
                BAD_POOL_CALLER (0x9D).
        """
        kernel, gate = self._kernel, self._kernel.gate
        self.counters.allocations_attempted += 1
        self.counters.allocations_with_no_tag += tag in (0, NONE_TAG)
        asked = f"{size} bytes of pool type {pool_type:#x}, tag {PoolTag(tag)!s}"
        if not size:
            self.stop(Violation.ZERO_BYTES, (gate, pool_type, 0), f"asked for {asked}")
        if pool_type & 1 and gate > 1:
            self.stop(
                Violation.ALLOCATE_PAGED_ABOVE_APC_LEVEL,
                (gate, pool_type, size),
                f"asked for {asked}, at IRQL {gate}",
            )
        if gate > 2:
            self.stop(
                Violation.ALLOCATE_ABOVE_DISPATCH_LEVEL,
                (gate, pool_type, size),
                f"asked for {asked}, at IRQL {gate}",
            )
        if pool_type & PoolType.NonPagedPoolMustSucceed and size > PAGE_SIZE:
            self.stop(
                Violation.MUST_SUCCEED_TOO_LARGE,
                (0, 0, 0),
                f"asked for {asked}, more than a page of must-succeed pool",
            )
        executable = not pool_type & (PoolType.PagedPool | PoolType.NonPagedPoolNx)
        if executable and self.has(VerifierFlags.CODE_INTEGRITY_CHECKS):
            self.stop(
                Violation.EXECUTABLE_POOL,
                (kernel.drivers.call_site().address, pool_type, tag),
                f"asked for {asked}, which is executable",
            )
        if not self.has(VerifierFlags.POOL_TRACKING):
            return
        driver = kernel.drivers.current
        if driver is not None and not driver.loaded:
            left = list(driver.pool)
            paged = sum(each.size for each in left if each.pool_type.is_paged)
            self.stop(
                Violation.ALLOCATE_WHILE_UNLOADING,
                (paged, sum(each.size for each in left) - paged, len(left)),
                f"asked for {asked}, after {driver.name} was unloaded",
            )
        text = int(tag).to_bytes(4, "little").decode("latin-1")
        if tag and not any(c.isascii() and c.isalnum() for c in text):
            kernel.stop(
                BugCheckCode.BAD_POOL_CALLER,
                (_TAG_LACKS_LETTERS, tag, pool_type, kernel.drivers.call_site().address),
                f"asked for {asked}, a tag without a letter or digit",
            )

    def injects_failure(self, pool_type: int, size: int, tag: int) -> bool:
        """Whether low resources simulation fails this allocation.

        Raises:
            NtStatusError: it does, and the type asks for an exception. Choice: NT's
                documentation does not exempt such requests.
        """
        if self.low_resources is None:
            return False
        kernel = self._kernel
        process = kernel.processes.current.name
        if not self.low_resources.fails(size, PoolTag(tag), kernel.seconds, process):
            return False
        self.counters.allocations_failed_deliberately += 1
        if pool_type & PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE:
            raise NtStatusError(
                NtStatus.STATUS_INSUFFICIENT_RESOURCES,
                f"low resources simulation failed the request for {size} bytes",
            )
        return True

    def allocate_special(
        self, pool_type: int, size: int, tag: int, *, at_start: bool | None
    ) -> SpecialBlock | None:
        """Serve a request from special pool, if it can be.

        Args:
            pool_type: the type asked for.
            size: bytes.
            tag: tag.
            at_start: where in the page, None for what the settings say.
        """
        special = self.special_pool
        if special is None or not matches(PoolTag(tag), self.verifier.special_pool_tags):
            return None
        if at_start is None:
            at_start = self.verifier.special_pool_start
        block = special.allocate(pool_type, size, tag, at_start=at_start)
        if block is not None:
            self.counters.allocations_succeeded_special_pool += 1
        return block

    def allocated(self, record: BlockRecord, block: PoolAllocation | None) -> None:
        """A verified allocation succeeded.

        Args:
            record: the ledger's entry.
            block: the block in the ordinary pool; None for one in special pool.
        """
        self.counters.allocations_succeeded += 1
        for use in (self.use, self.use_of.setdefault(record.owner, PoolUse())):
            use.add(paged=record.pool_type.is_paged, size=record.size)
        if block is None or not self.has(VerifierFlags.POOL_TRACKING):
            return
        arch = self._kernel.arch
        if record.size > arch.pool_header.largest_request:
            return
        slack = block.block_size - arch.pool_header.size - record.size
        if slack > 0:
            start = record.address + record.size
            self._kernel.memory.write(start, bytes([_SLACK_PATTERN]) * slack)
            self._slack[record.address] = (start, slack)

    # --- frees ---------------------------------------------------------------------------

    def check_free(
        self, address: int, record: BlockRecord | None, block: PoolAllocation | None
    ) -> None:
        """The checks of a freeing routine, in verified code or of a verified block.

        Args:
            address: what is freed.
            record: the ledger's entry of the live block there.
            block: the live block there, as the ordinary pool knows it.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION.
        """
        kernel, gate = self._kernel, self._kernel.gate
        ledger = kernel.ledger
        assert ledger is not None
        described = ledger.describe(address)
        if record is not None:
            pool_type, size = int(record.pool_type), record.size
        elif block is not None:
            pool_type, size = int(block.pool_type), block.size
        else:
            self._stop_unknown(address, described)
        if pool_type & 1 and gate > 1:
            self.stop(
                Violation.FREE_PAGED_ABOVE_APC_LEVEL,
                (gate, pool_type & 1, address),
                f"{described} was freed at IRQL {gate}",
            )
        if gate > 2:
            self.stop(
                Violation.FREE_ABOVE_DISPATCH_LEVEL,
                (gate, pool_type & 1, address),
                f"{described} was freed at IRQL {gate}",
            )
        self._check_contents(address, size, pool_type, described)

    def _check_contents(self, address: int, size: int, pool_type: int, described: str) -> None:
        """Look for what must not be in a block that is freed."""
        kernel = self._kernel
        if self.verifier.flags & _LIST_CHECKS:
            for lookaside in kernel.registry.embedded():
                if address <= lookaside.address < address + size:
                    self.stop(
                        Violation.FREE_WITH_ACTIVE_LIST,
                        (lookaside.address, address, size),
                        f"{described} was freed with the active lookaside list"
                        f" {lookaside.name!r} at {lookaside.address:#x} in it",
                    )
        kernel.objects.check_memory(address, size, pool_type, described)
        slack = self._slack.get(address)
        if slack is not None:
            start, length = slack
            found = kernel.memory.read(start, length)
            for at, byte in enumerate(found):
                if byte != _SLACK_PATTERN:
                    self.stop(
                        Violation.WRITTEN_PAST_END,
                        (address, start + at, size),
                        f"{described} was written {start + at - address - size} bytes past"
                        f" its end, at {start + at:#x}; noticed on the free",
                    )

    def _stop_unknown(self, address: int, described: str) -> NoReturn:
        """Stop for a free of what is no live block.

        Choice: 0x16 for NULL and addresses below system space, 0x10 for others.
        """
        kernel = self._kernel
        arch = kernel.arch
        ledger = kernel.ledger
        assert ledger is not None
        if address in ledger.freed:
            header = address - arch.pool_header.size
            contents = 0
            if not kernel.memory.is_unmapped(header, 4):
                contents = int.from_bytes(kernel.memory.read(header, 4), "little")
            self.stop(
                Violation.FREED_TWICE,
                (0, header, contents),
                f"a second free of {described}",
            )
        if address < 1 << (arch.address_bits - 1):
            self.stop(
                Violation.FREE_OF_BAD_ADDRESS,
                (0, address, 0),
                f"a free of {address:#x}, which is no address in system space",
            )
        for record in ledger.live.values():
            if record.address < address < record.address + record.size:
                described = f"{address:#x}, {address - record.address} bytes into {record}"
                break
        else:
            described = f"{address:#x}"
        self.stop(
            Violation.FREE_OF_UNKNOWN_ADDRESS,
            (address, 0, 0),
            f"a free of {described}, which no allocation returned",
        )

    def freed(self, record: BlockRecord) -> None:
        """A block allocated under watch was freed."""
        self._slack.pop(record.address, None)
        for use in (self.use, self.use_of[record.owner]):
            use.remove(paged=record.pool_type.is_paged, size=record.size)

    # --- lookaside lists -----------------------------------------------------------------

    def check_list_size(self, lookaside: LookasideList, size: int) -> None:
        """Stop for an entry size below the minimum.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0xCD).
        """
        minimum = self._kernel.arch.minimum_entry_size
        if size < minimum and self._checks_lists():
            self.stop(
                Violation.ENTRY_TOO_SMALL,
                (lookaside.address, size, minimum),
                f"the lookaside list {lookaside.name!r} at {lookaside.address:#x} is to have"
                f" entries of {size} bytes, and a link needs {minimum}",
            )

    def check_list_initialize(self, lookaside: LookasideList) -> None:
        """Stop for a list that is active already.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0xCA).
        """
        if self._kernel.registry.holds(lookaside) and self._checks_lists():
            self.stop(
                Violation.LIST_INITIALIZED_TWICE,
                (lookaside.address, 0, 0),
                f"the lookaside list {lookaside.name!r} at {lookaside.address:#x} is active"
                " and was initialized again",
            )

    def check_list_delete(self, lookaside: LookasideList) -> None:
        """Stop for a list that is not active.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0xCB).
        """
        if not self._kernel.registry.holds(lookaside) and self._checks_lists():
            self.stop(
                Violation.DELETE_OF_UNINITIALIZED_LIST,
                (lookaside.address, 0, 0),
                f"the lookaside list {lookaside.name!r} at {lookaside.address:#x} was deleted"
                " and is not initialized",
            )

    def _checks_lists(self) -> bool:
        return bool(self.verifier.flags & _LIST_CHECKS) and self.watches_caller()

    # --- drivers -------------------------------------------------------------------------

    def check_unload(self, driver: Driver) -> None:
        """Stop for a verified driver that leaves something behind.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0x62),
                DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, TIMER_OR_DPC_INVALID.
        """
        if not self.covers(driver):
            return
        self.counters.unloads += 1
        kernel = self._kernel
        leaks = driver.pool
        if leaks and self.has(VerifierFlags.POOL_TRACKING):
            total = sum(leak.size for leak in leaks)
            kernel.stop(
                BugCheckCode.DRIVER_VERIFIER_DETECTED_VIOLATION,
                (
                    int(Violation.UNLOAD_WITH_POOL),
                    driver.image_base + _NAME_OFFSET,
                    0,
                    len(leaks),
                ),
                f"{driver.name} is unloaded with {len(leaks)} pool blocks of {total} bytes not"
                f" freed; the oldest is {leaks[0]}",
                leaks,
            )
        left = [each for each in driver.lists if each.is_active]
        if left:
            first = left[0]
            kernel.stop(
                BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
                (first.address, 0, kernel.drivers.call_site().address, 0),
                f"{driver.name} is unloaded and did not delete its lookaside list"
                f" {first.name!r} at {first.address:#x}"
                + (f", nor {len(left) - 1} others" if len(left) > 1 else ""),
                leaks,
            )
        kernel.objects.check_image(driver.image_base, driver.image_end, driver.name)

    # --- IRQL and memory -----------------------------------------------------------------

    def irql_changed(self, old: int, new: int, *, by_spin_lock: bool = False) -> None:
        """Verified code may have raised the IRQL: trim pageable memory.

        Source:
            docs/sources.md, pool section 7.2. Choice: all of it comes back when the IRQL drops.
        """
        if new < 2:
            self.trimmed = False
        if new <= old or not self.watches_caller():
            return
        if by_spin_lock:
            self.counters.acquire_spin_locks += 1
        else:
            self.counters.raise_irqls += 1
        if new >= 2 and self.has(VerifierFlags.FORCE_IRQL_CHECKING):
            self.counters.trims += 1
            self.trimmed = True

    def check_touch(self, address: int, size: int, operation: int, *, by_driver: bool) -> None:
        """Stop for a touch of memory that is trimmed.

        Raises:
            BugCheck: 0xD1 for a driver's touch, 0xA for the kernel's.
        """
        if not self.trimmed:
            return
        kernel = self._kernel
        block = kernel.pool.find(address)
        paged = kernel.pool.descriptor_at(address)
        if paged is None or not paged.paged:
            return
        ledger = kernel.ledger
        assert ledger is not None, "the verifier keeps one"
        what = "paged pool" if block is None else ledger.describe(block.address)
        self._stop_irql(
            address, operation, f"it lies in {what}, which is paged out", by_driver=by_driver
        )

    def _stop_irql(
        self, address: int, operation: int, why: str, *, by_driver: bool
    ) -> NoReturn:
        kernel = self._kernel
        write = int(bool(operation & 2))
        verb = "written" if write else "read"
        code = (
            BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
            if by_driver
            else BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
        )
        kernel.stop(
            code,
            (address, kernel.gate, write, kernel.drivers.call_site().address),
            f"{address:#x} was {verb} at IRQL {kernel.gate}, and {why} ({self._where()})",
        )

    def explain_fault(self, address: int, operation: int, *, by_driver: bool) -> None:
        """Stop for a touch of unmapped memory that the verifier can say more about.

        Raises:
            BugCheck: see `SpecialPool.explain_fault`; 0xD1 or 0xA at a raised IRQL.
        """
        kernel = self._kernel
        code = kernel.drivers.call_site().address
        if self.special_pool is not None:
            self.special_pool.explain_fault(address, operation, by_driver=by_driver, code=code)
        if kernel.gate >= 2 and operation in (0, 2):
            self._stop_irql(address, operation, "nothing is mapped there", by_driver=by_driver)

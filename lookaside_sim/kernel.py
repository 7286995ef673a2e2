"""The machine: owns every piece of state, wires the parts together, keeps time and IRQL.

Two kernels share nothing. Flow of a request: a `LookasideList` (or a `ddi` routine) → its
free entries in `memory` on a hit, `pool` on a miss → pages in `memory`. Flow of a tick:
`Kernel.tick` → one system-wide list in `registry` → `tuning.next_depth` → one field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Final, NoReturn, Self

from lookaside_sim.errors import BugCheck, LookasideSimError
from lookaside_sim.lookaside import LookasideList
from lookaside_sim.lookaside.registry import Registry
from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.lookaside.steps import ListSteps, Step
from lookaside_sim.lookaside.tuning import MINIMUM_DEPTH, SCAN_PERIOD
from lookaside_sim.machine.calls import Observer
from lookaside_sim.memory import Memory, Reason, Uncached
from lookaside_sim.memory.address_space import READ, WRITE
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_SIZE, Architecture, architecture
from lookaside_sim.nt.types import Irql
from lookaside_sim.nt.violations import Violation
from lookaside_sim.pool import PoolManager
from lookaside_sim.pool.check import check_pools
from lookaside_sim.pool.ledger import BlockLedger, BlockRecord, LedgerLayer
from lookaside_sim.sanitizer.list import SanitizedList, Sanitizer
from lookaside_sim.system.drivers import Driver, Drivers
from lookaside_sim.system.io import SystemLists
from lookaside_sim.system.objects import KernelObjects
from lookaside_sim.system.parking import ParkingLayer
from lookaside_sim.system.processes import Processes
from lookaside_sim.system.quota import QuotaLayer
from lookaside_sim.system.small_pool_lists import SmallPoolLists
from lookaside_sim.verifier.layers import SpecialPoolLayer, VerifierLayer
from lookaside_sim.verifier.settings import Verifier
from lookaside_sim.verifier.verification import Verification

_STOPPED: Final = 0xFF  # a gate above every IRQL
_MOST_PROCESSORS: Final = 64
_MIB: Final = 1 << 20
_DEFAULT_POOL_BYTES: Final = {"x64": 1024 * _MIB, "x86": 256 * _MIB}

_current: ContextVar[Kernel | None] = ContextVar("lookaside_sim_current_kernel", default=None)


class Untold:
    """What happens inside is part of a call that is told, and is not told itself.

    One for each kernel; it may be entered again inside.
    """

    __slots__ = ("_kernel", "_outer")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._outer: list[Observer | None] = []

    def __enter__(self) -> None:
        kernel = self._kernel
        self._outer.append(kernel.observer)
        kernel.observer = None

    def __exit__(self, *exception: object) -> None:
        self._kernel.observer = self._outer.pop()


class IrqlScope:
    """Restores an IRQL when left; what `Kernel.raise_irql` returns.

    Args:
        kernel: the machine.
        previous: the IRQL before it was raised.
    """

    __slots__ = ("_kernel", "previous")

    def __init__(self, kernel: Kernel, previous: int) -> None:
        self._kernel = kernel
        self.previous = previous

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._kernel.bugcheck is None:
            self._kernel.lower_irql(self.previous)


class Kernel:
    """One simulated machine.

    As a context manager it makes itself the kernel that the pool routines of
    `lookaside_sim.ddi` act on.

    Args:
        arch: ``"x64"`` or ``"x86"``: pointer size, structure layouts, pool granularity.
        processors: number of processors, 1 to 64.
        nonpaged_pool_bytes: limit of NonPagedPool in bytes; whole pages of it can be used.
            None is 1 GiB on x64, 256 MiB on x86.
        paged_pool_bytes: limit of PagedPool, likewise.
        verifier: settings of Driver Verifier, on from boot; None for none.
        nonpaged_nx_pool_bytes: limit of NonPagedPoolNx; None is that of NonPagedPool.
        seed: chooses the garbage that fresh pool memory holds.
        strict_pool_tags: whether freeing with a wrong tag stops the machine for every block,
            not only for one with PROTECTED_POOL in its tag.
        sanitizer: whether lists check each call, see `lookaside_sim.sanitizer`.
        small_pool_lists: whether the pool has its small-block lookaside lists. Choice: off,
            so that a pool call shows what the pool itself does.
        delayed_free: whether blocks freed wait on delayed free lists. Choice: off, likewise.
        track_pool: whether a ledger tells who allocated each block where. Drivers and the
            verifier turn it on by themselves.

    Raises:
        ValueError: an argument that describes no machine.

    Attributes:
        arch: the machine's layouts.
        memory: its address space.
        pool: its pool manager.
        registry: the system-wide lists of lookaside lists.
        routines: the addresses of the routines lists point at.
        bugcheck: None, or the stop that ended it. Every later call raises it again; what
            only looks (fields of a list, views) still works, as a crash dump can be read.
        minimum_lookaside_depth: ExMinimumLookasideDepth, in entries.
        verification: the verifier at work, or None.
        sanitizer: what the sanitized lists share, or None.
        drivers: the drivers ever loaded.
        processes: the processes that pool can be charged to.
        objects: timers and resources.
        ledger: who allocated each live block, or None.
        small_pool_lists: the small-pool lookaside lists, or None.
        pending_frees: the delayed free list of each pool, by its name, or None.
        processor: number of the processor that runs.
        scanning: whether the balance set manager is scanning lists, under their spin lock.
        seconds: seconds simulated so far.
    """

    def __init__(
        self,
        arch: str = "x64",
        processors: int = 1,
        nonpaged_pool_bytes: int | None = None,
        paged_pool_bytes: int | None = None,
        verifier: Verifier | None = None,
        *,
        nonpaged_nx_pool_bytes: int | None = None,
        seed: int = 0,
        strict_pool_tags: bool = False,
        sanitizer: bool = False,
        small_pool_lists: bool = False,
        delayed_free: bool = False,
        track_pool: bool = False,
    ) -> None:
        self.arch: Architecture = architecture(arch)
        processors = unsigned("processors", processors, 16)
        if not 1 <= processors <= _MOST_PROCESSORS:
            raise ValueError(f"processors {processors}: give 1 to {_MOST_PROCESSORS}")
        self.processors = processors
        nonpaged = self._pool_bytes("nonpaged_pool_bytes", nonpaged_pool_bytes)
        self.bugcheck: BugCheck | None = None
        self.minimum_lookaside_depth = MINIMUM_DEPTH
        self.observer: Observer | None = None
        self.reached: Callable[[ListSteps, Step], None] | None = None
        self.seconds = 0
        self.gate = 0
        """The current IRQL, or a value above every IRQL once the machine has stopped: one
        compare on the pool's paths answers both questions."""
        self.untold = Untold(self)
        self._irql = 0
        self._phase = 0
        self._tokens: list[Token[Kernel | None]] = []
        self._next_image_address = self.arch.image_data_start
        self.memory = Memory(self.arch, unsigned("seed", seed, 64), self.page_fault)
        self.pool = PoolManager(
            self,
            self.memory,
            nonpaged_bytes=nonpaged,
            nonpaged_nx_bytes=(
                nonpaged
                if nonpaged_nx_pool_bytes is None
                else self._pool_bytes("nonpaged_nx_pool_bytes", nonpaged_nx_pool_bytes)
            ),
            paged_bytes=self._pool_bytes("paged_pool_bytes", paged_pool_bytes),
            strict_tags=bool(strict_pool_tags),
        )
        self.registry = Registry(self)
        self.routines = Routines(self)
        self.processor = 0
        self.scanning = False
        self._program_touches = False
        self._irqls = [0] * processors
        self._scanned_set = 0
        self._system_lists: SystemLists | None = None
        self.sanitizer = Sanitizer(self) if sanitizer else None
        self.list_kind: type[LookasideList] = SanitizedList if sanitizer else LookasideList
        """What `LookasideList` makes on this machine."""
        self.drivers = Drivers(self)
        self.processes = Processes(self)
        self.objects = KernelObjects(self)
        self.ledger: BlockLedger | None = None
        self._quota: QuotaLayer | None = None
        self.small_pool_lists: SmallPoolLists | None = None
        self.pending_frees: dict[str, list[int]] | None = None
        if delayed_free:
            self.pending_frees = {pool.name: [] for pool in self.pool.descriptors}
        self.verification: Verification | None = None
        if small_pool_lists:
            self.small_pool_lists = SmallPoolLists(self)
        if small_pool_lists or delayed_free:
            self.pool.requests.put(ParkingLayer(self))
        if track_pool:
            self.keep_ledger()
        if verifier is not None:
            self.enable_verifier(verifier)

    def _pool_bytes(self, name: str, given: int | None) -> int:
        if given is None:
            return _DEFAULT_POOL_BYTES[self.arch.name]
        given = unsigned(name, given, 64)
        most = self.arch.pool_region_size - PAGE_SIZE  # the first page holds the list heads
        if given > most:
            raise ValueError(f"{name} {given}: give 0 to {most} bytes on {self.arch.name}")
        return given

    # --- drivers, the verifier, processors ------------------------------------------------

    def load_driver(self, name: str) -> Driver:
        """Load a driver: code that owns lists and pool and can be unloaded.

        From now on a ledger tells who allocated each block, which makes pool calls slower.

        Args:
            name: of its image, such as ``mydrv.sys``.

        Returns:
            The driver; inside ``with driver:`` its code runs.

        Raises:
            ValueError: no name, or one that is loaded.
        """
        self.check_running()
        driver = self.drivers.load(name)
        self.keep_ledger()
        return driver

    def enable_verifier(self, verifier: Verifier) -> None:
        """Switch Driver Verifier on, as ``verifier /volatile`` does.

        Every list gets Depth 0 and MaximumDepth 0xFFFF, and so will every new one.

        Args:
            verifier: the settings.

        Raises:
            LookasideSimError: it is on already.
        """
        self.check_running()
        if self.verification is not None:
            raise LookasideSimError("the verifier is on already")
        ledger = self.keep_ledger()
        verification = self.verification = Verification(self, verifier)
        requests = self.pool.requests
        requests.put(VerifierLayer(self, verification, ledger))
        if verification.special_pool is not None:
            special = SpecialPoolLayer(self, verification, verification.special_pool)
            requests.put(special)
            self.pool.add_outside(verification.special_pool.base, special)
        self.minimum_lookaside_depth = 0
        for lookaside in self.lookaside_lists:
            lookaside.disable()

    def manage_pool(self) -> PoolManager:
        """The pool."""
        return self.pool

    def keep_ledger(self) -> BlockLedger:
        """Tell from now on who allocated each block where."""
        if self.ledger is None:
            self.ledger = BlockLedger()
            self.pool.requests.put(LedgerLayer(self, self.ledger))
        return self.ledger

    def keep_quota(self) -> QuotaLayer:
        """Give quota back from now on when a billed block is freed."""
        if self._quota is None:
            self._quota = QuotaLayer(self)
            self.pool.requests.put(self._quota)
        return self._quota

    @property
    def system_lists(self) -> SystemLists:
        """The P and L lists of IRPs and MDLs, made when they are first needed."""
        if self._system_lists is None:
            self._system_lists = SystemLists(self)
        return self._system_lists

    @contextmanager
    def on_processor(self, number: int) -> Iterator[int]:
        """Run what is inside on a processor, at its own IRQL.

        Args:
            number: 0 to processors - 1.

        Raises:
            ValueError: no such processor.
        """
        number = unsigned("processor", number, 16)
        if number >= self.processors:
            raise ValueError(f"processor {number}: give 0 to {self.processors - 1}")
        before = self.processor
        self._switch_to(number)
        try:
            yield number
        finally:
            self._switch_to(before)

    def _switch_to(self, number: int) -> None:
        self._irqls[self.processor] = self._irql
        self.processor = number
        if self._irqls[number] != self._irql:
            self._set_irql(self._irqls[number])

    # --- IRQL ----------------------------------------------------------------------------

    @property
    def irql(self) -> Irql | int:
        """The current IRQL, as an `Irql` where the level has a name."""
        try:
            return Irql(self._irql)
        except ValueError:
            return self._irql

    def raise_irql(self, level: int) -> IrqlScope:
        """Raise the IRQL now, as KeRaiseIrql does.

        Args:
            level: 0 to 15, not below the current one.

        Returns:
            A context manager that lowers the IRQL to what it was on exit, and carries it as
            ``previous``; it may also be ignored and `lower_irql` called.

        Raises:
            BugCheck: IRQL_NOT_GREATER_OR_EQUAL when the level is below the current one.
            ValueError: no IRQL.

        Source:
            [doc] KeRaiseIrql: a lower level is a bug check.
        """
        level = self._level(level)
        previous = self._irql
        if level < previous:
            self._verify_irql(Violation.RAISE_TO_LOWER_IRQL, level)
            self.stop(
                BugCheckCode.IRQL_NOT_GREATER_OR_EQUAL,
                (previous, level, 0, 0),
                f"the IRQL was to be raised from {previous} to {level}",
            )
        self.change_irql(level)
        return IrqlScope(self, previous)

    def change_irql(self, level: int, *, by_spin_lock: bool = False) -> None:
        """Set the IRQL and tell the verifier; nothing is checked."""
        previous = self._irql
        self._set_irql(level)
        if self.verification is not None:
            self.verification.irql_changed(previous, level, by_spin_lock=by_spin_lock)

    def _verify_irql(self, violation: Violation, level: int) -> None:
        verification = self.verification
        if verification is not None and verification.watches_caller():
            verb = "raised" if violation is Violation.RAISE_TO_LOWER_IRQL else "lowered"
            verification.stop(
                violation,
                (self._irql, level, 0),
                f"the IRQL was to be {verb} from {self._irql} to {level}",
            )

    def lower_irql(self, level: int) -> None:
        """Lower the IRQL, as KeLowerIrql does.

        Args:
            level: 0 to 15, not above the current one.

        Raises:
            BugCheck: IRQL_NOT_LESS_OR_EQUAL when the level is above the current one.
            ValueError: no IRQL.

        Source:
            [doc] KeLowerIrql: a higher level is a fatal error.
        """
        level = self._level(level)
        if level > self._irql:
            self._verify_irql(Violation.LOWER_TO_HIGHER_IRQL, level)
            self.stop(
                BugCheckCode.IRQL_NOT_LESS_OR_EQUAL,
                (self._irql, level, 0, 0),
                f"the IRQL was to be lowered from {self._irql} to {level}",
            )
        self.change_irql(level)

    def _level(self, level: int) -> int:
        self.check_running()
        return unsigned("IRQL", level, 4)

    def _set_irql(self, level: int) -> None:
        self._irql = level
        if self.bugcheck is None:
            self.gate = level
        if self.observer is not None:
            self.observer.irql_changed(level)

    # --- time ----------------------------------------------------------------------------

    def tick(self, seconds: int = 1) -> None:
        """Let time pass: the balance set manager runs once for each second.

        Each run scans one set of lists and moves on to the next: the nonpaged lists, the
        paged lists, the system's own; so one list is scanned every third second.

        Args:
            seconds: whole seconds, 0 or more.

        Raises:
            BugCheck: PAGE_FAULT_IN_NONPAGED_AREA when a list's memory is gone.
            LookasideSimError: the system-wide list runs in a ring, where NT would never
                come back; the seconds before that have passed.
            ValueError: a negative time.

        Source:
            docs/sources.md, lists section 6.
        """
        self.check_running()
        seconds = unsigned("seconds", seconds, 64)
        for _ in range(seconds):
            self._run_balance_set_manager()
            self.seconds += 1
            self.objects.expire()
            if self.observer is not None:
                self.observer.ticked()

    def _run_balance_set_manager(self) -> None:
        registry = self.registry
        if self._phase == 2:
            self._scan_system_lists()
        else:
            minimum = self.minimum_lookaside_depth
            self.scanning = True
            try:
                # All links first: a ring must not leave the lists before it tuned.
                for lookaside in tuple(
                    registry.walk(registry.paged if self._phase else registry.nonpaged)
                ):
                    lookaside.adjust_depth(minimum)
            finally:
                self.scanning = False
        self._phase = (self._phase + 1) % SCAN_PERIOD

    def _scan_system_lists(self) -> None:
        """Scan one set: the lists of a processor, or the shared ones after the last."""
        scanned = self._scanned_set
        self._scanned_set = (scanned + 1) % (self.processors + 1)
        period = SCAN_PERIOD * self.processors
        if scanned == self.processors:
            if self._system_lists is not None:
                self._system_lists.scan(None, period)
            return
        if self._system_lists is not None:
            self._system_lists.scan(scanned, period)
        if self.small_pool_lists is not None:
            self.small_pool_lists.scan(scanned, period)

    @property
    def lookaside_lists(self) -> list[LookasideList]:
        """The active general lists: nonpaged, then paged, each in order of initialization."""
        registry = self.registry
        return [*registry.walk(registry.nonpaged), *registry.walk(registry.paged)]

    # --- memory --------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Read simulated memory: pool pages with their headers, lookaside structures.

        Args:
            address: where.
            size: bytes.

        Returns:
            The bytes.

        Raises:
            BugCheck: PAGE_FAULT_IN_NONPAGED_AREA for the first address that is not mapped.
            TypeError, ValueError: an address or size that does not fit a pointer.
        """
        self.check_running()
        bits = self.arch.address_bits
        address, size = unsigned("address", address, bits), unsigned("size", size, bits)
        self._before_touch(address, size, READ)
        self._program_touches = True
        try:
            return self.memory.read(address, size)
        finally:
            self._program_touches = False

    def write(self, address: int, data: bytes) -> None:
        """Write simulated memory, without any check of whose it is.

        Args:
            address: where.
            data: the bytes.

        Raises:
            BugCheck: PAGE_FAULT_IN_NONPAGED_AREA for the first address that is not mapped.
            TypeError, ValueError: an address that does not fit a pointer, or no bytes.
        """
        self.check_running()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data {data!r}: give bytes")
        address = unsigned("address", address, self.arch.address_bits)
        self._before_touch(address, len(data), WRITE)
        self._program_touches = True
        try:
            self.memory.write(address, bytes(data))
        finally:
            self._program_touches = False

    def _before_touch(self, address: int, size: int, operation: int) -> None:
        """Let the sanitizer and the verifier look at what the program touches."""
        if self.sanitizer is not None:
            self.sanitizer.check_access(address, size, operation)
        if self.verification is not None:
            self.verification.check_touch(address, size, operation, by_driver=True)

    def place_in_image(self, size: int) -> int:
        """Find room for a structure in the drivers' data section.

        Args:
            size: bytes of the structure.

        Returns:
            An unmapped address, aligned for a LOOKASIDE_LIST_EX.
        """
        alignment = self.arch.lookaside_alignment
        driver = self.drivers.current
        if driver is not None and driver.loaded:
            placed = driver.place_data(size, alignment)
            if placed is not None:
                return placed
        address = self._next_image_address
        while not self.memory.is_unmapped(address, size):
            address += alignment
        self._next_image_address = -(-(address + size) // alignment) * alignment
        return address

    def page_fault(
        self, address: int, operation: int = READ, reason: Reason = Reason.UNMAPPED
    ) -> NoReturn:
        """Stop the machine for a touch that memory does not allow."""
        by_driver, self._program_touches = self._program_touches, False
        if self.bugcheck is None:
            self.drivers.explain_fault(address, operation)
            if self.verification is not None:
                self.verification.explain_fault(address, operation, by_driver=by_driver)
        verb = {READ: "read", 0x10: "executed"}.get(operation, "written")
        self.stop(
            BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA,
            (address, operation, 0, 0),
            f"{address:#x} was {verb}, and {reason.value}",
        )

    # --- stopping ------------------------------------------------------------------------

    def stop(
        self,
        code: BugCheckCode,
        parameters: tuple[int, int, int, int],
        message: str,
        leaks: Sequence[BlockRecord] = (),
    ) -> NoReturn:
        """KeBugCheckEx: stop the machine for good.

        Args:
            code: the stop code.
            parameters: its four parameters.
            message: one sentence on what happened.
            leaks: the blocks an unloaded driver left behind.

        Raises:
            BugCheck: always.
        """
        self.check_running()
        self.bugcheck = BugCheck(code, parameters, message, leaks)
        self.gate = _STOPPED
        self.memory.stop_caching(
            Uncached.STOPPED
        )  # sends every call of a list down its slow path
        raise self.bugcheck

    def check(self) -> None:
        """Walk every page and every list and verify every invariant; for tests.

        Holds in correct use. Whoever writes over headers or links, frees an entry twice or
        to a list with larger entries, or frees what no pool allocated, breaks some.

        Raises:
            InvariantError: the first invariant that does not hold.
        """
        check_pools(self.pool, self.memory)
        for lookaside in self.lookaside_lists:
            lookaside.check()
        if self.small_pool_lists is not None:
            self.small_pool_lists.check()
        if self._system_lists is not None:
            self._system_lists.check()

    def check_running(self) -> None:
        """Raise the stop again if the machine has stopped."""
        if self.bugcheck is not None:
            raise self.bugcheck.with_traceback(None)

    # --- who listens, and which kernel is current ----------------------------------------

    def observe(self, observer: Observer | None) -> None:
        """Let one observer hear every call, or none any more.

        While somebody listens no list takes its hot path; afterwards they are as before.

        Args:
            observer: who, or None.

        Raises:
            LookasideSimError: somebody else listens already.
        """
        self.check_running()
        if observer is not None and self.observer is not None:
            raise LookasideSimError(f"{self.observer!r} listens already, and only one can")
        self.observer = observer
        if observer is not None:
            self.memory.stop_caching(Uncached.LISTENED_TO)
        else:
            self.memory.resume_caching(Uncached.LISTENED_TO)

    def __enter__(self) -> Self:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *exception: object) -> None:
        _current.reset(self._tokens.pop())

    def __repr__(self) -> str:
        state = f"stopped: {self.bugcheck.code.name}" if self.bugcheck else "running"
        used = sum(pool.bytes_in_use for pool in self.pool.descriptors)
        return f"<Kernel {self.arch.name} {used:#x} pool bytes, {state}>"


def current_kernel() -> Kernel:
    """The kernel of the innermost ``with kernel:``.

    Raises:
        LookupError: there is none.
    """
    kernel = _current.get()
    if kernel is None:
        raise LookupError("no kernel is current: put the call inside `with kernel:`")
    return kernel

"""The kernel: builds the parts of one machine, hands them to each other, fronts the public calls.

Two kernels share nothing. Flow of a request: a `LookasideList` (or a `ddi` routine) → its
free entries in memory on a hit, the pool's door on a miss → blocks → pages. Flow of a tick:
`BalanceSet.tick` → one system-wide list → `next_depth` → one field. No part holds the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Final, NoReturn, Self, cast

import attrs

from lookaside_sim.clone import Clonable
from lookaside_sim.errors import BugCheck, LookasideSimError
from lookaside_sim.lookaside.balance_set import BalanceSet
from lookaside_sim.lookaside.calls import SetMinimumDepth
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.registry import Registry
from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.machine.calls import Listener
from lookaside_sim.machine.machine import Machine, Reached
from lookaside_sim.machine.processors import IrqlScope
from lookaside_sim.machine.spin_lock import SpinLocks
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.touch import READ
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.layouts import PAGE_SIZE, Architecture, architecture
from lookaside_sim.nt.types import Irql
from lookaside_sim.pool.kinds import make_pool
from lookaside_sim.pool.ledger import BlockLedger
from lookaside_sim.pool.manager import PoolManager
from lookaside_sim.pool.values import PoolLimits
from lookaside_sim.sanitizer.list import SanitizedList
from lookaside_sim.sanitizer.records import SanitizedShared, Sanitizer
from lookaside_sim.system.drivers import Driver, Drivers
from lookaside_sim.system.io import IoLists
from lookaside_sim.system.objects import KernelObjects
from lookaside_sim.system.parking import ParkingLayer
from lookaside_sim.system.processes import Processes
from lookaside_sim.system.quota import Quota
from lookaside_sim.system.small_pool_lists import SmallPoolLists
from lookaside_sim.verifier.enable import EnableVerifier, enable
from lookaside_sim.verifier.settings import Verifier
from lookaside_sim.verifier.verification import Verification

_MIB: Final = 1 << 20
_DEFAULT_POOL_BYTES: Final = {"x64": 1024 * _MIB, "x86": 256 * _MIB}

_current: ContextVar[Kernel | None] = ContextVar("lookaside_sim_current_kernel", default=None)


@attrs.frozen
class KernelSettings:
    """What a kernel was made with: the arguments of `Kernel`, by their names."""

    arch: str
    processors: int
    nonpaged_pool_bytes: int | None
    paged_pool_bytes: int | None
    verifier: Verifier | None
    nonpaged_nx_pool_bytes: int | None
    seed: int
    strict_pool_tags: bool
    sanitizer: bool
    small_pool_lists: bool
    delayed_free: bool
    track_pool: bool
    pool: str


class Kernel(Clonable):
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
        pool: which pool manager the machine has, by name: ``"classic"``, that of Vista to
            Windows 10 1809.
        track_pool: whether a ledger tells who allocated each block where. Drivers and the
            verifier turn it on by themselves.

    Raises:
        ValueError: an argument that describes no machine.

    Attributes:
        settings: what it was made with.
        machine: what its parts stand on: memory, the gate, whose code runs, who looks on.
        pool: its pool manager.
        lists: what its lists share: the system-wide lists, the addresses of routines.
        balance_set: what tunes the lists.
        spin_locks: the routines on spin locks.
        drivers: the drivers ever loaded.
        processes: the processes that pool can be charged to.
        quota: requests that are charged to them.
        objects: timers and resources.
        small_pool_lists: the small-pool lookaside lists, or None.
        verification: the verifier at work, or None.
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
        pool: str = "classic",
    ) -> None:
        self.settings = KernelSettings(
            arch,
            processors,
            nonpaged_pool_bytes,
            paged_pool_bytes,
            verifier,
            nonpaged_nx_pool_bytes,
            seed,
            strict_pool_tags,
            sanitizer,
            small_pool_lists,
            delayed_free,
            track_pool,
            pool,
        )
        layouts = architecture(arch)
        limits = _pool_limits(layouts, self.settings)
        self.machine = Machine(layouts, processors=processors, seed=unsigned("seed", seed, 64))
        made = make_pool(pool, self.machine, limits, strict_tags=bool(strict_pool_tags))
        # Users know the default kind; the parts below know the protocol `Pool` only.
        self.pool = cast("PoolManager", made)
        self.lists: Shared = (
            SanitizedShared(self.machine, self.pool, SanitizedList)
            if sanitizer
            else Shared(self.machine, self.pool, LookasideList)
        )
        self.balance_set = BalanceSet(self.machine, self.lists)
        self.spin_locks = SpinLocks(self.machine)
        self._ledger = BlockLedger(self.pool.requests, self.machine.program)
        self.drivers = Drivers(self.machine, self.lists, self._ledger, self.balance_set)
        self.processes = Processes(self.machine)
        self.quota = Quota(self.machine, self.pool, self.processes)
        self.objects = KernelObjects(self.machine)
        self._io_lists: IoLists | None = None
        self.small_pool_lists = SmallPoolLists(self.machine) if small_pool_lists else None
        self._parking: ParkingLayer | None = None
        if self.small_pool_lists is not None:
            self.balance_set.built_in.append(self.small_pool_lists)
        if small_pool_lists or delayed_free:
            if not isinstance(made, PoolManager):
                raise ValueError(f"pool={pool!r} has no small-pool lists and no delayed frees")
            self._parking = ParkingLayer(
                self.machine, self.pool, self.small_pool_lists, delayed=delayed_free
            )
            self.pool.requests.put(self._parking)
        self.verification: Verification | None = None
        self._tokens: list[Token[Kernel | None]] = []
        if track_pool:
            self._ledger.open()
        if verifier is not None:
            self.enable_verifier(verifier)

    # --- what it is made of ------------------------------------------------------------------

    @property
    def arch(self) -> Architecture:
        """The machine's layouts."""
        return self.machine.arch

    @property
    def memory(self) -> Memory:
        """The address space."""
        return self.machine.memory

    @property
    def registry(self) -> Registry:
        """The two system-wide lists of lookaside lists."""
        return self.lists.registry

    @property
    def routines(self) -> Routines:
        """The addresses of the routines that lists point at."""
        return self.lists.routines

    @property
    def bugcheck(self) -> BugCheck | None:
        """None, or the stop that ended it.

        Every later call raises it again; what only looks (fields of a list, views) still
        works, as a crash dump can be read.
        """
        return self.machine.bugcheck

    @property
    def minimum_lookaside_depth(self) -> int:
        """ExMinimumLookasideDepth, in entries; may be set. With 0 new lists are disabled."""
        return self.lists.minimum_depth

    @minimum_lookaside_depth.setter
    def minimum_lookaside_depth(self, depth: int) -> None:
        depth = unsigned("depth", depth, 16)
        call = SetMinimumDepth(depth)
        self.machine.hooks.run(call, setattr, self.lists, "minimum_depth", depth)

    @property
    def seconds(self) -> int:
        """Seconds simulated so far."""
        return self.machine.seconds

    @property
    def processors(self) -> int:
        """How many processors it has."""
        return self.machine.processors.count

    @property
    def processor(self) -> int:
        """Number of the processor that runs."""
        return self.machine.processors.current

    @property
    def ledger(self) -> BlockLedger | None:
        """Who allocated each live block where, or None while nobody needs to know."""
        return self._ledger if self._ledger.is_open else None

    @property
    def sanitizer(self) -> Sanitizer | None:
        """What the sanitized lists know of their entries, or None."""
        return self.lists.sanitizer if isinstance(self.lists, SanitizedShared) else None

    @property
    def pending_frees(self) -> dict[str, list[int]] | None:
        """The delayed free list of each pool, by its name, or None."""
        return None if self._parking is None else self._parking.waiting

    @property
    def io_lists(self) -> IoLists:
        """The P and L lists of IRPs and MDLs, made when they are first needed."""
        if self._io_lists is None:
            self._io_lists = IoLists(self.machine, self.pool, self.quota)
            self.balance_set.built_in.insert(0, self._io_lists)
        return self._io_lists

    @property
    def lookaside_lists(self) -> list[LookasideList]:
        """The active general lists: nonpaged, then paged, each in order of initialization.

        As a debugger sees them: nothing stops where links are overwritten.
        """
        return cast("list[LookasideList]", self.registry.look())

    def list_at(self, address: int) -> LookasideList:
        """Take what lies at an address for a list, as a routine that is given a pointer does.

        Args:
            address: of a LOOKASIDE_LIST_EX, in a driver's data or in a pool block.

        Returns:
            The object of the list there, if one is known: the active list, or one that lies
            in memory of its own. Else a new object over the memory there, whatever it holds
            and whether or not it is mapped; using it touches that memory.

        Raises:
            TypeError, ValueError: no address.
        """
        return cast("LookasideList", self.lists.at(address))

    # --- drivers, the verifier, processors -----------------------------------------------------

    def lookaside_list(self, name: str = "", address: int | None = None) -> LookasideList:
        """Make a list on this machine; see `LookasideList`."""
        return LookasideList(self, name, address)

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
        return self.drivers.load(name)

    def enable_verifier(self, verifier: Verifier) -> None:
        """Switch Driver Verifier on, as ``verifier /volatile`` does.

        Every list gets Depth 0 and MaximumDepth 0xFFFF, and so will every new one.

        Args:
            verifier: the settings.

        Raises:
            LookasideSimError: it is on already.
            TypeError: no settings.
        """
        self.machine.check_running()
        if not isinstance(verifier, Verifier):
            raise TypeError(f"verifier {verifier!r}: give a Verifier")
        if self.verification is not None:
            raise LookasideSimError("the verifier is on already")
        self.machine.hooks.run(EnableVerifier(verifier), self._enable_verifier, verifier)

    def _enable_verifier(self, verifier: Verifier) -> None:
        self.verification = Verification(
            verifier,
            self.machine,
            self.pool,
            self._ledger,
            self.registry,
            self.objects,
            self.processes,
        )
        enable(self.verification, self.lists)

    def on_processor(self, number: int) -> AbstractContextManager[int]:
        """Run what is inside on a processor, at its own IRQL.

        Args:
            number: 0 to processors - 1.

        Raises:
            ValueError: no such processor.
        """
        return self.machine.processors.on(number)

    @property
    def irql(self) -> Irql | int:
        """The current IRQL, as an `Irql` where the level has a name."""
        return self.machine.processors.irql

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
        return self.machine.processors.raise_irql(level)

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
        self.machine.processors.lower_irql(level)

    # --- time, memory --------------------------------------------------------------------------

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
        self.balance_set.tick(seconds)

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
        return self.machine.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write simulated memory, without any check of whose it is.

        Args:
            address: where.
            data: the bytes.

        Raises:
            BugCheck: PAGE_FAULT_IN_NONPAGED_AREA for the first address that is not mapped.
            TypeError, ValueError: an address that does not fit a pointer, or no bytes.
        """
        self.machine.write(address, data)

    def peek(self, address: int, size: int) -> list[int | None]:
        """Look at simulated memory as a debugger does: nothing stops, nothing changes.

        Args:
            address: where.
            size: bytes.

        Returns:
            Each byte, None where nothing is mapped. Also on a machine that has stopped.

        Raises:
            TypeError, ValueError: an address or size that does not fit a pointer.
        """
        return self.machine.memory.peek(address, size)

    def touch_fault(self, address: int, operation: int = READ) -> NoReturn:
        """Stop the machine for a touch, by the program, of memory that is not there.

        Args:
            address: what was touched.
            operation: 0 for a read, 2 for a write, 0x10 for a jump there.

        Raises:
            BugCheck: what the verifier or an unloaded driver explain it by, else
                PAGE_FAULT_IN_NONPAGED_AREA.
        """
        self.machine.touch_fault(address, operation)

    # --- who looks on ----------------------------------------------------------------------------

    def listen(self, listener: Listener, *, reads: bool = False) -> Callable[[], None]:
        """Tell a listener of every public call, when it begins and when it is over.

        Any number may listen. No list takes its hot path meanwhile; what the machine does is the
        same. Inside a listener look only: `peek`, fields, views. What it raises, see `Hooks`.

        Args:
            listener: called with a `Call`, twice; `Call.is_over` tells which time it is.
            reads: whether memory reads are told too.

        Returns:
            Ends it, also on a machine that has stopped.

        Raises:
            TypeError: nothing that can be called.
        """
        return self.machine.hooks.listen(listener, reads=reads)

    def step_through(self, reached: Reached) -> AbstractContextManager[None]:
        """Tell somebody of each point inside the lists' routines where another could come.

        Inside the block every call of a list, hits too, goes step by step. A scheduler with a
        thread for each processor takes its time in ``reached`` and lets another thread run.

        Args:
            reached: called with a list and a `lookaside_sim.lookaside.on_memory.Point`. What
                it raises ends the call there. Inside a second block only that one's is called.

        Raises:
            TypeError: nothing that can be called.
        """
        return self.machine.step_through(reached)

    def check(self) -> None:
        """Walk every page and every list and verify every invariant; for tests.

        Holds in correct use. Whoever writes over headers or links, frees an entry twice or
        to a list with larger entries, or frees what no pool allocated, breaks some.

        Raises:
            InvariantError: the first invariant that does not hold.
        """
        self.pool.check()
        for lookaside in self.lookaside_lists:
            lookaside.check()
        if self.small_pool_lists is not None:
            self.small_pool_lists.check()
        if self._io_lists is not None:
            self._io_lists.check()

    def check_running(self) -> None:
        """Raise the stop again if the machine has stopped."""
        self.machine.check_running()

    def __enter__(self) -> Self:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *exception: object) -> None:
        _current.reset(self._tokens.pop())

    def __repr__(self) -> str:
        state = f"stopped: {self.bugcheck.code.name}" if self.bugcheck else "running"
        used = sum(pool.bytes_in_use for pool in self.pool.descriptors)
        return f"<Kernel {self.arch.name} {used:#x} pool bytes, {state}>"


def _pool_limits(arch: Architecture, settings: KernelSettings) -> PoolLimits:
    """Check how much each pool may have.

    Raises:
        TypeError, ValueError: no number of bytes, or more than a pool has addresses.
    """
    most = arch.pool_region_size - PAGE_SIZE  # the first page holds the list heads

    def limit(name: str, given: int | None, default: int) -> int:
        if given is None:
            return default
        given = unsigned(name, given, 64)
        if given > most:
            raise ValueError(f"{name} {given}: give 0 to {most} bytes on {arch.name}")
        return given

    default = _DEFAULT_POOL_BYTES[arch.name]
    nonpaged = limit("nonpaged_pool_bytes", settings.nonpaged_pool_bytes, default)
    return PoolLimits(
        nonpaged=nonpaged,
        nonpaged_nx=limit("nonpaged_nx_pool_bytes", settings.nonpaged_nx_pool_bytes, nonpaged),
        paged=limit("paged_pool_bytes", settings.paged_pool_bytes, default),
    )


def current_kernel() -> Kernel:
    """The kernel of the innermost ``with kernel:``.

    Raises:
        LookupError: there is none.
    """
    kernel = _current.get()
    if kernel is None:
        raise LookupError("no kernel is current: put the call inside `with kernel:`")
    return kernel

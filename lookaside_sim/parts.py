"""The parts of one machine: builds them, hands them to each other, says what there is.

`Kernel` fronts the calls on them.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from lookaside_sim.clonable import Clonable
from lookaside_sim.errors import BugCheck
from lookaside_sim.lookaside.balance_set import BalanceSet
from lookaside_sim.lookaside.calls import SetMinimumDepth
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.registry import Registry
from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.lookaside.shared import Shared
from lookaside_sim.lookaside.slist import SLists
from lookaside_sim.machine.machine import Machine
from lookaside_sim.machine.spin_lock import SpinLocks
from lookaside_sim.memory.address_space import Memory
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.layouts import PAGE_SIZE, Architecture, architecture
from lookaside_sim.nt.windows import windows_version
from lookaside_sim.pool.kinds import make_pool
from lookaside_sim.pool.ledger import BlockLedger
from lookaside_sim.pool.manager import PoolManager
from lookaside_sim.pool.values import PoolLimits
from lookaside_sim.system.dispatcher import Dispatcher
from lookaside_sim.system.dpcs import Dpcs
from lookaside_sim.system.drivers import Drivers
from lookaside_sim.system.objects import KernelObjects
from lookaside_sim.system.processes import Processes
from lookaside_sim.system.queues import Queues
from lookaside_sim.system.quota import Quota
from lookaside_sim.system.threads import Threads

if TYPE_CHECKING:
    # Many a machine has none of these; each is imported where it is made.
    from lookaside_sim.sanitizer.records import Sanitizer
    from lookaside_sim.system.devices import Devices
    from lookaside_sim.system.framework import Framework
    from lookaside_sim.system.io import IoLists
    from lookaside_sim.system.parking import ParkingLayer
    from lookaside_sim.system.references import References
    from lookaside_sim.system.small_pool_lists import SmallPoolLists
    from lookaside_sim.system.system_threads import SystemThreads
    from lookaside_sim.verifier.settings import Verifier
    from lookaside_sim.verifier.verification import Verification

_MIB: Final = 1 << 20
_DEFAULT_POOL_BYTES: Final = {"x64": 1024 * _MIB, "x86": 256 * _MIB}


class KernelSettings(NamedTuple):
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
    kasan: bool
    small_pool_lists: bool
    delayed_free: bool
    track_pool: bool
    pool: str
    windows: str


class Parts(Clonable):
    """What a machine is made of.

    Args:
        settings: what it is to be.

    Attributes:
        settings: what it was made with.
        windows: its version of Windows.
        machine: what its parts stand on: memory, the gate, whose code runs, who looks on.
        pool: its pool manager.
        lists: what its lists share: the system-wide lists, the addresses of routines.
        balance_set: what tunes the lists.
        spin_locks: the routines on spin locks.
        slists: the routines on SLISTs of a driver's own.
        drivers: the drivers ever loaded.
        processes: the processes that pool can be charged to.
        quota: requests that are charged to them.
        threads: which thread runs, and what each holds.
        queues: the work items, DPCs and threads that wait to run.
        dpcs: what queues DPCs.
        objects: timers and resources.
        dispatcher: events, semaphores, mutexes and waits.
        small_pool_lists: the small-pool lookaside lists, or None.
        verification: the verifier at work, or None.
        compiled: what runs compiled drivers, once there is one.
    """

    def __init__(self, settings: KernelSettings) -> None:
        self.settings = settings
        self.windows = windows_version(settings.windows)
        layouts = architecture(settings.arch, self.windows)
        limits = _pool_limits(layouts, settings)
        self.machine = Machine(
            layouts,
            processors=settings.processors,
            seed=unsigned("seed", settings.seed, 64),
        )
        made = make_pool(
            settings.pool, self.machine, limits, strict_tags=bool(settings.strict_pool_tags)
        )
        # Users know the default kind; the parts below know the protocol `Pool` only.
        self.pool = cast("PoolManager", made)
        if settings.kasan and settings.arch != "x64":
            raise ValueError(f"kasan on {settings.arch}: KASAN is x64's alone")
        self.lists = self._make_lists(settings)
        self.balance_set = BalanceSet(self.machine, self.lists)
        self.spin_locks = SpinLocks(self.machine)
        self.slists = SLists(self.machine)
        self._ledger = BlockLedger(self.pool, self.machine.program)
        self.drivers = Drivers(
            self.machine, self.lists, self._ledger, self.balance_set, self.windows
        )
        self.processes = Processes(self.machine)
        self.quota = Quota(self.machine, self.pool, self.processes)
        self.threads = Threads(self.machine)
        self.queues = Queues(self.machine, self.threads)
        self.dpcs = Dpcs(self.machine, self.queues, self.lists.routines)
        self.objects = KernelObjects(self.machine, self.threads, self.dpcs)
        self.dispatcher = Dispatcher(
            self.machine, self.threads, self.queues, self.objects, self.balance_set.tick
        )
        self._io_lists: IoLists | None = None
        self.small_pool_lists: SmallPoolLists | None = None
        self._parking: ParkingLayer | None = None
        if settings.small_pool_lists or settings.delayed_free:
            self._park(settings)
        self.verification: Verification | None = None
        self.compiled: object | None = None
        if settings.track_pool:
            self._ledger.open()

    def _make_lists(self, settings: KernelSettings) -> Shared:
        machine, pool = self.machine, self.pool
        if not settings.sanitizer:
            return Shared(machine, pool, LookasideList)
        from lookaside_sim.sanitizer.accesses import watch
        from lookaside_sim.sanitizer.list import SanitizedList
        from lookaside_sim.sanitizer.records import SanitizedShared

        lists = SanitizedShared(machine, pool, SanitizedList)
        watch(machine, pool, lists.sanitizer, kasan=settings.kasan)
        return lists

    def _park(self, settings: KernelSettings) -> None:
        """Let freed blocks wait before they are free."""
        from lookaside_sim.system.parking import ParkingLayer
        from lookaside_sim.system.small_pool_lists import SmallPoolLists

        if settings.small_pool_lists:
            self.small_pool_lists = SmallPoolLists(self.machine)
            self.balance_set.built_in.append(self.small_pool_lists)
        if not isinstance(self.pool, PoolManager):
            raise ValueError(
                f"pool={settings.pool!r} has no small-pool lists and no delayed frees"
            )
        self._parking = ParkingLayer(
            self.machine, self.pool, self.small_pool_lists, delayed=settings.delayed_free
        )
        self.pool.requests.put(self._parking)

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
        return getattr(self.lists, "sanitizer", None)

    @property
    def pending_frees(self) -> dict[str, list[int]] | None:
        """The delayed free list of each pool, by its name, or None."""
        return None if self._parking is None else self._parking.waiting

    @property
    def io_lists(self) -> IoLists:
        """The P and L lists of IRPs and MDLs, made when they are first needed."""
        if self._io_lists is None:
            from lookaside_sim.system.io import IoLists

            self._io_lists = IoLists(self.machine, self.pool, self.quota, self.windows)
            self.balance_set.built_in.insert(0, self._io_lists)
        return self._io_lists

    @cached_property
    def references(self) -> References:
        """Objects, references and handles."""
        from lookaside_sim.system.references import References

        return References(self.machine, self.pool)

    @cached_property
    def system_threads(self) -> SystemThreads:
        """What makes threads."""
        from lookaside_sim.system.system_threads import SystemThreads

        return SystemThreads(self.dispatcher, self.references, self.queues, self.lists.routines)

    @cached_property
    def devices(self) -> Devices:
        """The devices, and what is said of them."""
        from lookaside_sim.system.devices import Devices

        return Devices(self.machine, self.spin_locks)

    @cached_property
    def framework(self) -> Framework:
        """Objects of the driver framework, KMDF."""
        from lookaside_sim.system.framework import Framework

        return Framework(self.machine, self.lists, self.spin_locks)

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


@lru_cache
def _default_limits(arch: str) -> PoolLimits:
    """How much each pool may have where nobody says."""
    default = _DEFAULT_POOL_BYTES[arch]
    return PoolLimits(nonpaged=default, nonpaged_nx=default, paged=default)


def _pool_limits(arch: Architecture, settings: KernelSettings) -> PoolLimits:
    """Check how much each pool may have.

    Raises:
        TypeError, ValueError: no number of bytes, or more than a pool has addresses.
    """
    if (
        settings.nonpaged_pool_bytes is None
        and settings.nonpaged_nx_pool_bytes is None
        and settings.paged_pool_bytes is None
    ):
        return _default_limits(arch.name)
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

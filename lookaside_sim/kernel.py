"""The kernel: the public calls on one machine.

Two kernels share nothing. Flow of a request: a `LookasideList` (or a `ddi` routine) → its
free entries in memory on a hit, the pool's door on a miss → blocks → pages. Flow of a tick:
`BalanceSet.tick` → one system-wide list → `next_depth` → one field. No part holds the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from os import PathLike
from typing import TYPE_CHECKING, NoReturn, Self

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.machine.calls import Listener
from lookaside_sim.machine.machine import Reached
from lookaside_sim.machine.processors import IrqlScope
from lookaside_sim.memory.touch import READ
from lookaside_sim.nt.arguments import boolean, shown
from lookaside_sim.nt.types import Irql, X86Irql
from lookaside_sim.nt.windows import DEFAULT_WINDOWS
from lookaside_sim.parts import KernelSettings, Parts
from lookaside_sim.rooms import as_html, from_above
from lookaside_sim.system.drivers import Driver

if TYPE_CHECKING:
    from lookaside_sim.system.compiled import CompiledDriver
    from lookaside_sim.verifier.settings import Verifier  # imported where one is given

_current: ContextVar[Kernel | None] = ContextVar("lookaside_sim_current_kernel", default=None)
_when_made: ContextVar[tuple[Callable[[Kernel], object], ...]] = ContextVar(
    "lookaside_sim_when_made", default=()
)


class Kernel(Parts):
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
        kasan: whether the sanitizer reports accesses as KASAN does, by KASAN_ILLEGAL_ACCESS,
            those beside pool blocks too; implies ``sanitizer``. On x64 only, as KASAN.
        small_pool_lists: whether the pool has its small-block lookaside lists. Choice: off,
            so that a pool call shows what the pool itself does.
        delayed_free: whether blocks freed wait on delayed free lists. Choice: off, likewise.
        pool: which pool manager the machine has, by name: ``"classic"``, that of Vista to
            Windows 10 1809.
        track_pool: whether a ledger tells who allocated each block where. Drivers and the
            verifier turn it on by themselves.
        windows: which version's layouts and rules it has, where they differ: ``"vista"``,
            ``"7"``, ``"8"``, ``"8.1"``, ``"10-1507"``, ``"10-1607"``, ``"10-1709"`` or
            ``"10-1809"``, the last one with the classic pool; see `lookaside_sim.nt.windows`.

    Raises:
        TypeError, ValueError: an argument that describes no machine.

    A kernel is for one thread at a time: nothing here is locked, and two calls at once corrupt
    it. One that comes while another thread's tick, initialization, flush or the like is under way
    is refused with a LookasideSimError; hits and plain pool calls do not look. Each thread may
    have kernels of its own; threads of `step_through` hand over at points.

    What it is made of, such as `pool`, `drivers` and `machine`, is said at `Parts`.
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
        kasan: bool = False,
        small_pool_lists: bool = False,
        delayed_free: bool = False,
        track_pool: bool = False,
        pool: str = "classic",
        windows: str = DEFAULT_WINDOWS,
    ) -> None:
        super().__init__(
            KernelSettings(
                arch,
                processors,
                nonpaged_pool_bytes,
                paged_pool_bytes,
                verifier,
                nonpaged_nx_pool_bytes,
                seed,
                boolean("strict_pool_tags", strict_pool_tags),
                boolean("sanitizer", sanitizer) | boolean("kasan", kasan),
                bool(kasan),
                boolean("small_pool_lists", small_pool_lists),
                boolean("delayed_free", delayed_free),
                boolean("track_pool", track_pool),
                pool,
                windows,
            )
        )
        if verifier is not None:
            _check_verifier(verifier, "a Verifier, or None")
        self._tokens: list[Token[Kernel | None]] = []
        if verifier is not None:
            self.enable_verifier(verifier)
        for told in _when_made.get():
            told(self)

    # --- drivers, the verifier, processors -----------------------------------------------------

    def lookaside_list(self, name: str = "", address: int | None = None) -> LookasideList:
        """Make a list on this machine; see `LookasideList`."""
        return LookasideList(self, name, address)

    def load_driver(self, name: str, *, built_for: str | None = None) -> Driver:
        """Load a driver: code that owns lists and pool and can be unloaded.

        From now on a ledger tells who allocated each block, which makes pool calls slower.

        Args:
            name: of its image, such as ``mydrv.sys``.
            built_for: the version of Windows its build targets, such as ``11-22H2``; None for
                this machine's.

        Returns:
            The driver; inside ``with driver:`` its code runs.

        Raises:
            ValueError: no name, one that is loaded, or a build that does not load here.
        """
        return self.drivers.load(name, built_for=built_for)

    def load_image(
        self, path: str | PathLike[str], *, unknown: str = "stop", seconds: float = 60.0
    ) -> CompiledDriver:
        """Load a compiled driver: a ``.sys`` file for this machine. Needs the extra ``drive``.

        From now on the bytes of memory are the truth: no list caches links any more.

        Args:
            path: of the file.
            unknown: what an import does that nobody provides: ``"stop"`` ends the call that
                made it with an error, ``"zero"`` returns 0. The last word counts for all of the
                machine's drivers, and so for the next.
            seconds: how long a call of a driver's code may take; 0 for ever.

        Returns:
            The driver; `CompiledDriver.start` runs its DriverEntry.

        Raises:
            ImageError: no PE file, one for another machine, or a broken one.
            ImportError: the extra is not installed.
            OSError: the file cannot be read.
            TypeError: no path, or no number of seconds.
            ValueError: a driver of that name is loaded, or no such choice.
        """
        load: Callable[..., CompiledDriver] = from_above("drive.load", "load_image")
        return load(self, path, unknown=unknown, seconds=seconds)

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
        _check_verifier(verifier, "a Verifier")
        if self.verification is not None:
            raise LookasideSimError("the verifier is on already")
        from lookaside_sim.verifier.enable import EnableVerifier

        self.machine.hooks.run(EnableVerifier(verifier), self._enable_verifier, verifier)

    def _enable_verifier(self, verifier: Verifier) -> None:
        from lookaside_sim.verifier.enable import enable
        from lookaside_sim.verifier.verification import Verification

        self.verification = Verification(
            verifier,
            self.machine,
            self.pool,
            self._ledger,
            self.registry,
            self.objects,
            self.processes,
            self.threads,
            self.references,
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
    def irql(self) -> Irql | X86Irql | int:
        """The current IRQL, as an `Irql` where the level has a name."""
        return self.machine.processors.irql

    def raise_irql(self, level: int) -> IrqlScope:
        """Raise the IRQL now, as KeRaiseIrql does.

        Args:
            level: 0 to 15, on x86 to 31, not below the current one.

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
            level: 0 to 15, on x86 to 31, not above the current one.

        Raises:
            BugCheck: IRQL_NOT_LESS_OR_EQUAL when the level is above the current one.
            ValueError: no IRQL.

        Source:
            [doc] KeLowerIrql: a higher level is a fatal error.
        """
        self.machine.processors.lower_irql(level)

    def in_dpc(self) -> AbstractContextManager[None]:
        """Run what is inside as a DPC routine of the current processor, at DISPATCH_LEVEL.

        The verifier stops the machine for quota that is charged in one.

        Raises:
            BugCheck: IRQL_NOT_GREATER_OR_EQUAL above DISPATCH_LEVEL;
                KMODE_EXCEPTION_NOT_HANDLED for a status that is raised inside and not caught.
        """
        return self.machine.dpc()

    def system_thread(self) -> AbstractContextManager[None]:
        """Run what is inside as a system thread, in which nobody else catches what is raised.

        Raises:
            BugCheck: SYSTEM_THREAD_EXCEPTION_NOT_HANDLED for a status that is raised inside and
                not caught, such as STATUS_ACCESS_VIOLATION.

        Source:
            [doc] bug check 0x7E. Choice: elsewhere the Python code that calls is the caller that
            may catch.
        """
        return self.machine.system_thread()

    # --- time, memory --------------------------------------------------------------------------

    def tick(self, seconds: int = 1) -> None:
        """Let time pass: the balance set manager runs once for each second.

        Each run scans one set of lists and moves on to the next: the nonpaged lists, the
        paged lists, the system's own; so one list is scanned every third second.

        Cost: each second, of the lists of the set, and of the timers.

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
            NtStatusError: STATUS_ACCESS_VIOLATION where that lies in the user half.
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
            NtStatusError: STATUS_ACCESS_VIOLATION where that lies in the user half.
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
        """Stop the machine for a touch, by the program, of memory that does not allow it.

        Args:
            address: what was touched.
            operation: 0 for a read, 2 for a write, 0x10 for a jump there.

        Raises:
            BugCheck: what the verifier or an unloaded driver explain it by; else
                ATTEMPTED_WRITE_TO_READONLY_MEMORY or ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY
                where the page is there and does not permit it; where it is not,
                PAGE_FAULT_IN_NONPAGED_AREA, at DISPATCH_LEVEL and above
                DRIVER_IRQL_NOT_LESS_OR_EQUAL.
            NtStatusError: STATUS_ACCESS_VIOLATION for an address in the user half.
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

        Cost: of all blocks in all pools, and of all free entries.

        Holds in correct use. Whoever writes over headers or links, leaves a list behind that is
        unloaded or freed, frees an entry twice or
        to a list with larger entries, or frees what no pool allocated, breaks some.

        Raises:
            InvariantError: the first invariant that does not hold.
        """
        self.pool.check()
        self.registry.check()
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
        if not self._tokens:
            raise LookasideSimError("the block of a kernel is left and was not entered")
        if _current.get() is not self:
            raise LookasideSimError(
                "the block of a kernel is left before one that was entered after it, or in"
                " another thread or task: leave them where they were entered, in the reverse"
                " order"
            )
        _current.reset(self._tokens.pop())

    _repr_html_ = as_html

    def __repr__(self) -> str:
        state = f"stopped: {self.bugcheck.code.name}" if self.bugcheck else "running"
        used = sum(pool.bytes_in_use for pool in self.pool.descriptors)
        return f"<Kernel {self.arch.name} {used:#x} pool bytes, {state}>"


def _check_verifier(given: object, wanted: str) -> None:
    from lookaside_sim.verifier.settings import Verifier

    if not isinstance(given, Verifier):
        raise TypeError(f"verifier {shown(given)}: give {wanted}")


def current_kernel() -> Kernel:
    """The kernel of the innermost ``with kernel:``.

    Raises:
        LookupError: there is none.
    """
    kernel = _current.get()
    if kernel is None:
        raise LookupError("no kernel is current: put the call inside `with kernel:`")
    return kernel


@contextmanager
def kernels_told(told: Callable[[Kernel], object]) -> Iterator[None]:
    """Tell somebody of every kernel that is made inside the block, when it is ready.

    Clones are not made this way.
    """
    token = _when_made.set((*_when_made.get(), told))
    try:
        yield
    finally:
        _when_made.reset(token)


def made_again(settings: KernelSettings) -> Kernel:
    """Make a kernel with the settings of another one, and tell nobody.

    Raises:
        TypeError, ValueError: settings that describe no machine.
    """
    token = _when_made.set(())
    try:
        return Kernel(**settings._asdict())
    finally:
        _when_made.reset(token)

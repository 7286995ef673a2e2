"""The machine: owns every piece of state, wires the parts together, keeps time and IRQL.

Two kernels share nothing. Flow of a request: a `LookasideList` (or a `ddi` routine) → its
free entries in `memory` on a hit, `pool` on a miss → pages in `memory`. Flow of a tick:
`Kernel.tick` → one system-wide list in `registry` → `tuning.next_depth` → one field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Final, NoReturn, Self

from lookaside_sim.errors import BugCheck, LookasideSimError
from lookaside_sim.lookaside import LookasideList
from lookaside_sim.memory import Memory
from lookaside_sim.memory.address_space import READ
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_SIZE, Architecture, architecture
from lookaside_sim.nt.types import Irql
from lookaside_sim.observer import Observer
from lookaside_sim.pool import PoolManager
from lookaside_sim.pool.check import check_pools
from lookaside_sim.registry import Registry
from lookaside_sim.routines import Routines
from lookaside_sim.tuning import MINIMUM_DEPTH, SCAN_PERIOD

_STOPPED: Final = 0xFF  # a gate above every IRQL
_MOST_PROCESSORS: Final = 64
_MIB: Final = 1 << 20
_DEFAULT_POOL_BYTES: Final = {"x64": 1024 * _MIB, "x86": 256 * _MIB}

_current: ContextVar[Kernel | None] = ContextVar("lookaside_sim_current_kernel", default=None)


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
        nonpaged_nx_pool_bytes: limit of NonPagedPoolNx; None is that of NonPagedPool.
        seed: chooses the garbage that fresh pool memory holds.
        strict_pool_tags: whether freeing with a wrong tag stops the machine for every block,
            not only for one with PROTECTED_POOL in its tag.

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
        seconds: seconds simulated so far.
    """

    def __init__(
        self,
        arch: str = "x64",
        processors: int = 1,
        nonpaged_pool_bytes: int | None = None,
        paged_pool_bytes: int | None = None,
        *,
        nonpaged_nx_pool_bytes: int | None = None,
        seed: int = 0,
        strict_pool_tags: bool = False,
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
        self.seconds = 0
        self.gate = 0
        """The current IRQL, or a value above every IRQL once the machine has stopped: one
        compare on the pool's paths answers both questions."""
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

    def _pool_bytes(self, name: str, given: int | None) -> int:
        if given is None:
            return _DEFAULT_POOL_BYTES[self.arch.name]
        given = unsigned(name, given, 64)
        most = self.arch.pool_region_size - PAGE_SIZE  # the first page holds the list heads
        if given > most:
            raise ValueError(f"{name} {given}: give 0 to {most} bytes on {self.arch.name}")
        return given

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
            self.stop(
                BugCheckCode.IRQL_NOT_GREATER_OR_EQUAL,
                (previous, level, 0, 0),
                f"the IRQL was to be raised from {previous} to {level}",
            )
        self._set_irql(level)
        return IrqlScope(self, previous)

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
            self.stop(
                BugCheckCode.IRQL_NOT_LESS_OR_EQUAL,
                (self._irql, level, 0, 0),
                f"the IRQL was to be lowered from {self._irql} to {level}",
            )
        self._set_irql(level)

    def _level(self, level: int) -> int:
        self.check_running()
        return unsigned("IRQL", level, 4)

    def _set_irql(self, level: int) -> None:
        self._irql = self.gate = level
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
            if self.observer is not None:
                self.observer.ticked()

    def _run_balance_set_manager(self) -> None:
        registry = self.registry
        if self._phase < 2:
            minimum = self.minimum_lookaside_depth
            # All links first: a ring must not leave the lists before it tuned.
            for lookaside in tuple(
                registry.walk(registry.paged if self._phase else registry.nonpaged)
            ):
                lookaside.adjust_depth(minimum)
        self._phase = (self._phase + 1) % SCAN_PERIOD

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
        return self.memory.read(
            unsigned("address", address, bits), unsigned("size", size, bits)
        )

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
        self.memory.write(unsigned("address", address, self.arch.address_bits), bytes(data))

    def place_in_image(self, size: int) -> int:
        """Find room for a structure in the drivers' data section.

        Args:
            size: bytes of the structure.

        Returns:
            An unmapped address, aligned for a LOOKASIDE_LIST_EX.
        """
        alignment = self.arch.lookaside_alignment
        address = self._next_image_address
        while not self.memory.is_unmapped(address, size):
            address += alignment
        self._next_image_address = -(-(address + size) // alignment) * alignment
        return address

    def page_fault(self, address: int, operation: int = READ) -> NoReturn:
        """Stop the machine for a touch of unmapped memory."""
        verb = {READ: "read", 0x10: "executed"}.get(operation, "written")
        self.stop(
            BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA,
            (address, operation, 0, 0),
            f"{address:#x} was {verb}, and nothing is mapped there",
        )

    # --- stopping ------------------------------------------------------------------------

    def stop(
        self, code: BugCheckCode, parameters: tuple[int, int, int, int], message: str
    ) -> NoReturn:
        """KeBugCheckEx: stop the machine for good.

        Args:
            code: the stop code.
            parameters: its four parameters.
            message: one sentence on what happened.

        Raises:
            BugCheck: always.
        """
        self.check_running()
        self.bugcheck = BugCheck(code, parameters, message)
        self.gate = _STOPPED
        self.memory.stop_caching()  # sends every call of a list down its slow path
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
            self.memory.stop_caching()
        else:
            self.memory.caching = True

    @contextmanager
    def unobserved(self) -> Iterator[None]:
        """Do not report what happens inside: it is part of a call that is reported."""
        observer, self.observer = self.observer, None
        try:
            yield
        finally:
            self.observer = observer

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

"""Spin locks: KSPIN_LOCKs at addresses, and an object for a lock in a driver's data.

One thread of control runs the whole machine. A spin lock that another processor holds can
never be released while this one waits, so acquiring it is an error of the program.

Source:
    [doc] KeAcquireSpinLock, KeReleaseSpinLock, KeAcquireSpinLockAtDpcLevel; bug checks 0xF,
    0x10. Choice: a lock acquired twice on one processor stops the machine as checked builds do
    (0xF); on a free build the processor hangs. Choice: a held lock is the word 1; a lock that
    is held because its word was overwritten is the current processor's.
"""

from __future__ import annotations

from typing import Protocol, Self

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.machine.calls import AcquireLock, InitializeLock, ReleaseLock
from lookaside_sim.machine.machine import Machine
from lookaside_sim.nt.arguments import text, unsigned
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql


class SpinLocks:
    """The routines on KSPIN_LOCKs, wherever in memory they lie.

    Args:
        machine: the machine.
    """

    __slots__ = ("_machine", "_names", "_owners")

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._owners: dict[int, int] = {}
        self._names: dict[int, str] = {}

    def initialize(self, lock: int, name: str = "") -> None:
        """KeInitializeSpinLock: make the word at an address a lock that is free.

        Args:
            lock: address of the KSPIN_LOCK, one pointer.
            name: for messages.

        Raises:
            BugCheck: the memory cannot be touched.
        """
        lock, name = self._address(lock), text("name", name)
        self._machine.hooks.run(InitializeLock(lock, name), self._initialize, lock, name)

    def _initialize(self, lock: int, name: str) -> None:
        self._machine.memory.write_pointer(lock, 0)
        self._owners.pop(lock, None)
        self._names.pop(lock, None)
        if name:
            self._names[lock] = name

    def acquire(self, lock: int) -> int:
        """KeAcquireSpinLock: raise the IRQL to DISPATCH_LEVEL and take the lock.

        Args:
            lock: its address.

        Returns:
            The IRQL before, for `release`.

        Raises:
            BugCheck: IRQL_NOT_GREATER_OR_EQUAL above DISPATCH_LEVEL; SPIN_LOCK_ALREADY_OWNED;
                in verified code DRIVER_VERIFIER_DETECTED_VIOLATION (0x42).
            LookasideSimError: another processor holds it; nothing has changed.
        """
        lock = self._address(lock)
        call = AcquireLock(lock, self._names.get(lock, ""), at_dpc_level=False)
        return self._machine.hooks.run(call, self._acquire, lock)

    def _acquire(self, lock: int) -> int:
        machine = self._machine
        processors = machine.processors
        old = int(processors.irql)
        if old > Irql.DISPATCH_LEVEL:
            machine.stop(
                BugCheckCode.IRQL_NOT_GREATER_OR_EQUAL,
                (old, int(Irql.DISPATCH_LEVEL), 0, 0),
                f"the spin lock {self.described(lock)} was acquired at IRQL {old}",
            )
        machine.locked = True
        try:
            self._check_free(lock)
        finally:
            machine.locked = False
        processors.change_irql(int(Irql.DISPATCH_LEVEL), by_spin_lock=True)
        self._take(lock)
        return old

    def release(self, lock: int, old_irql: int) -> None:
        """KeReleaseSpinLock: let the lock go and lower the IRQL.

        Args:
            lock: its address.
            old_irql: what `acquire` returned, 0 to 15.

        Raises:
            BugCheck: SPIN_LOCK_NOT_OWNED; IRQL_NOT_LESS_OR_EQUAL; in verified code at another
                level than DISPATCH_LEVEL DRIVER_VERIFIER_DETECTED_VIOLATION (0x32).
            ValueError: no IRQL; the lock is held as before.
        """
        lock = self._address(lock)
        old_irql = unsigned("IRQL", old_irql, self._machine.arch.irql_bits)
        name = self._names.get(lock, "")
        call = ReleaseLock(lock, name, at_dpc_level=False, irql=old_irql)
        self._machine.hooks.run(call, self._release, lock, old_irql)

    def _release(self, lock: int, old_irql: int) -> None:
        self._let_go(lock)
        self._machine.processors.lower_to(old_irql)

    def acquire_at_dpc_level(self, lock: int) -> None:
        """KeAcquireSpinLockAtDpcLevel: take the lock, the IRQL being high enough already.

        Raises:
            BugCheck: SPIN_LOCK_ALREADY_OWNED; in verified code below DISPATCH_LEVEL
                DRIVER_VERIFIER_DETECTED_VIOLATION (0x40).
            LookasideSimError: another processor holds it.
        """
        lock = self._address(lock)
        call = AcquireLock(lock, self._names.get(lock, ""), at_dpc_level=True)
        self._machine.hooks.run(call, self._take, lock)

    def release_from_dpc_level(self, lock: int) -> None:
        """KeReleaseSpinLockFromDpcLevel: let the lock go.

        Raises:
            BugCheck: SPIN_LOCK_NOT_OWNED; in verified code below DISPATCH_LEVEL
                DRIVER_VERIFIER_DETECTED_VIOLATION (0x41).
        """
        lock = self._address(lock)
        irql = int(self._machine.processors.irql)
        call = ReleaseLock(lock, self._names.get(lock, ""), at_dpc_level=True, irql=irql)
        self._machine.hooks.run(call, self._let_go, lock)

    def owner_of(self, lock: int) -> int | None:
        """Number of the processor that holds a lock, None when it is free; looks only."""
        word = self._machine.memory.peek_pointer(lock)
        return self._owners.get(lock, self._machine.processors.current) if word else None

    def held(self) -> list[int]:
        """Addresses of the locks that were acquired and not let go, oldest first."""
        return list(self._owners)

    def described(self, lock: int) -> str:
        """A lock as messages name it: by its name and address."""
        name = self._names.get(lock, "")
        return f"{name!r} at {lock:#x}" if name else f"at {lock:#x}"

    def check_free(self, lock: int) -> None:
        """Be sure that a routine which holds a lock for a moment would get it.

        Raises:
            BugCheck: SPIN_LOCK_ALREADY_OWNED.
            LookasideSimError: another processor holds it.
        """
        self._check_free(self._address(lock))

    def _address(self, lock: int) -> int:
        """Take the address of a lock, on a machine that runs."""
        self._machine.check_running()
        return unsigned("lock", lock, self._machine.arch.address_bits)

    def _check_free(self, lock: int) -> None:
        machine = self._machine
        if not machine.memory.read_pointer(lock):
            return
        current = machine.processors.current
        owner = self._owners.get(lock, current)
        if owner == current:
            machine.stop(
                BugCheckCode.SPIN_LOCK_ALREADY_OWNED,
                (lock, 0, 0, 0),
                f"processor {owner} acquired the spin lock {self.described(lock)}, which it holds",
            )
        raise LookasideSimError(
            f"processor {current} would spin for ever: processor {owner} holds the spin lock"
            f" {self.described(lock)}"
        )

    def _take(self, lock: int) -> None:
        self._check_free(lock)
        self._machine.memory.write_pointer(lock, 1)
        self._owners[lock] = self._machine.processors.current

    def _let_go(self, lock: int) -> None:
        machine = self._machine
        if not machine.memory.read_pointer(lock):
            machine.stop(
                BugCheckCode.SPIN_LOCK_NOT_OWNED,
                (lock, 0, 0, 0),
                f"the spin lock {self.described(lock)} was released, and nobody holds it",
            )
        machine.memory.write_pointer(lock, 0)
        self._owners.pop(lock, None)


class LockHost(Protocol):
    """What has spin locks; `Kernel` is one."""

    @property
    def machine(self) -> Machine:
        """The machine."""

    @property
    def spin_locks(self) -> SpinLocks:
        """Its spin locks."""


class SpinLock:
    """A KSPIN_LOCK in a driver's data.

    As a context manager it is acquired inside, at DISPATCH_LEVEL.

    Args:
        kernel: the machine.
        name: for messages.

    Attributes:
        address: where it lies.
        name: as given.
    """

    __slots__ = ("__weakref__", "_locks", "_machine", "_old_irqls", "_word", "address", "name")

    is_idle = True
    """Its word and its address say all there is to it, whether it is held or not."""

    def __init__(self, kernel: LockHost, name: str = "") -> None:
        self._machine = machine = kernel.machine
        machine.check_running()
        text("name", name)
        self._locks = kernel.spin_locks
        self._old_irqls: list[int] = []
        self._word = bytes(machine.arch.pointer_size)
        self.name = name
        self.address = machine.program.find_data_place(self.image_size)
        machine.memory.attach(self)
        self._locks.initialize(self.address, name)

    @property
    def owner(self) -> int | None:
        """Number of the processor that holds it, None when it is free."""
        return self._locks.owner_of(self.address)

    @property
    def image_size(self) -> int:
        """Bytes of a KSPIN_LOCK."""
        return len(self._word)

    def store_image(self) -> bytes:
        """The word: 0 when it is free."""
        return self._word

    def load_image(self, image: bytes) -> None:
        """Take the word over."""
        self._word = image

    def acquire(self) -> int:
        """KeAcquireSpinLock; see `SpinLocks.acquire`."""
        return self._locks.acquire(self.address)

    def release(self, old_irql: int) -> None:
        """KeReleaseSpinLock; see `SpinLocks.release`."""
        self._locks.release(self.address, old_irql)

    def acquire_at_dpc_level(self) -> None:
        """KeAcquireSpinLockAtDpcLevel; see `SpinLocks.acquire_at_dpc_level`."""
        self._locks.acquire_at_dpc_level(self.address)

    def release_from_dpc_level(self) -> None:
        """KeReleaseSpinLockFromDpcLevel; see `SpinLocks.release_from_dpc_level`."""
        self._locks.release_from_dpc_level(self.address)

    def __enter__(self) -> Self:
        self._old_irqls.append(self.acquire())
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._old_irqls:
            raise LookasideSimError(
                f"the block of the spin lock {self.name!r} is left and was not entered"
            )
        old_irql = self._old_irqls.pop()
        if self._machine.bugcheck is None:
            self.release(old_irql)

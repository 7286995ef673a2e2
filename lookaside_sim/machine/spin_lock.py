"""Spin locks, and which processor runs.

One thread of control runs the whole machine; `Kernel.on_processor` says on which processor.
Each processor has an IRQL of its own. A spin lock that another processor holds can never be
released while this one waits, so acquiring it is an error of the program.

Source:
    [doc] KeAcquireSpinLock, KeReleaseSpinLock, KeAcquireSpinLockAtDpcLevel; bug checks 0xF,
    0x10 and 0xC4/0x32, 0x40 to 0x42. Choice: a lock acquired twice on one processor stops
    the machine as checked builds do (0xF); on a free build the processor hangs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.types import Irql
from lookaside_sim.nt.violations import Violation

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel


class SpinLock:
    """A KSPIN_LOCK in a driver's data.

    As a context manager it is acquired inside, at DISPATCH_LEVEL.

    Args:
        kernel: the machine.
        name: for messages.

    Attributes:
        address: where it lies.
        name: as given.
        owner: number of the processor that holds it, None when it is free.
    """

    __slots__ = ("_kernel", "_old_irql", "address", "name", "owner")

    def __init__(self, kernel: Kernel, name: str = "") -> None:
        kernel.check_running()
        self._kernel = kernel
        self.name = name
        self.owner: int | None = None
        self._old_irql = 0
        self.address = kernel.place_in_image(self.image_size)
        kernel.memory.attach(self)

    @property
    def image_size(self) -> int:
        """Bytes of a KSPIN_LOCK."""
        return self._kernel.arch.pointer_size

    def store_image(self) -> bytes:
        """One when it is held."""
        return int(self.owner is not None).to_bytes(self.image_size, "little")

    def load_image(self, image: bytes) -> None:
        """Take over bytes that were written: zero frees it."""
        held = any(image)
        self.owner = (
            (self._kernel.processor if self.owner is None else self.owner) if held else None
        )

    def acquire(self) -> int:
        """KeAcquireSpinLock: raise the IRQL to DISPATCH_LEVEL and take the lock.

        Returns:
            The IRQL before, for `release`.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0x42) in verified code above
                DISPATCH_LEVEL, else IRQL_NOT_GREATER_OR_EQUAL; SPIN_LOCK_ALREADY_OWNED.
            LookasideSimError: another processor holds it.
        """
        kernel = self._kernel
        kernel.check_running()
        old = int(kernel.irql)
        if old > Irql.DISPATCH_LEVEL:
            self._violation(Violation.ACQUIRE_SPIN_LOCK_IRQL, "acquired")
        kernel.change_irql(int(Irql.DISPATCH_LEVEL), by_spin_lock=True)
        self._take()
        return old

    def release(self, old_irql: int) -> None:
        """KeReleaseSpinLock: let the lock go and lower the IRQL.

        Args:
            old_irql: what `acquire` returned.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0x32) in verified code at another
                level than DISPATCH_LEVEL; SPIN_LOCK_NOT_OWNED; IRQL_NOT_LESS_OR_EQUAL.
        """
        kernel = self._kernel
        kernel.check_running()
        if kernel.irql != Irql.DISPATCH_LEVEL:
            self._violation(Violation.RELEASE_SPIN_LOCK_IRQL, "released")
        self._let_go()
        kernel.lower_irql(old_irql)

    def acquire_at_dpc_level(self) -> None:
        """KeAcquireSpinLockAtDpcLevel: take the lock, the IRQL being high enough already.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0x40) in verified code below
                DISPATCH_LEVEL; SPIN_LOCK_ALREADY_OWNED.
        """
        self._kernel.check_running()
        if self._kernel.irql < Irql.DISPATCH_LEVEL:
            self._violation(Violation.ACQUIRE_AT_DPC_LEVEL_IRQL, "acquired at DPC level")
        self._take()

    def release_from_dpc_level(self) -> None:
        """KeReleaseSpinLockFromDpcLevel: let the lock go.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0x41) in verified code below
                DISPATCH_LEVEL; SPIN_LOCK_NOT_OWNED.
        """
        self._kernel.check_running()
        if self._kernel.irql < Irql.DISPATCH_LEVEL:
            self._violation(Violation.RELEASE_FROM_DPC_LEVEL_IRQL, "released from DPC level")
        self._let_go()

    def _take(self) -> None:
        kernel = self._kernel
        if self.owner == kernel.processor:
            kernel.stop(
                BugCheckCode.SPIN_LOCK_ALREADY_OWNED,
                (self.address, 0, 0, 0),
                f"processor {self.owner} acquired the spin lock {self.name!r} at"
                f" {self.address:#x}, which it holds",
            )
        if self.owner is not None:
            raise LookasideSimError(
                f"processor {kernel.processor} would spin for ever: processor {self.owner}"
                f" holds the spin lock {self.name!r}"
            )
        self.owner = kernel.processor

    def _let_go(self) -> None:
        if self.owner is None:
            self._kernel.stop(
                BugCheckCode.SPIN_LOCK_NOT_OWNED,
                (self.address, 0, 0, 0),
                f"the spin lock {self.name!r} at {self.address:#x} was released, and nobody"
                " holds it",
            )
        self.owner = None

    def _violation(self, violation: Violation, verb: str) -> None:
        kernel = self._kernel
        verification = kernel.verification
        if verification is not None and verification.watches_caller():
            verification.stop(
                violation,
                (int(kernel.irql), self.address, 0),
                f"the spin lock {self.name!r} at {self.address:#x} was {verb} at IRQL"
                f" {int(kernel.irql)}",
            )

    def __enter__(self) -> Self:
        self._old_irql = self.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._kernel.bugcheck is None:
            self.release(self._old_irql)

"""Timers and resources, as far as the pool cares: they must not lie in memory that is freed.

Source:
    [doc] KeInitializeTimer, KeSetTimer, ExInitializeResourceLite; docs/sources.md, pool section 6
    (0xC4/0x15, 0x17, 0xD0 to 0xD2, 0xC7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.violations import Violation

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel

_TIMER_SIZE = {8: 0x40, 4: 0x28}
_RESOURCE_SIZE = {8: 0x68, 4: 0x38}


class KernelObjects:
    """The active timers and initialized resources of one kernel, by address.

    Args:
        kernel: the machine.

    Attributes:
        timers: when each active timer expires, in seconds since boot.
        resources: the resources that are initialized and not deleted.
    """

    __slots__ = ("_kernel", "resources", "timers")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.timers: dict[int, int] = {}
        self.resources: dict[int, None] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing here can lie in anybody's memory."""
        return not self.timers and not self.resources

    def set_timer(self, timer: int, seconds: int) -> bool:
        """KeSetTimer: start a timer.

        Returns:
            Whether it was active already.
        """
        kernel = self._kernel
        kernel.check_running()
        kernel.memory.read(timer, _TIMER_SIZE[kernel.arch.pointer_size])
        was_active = timer in self.timers
        self.timers[timer] = kernel.seconds + seconds
        return was_active

    def cancel_timer(self, timer: int) -> bool:
        """KeCancelTimer: stop a timer; returns whether it was active."""
        self._kernel.check_running()
        return self.timers.pop(timer, None) is not None

    def expire(self) -> None:
        """Drop the timers whose time has come."""
        now = self._kernel.seconds
        for timer in [each for each, due in self.timers.items() if due <= now]:
            del self.timers[timer]

    def initialize_resource(self, resource: int) -> None:
        """ExInitializeResourceLite."""
        kernel = self._kernel
        kernel.check_running()
        kernel.memory.read(resource, _RESOURCE_SIZE[kernel.arch.pointer_size])
        if resource in self.resources:
            self._violation(
                Violation.RESOURCE_INITIALIZED_TWICE,
                (resource, 0, 0),
                f"the ERESOURCE at {resource:#x} was initialized a second time",
            )
        self.resources[resource] = None

    def delete_resource(self, resource: int) -> None:
        """ExDeleteResourceLite."""
        self._kernel.check_running()
        if resource not in self.resources:
            self._violation(
                Violation.DELETE_OF_UNINITIALIZED_RESOURCE,
                (resource, 0, 0),
                f"the ERESOURCE at {resource:#x} was deleted and is not initialized",
            )
        self.resources.pop(resource, None)

    def check_memory(self, start: int, size: int, pool_type: int, described: str) -> None:
        """Stop for memory about to be freed that holds an active object.

        Raises:
            BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0x15 or 0xD2).
        """
        if self.is_empty:
            return
        for timer in self.timers:
            if start <= timer < start + size:
                self._violation(
                    Violation.FREE_WITH_ACTIVE_TIMER,
                    (timer, pool_type, start),
                    f"{described} was freed with an active timer at {timer:#x} in it",
                )
        for resource in self.resources:
            if start <= resource < start + size:
                self._violation(
                    Violation.FREE_WITH_RESOURCE,
                    (resource, start, size),
                    f"{described} was freed with an active ERESOURCE at {resource:#x} in it",
                )

    def check_image(self, start: int, end: int, name: str) -> None:
        """Stop for an image about to be unloaded that holds an active timer.

        Raises:
            BugCheck: TIMER_OR_DPC_INVALID.
        """
        for timer in self.timers:
            if start <= timer < end:
                self._kernel.stop(
                    BugCheckCode.TIMER_OR_DPC_INVALID,
                    (0, timer, start, end),
                    f"{name} is unloaded with an active timer at {timer:#x} in its image",
                )

    def _violation(
        self, violation: Violation, parameters: tuple[int, int, int], message: str
    ) -> None:
        verification = self._kernel.verification
        if verification is not None and verification.watches_caller():
            verification.stop(violation, parameters, message)

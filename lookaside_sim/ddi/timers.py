"""The documented routines for timers; import them from `lookaside_sim.ddi`.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.ddi.arguments import Pointer, address_of
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import integer

__all__ = [
    "KeCancelTimer",
    "KeInitializeTimer",
    "KeReadStateTimer",
    "KeSetTimer",
]

_UNITS_PER_SECOND: Final = 10_000_000
"""Units of a due time, 100 ns each, in a second."""


def KeInitializeTimer(Timer: Pointer) -> None:
    """Initialize a KTIMER that is not active; see `KernelObjects.initialize_timer`."""
    current_kernel().objects.initialize_timer(address_of("Timer", Timer))


def KeSetTimer(Timer: Pointer, DueTime: int, Dpc: Pointer) -> bool:
    """Start a timer; see `KernelObjects.set_timer`.

    Args:
        Timer: the KTIMER.
        DueTime: when it expires, in 100 ns: from now on if negative, else since the machine
            booted. Choice: its system time begins with the boot, and it looks at its timers
            once a second.
        Dpc: the KDPC that is queued then, or 0 for NULL.

    Returns:
        Whether it was active already.
    """
    kernel = current_kernel()
    timer = address_of("Timer", Timer)
    dpc = address_of("Dpc", Dpc)
    due = integer("DueTime", DueTime)
    if not -(1 << 63) <= due < 1 << 63:
        raise ValueError(f"DueTime {due}: give a LARGE_INTEGER, 64 bits with a sign")
    seconds = -(due // _UNITS_PER_SECOND) if due < 0 else -(-due // _UNITS_PER_SECOND)
    return kernel.objects.set_timer(timer, seconds - (0 if due < 0 else kernel.seconds), dpc)


def KeCancelTimer(Timer: Pointer) -> bool:
    """Stop a timer; see `KernelObjects.cancel_timer`. Returns whether it was active."""
    return current_kernel().objects.cancel_timer(address_of("Timer", Timer))


def KeReadStateTimer(Timer: Pointer) -> bool:
    """Whether a timer has expired."""
    kernel = current_kernel()
    kernel.check_running()
    return kernel.dispatcher.state(address_of("Timer", Timer)) > 0

"""The documented routines that tell the time; import them from `lookaside_sim.ddi`.

Time is the machine's own, in whole seconds: it passes by `Kernel.tick`, and while somebody waits.

Source:
    [doc] the page of each routine (wdm.h). Choice: the performance counter counts units of 100 ns.
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Out, Ulong, store, store_optional
from lookaside_sim.ddi.routine import routine
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.clock import BOOT_TIME, TICKS_A_SECOND, UNITS_A_SECOND

__all__ = [
    "KeQueryInterruptTime",
    "KeQueryPerformanceCounter",
    "KeQuerySystemTime",
    "KeQueryTickCount",
    "KeQueryTimeIncrement",
    "KeStallExecutionProcessor",
]


@routine
def KeQuerySystemTime(CurrentTime: Out) -> None:
    """The time of day, in 100 ns since 1601.

    Args:
        CurrentTime: where it goes, a LARGE_INTEGER.
    """
    store(CurrentTime, BOOT_TIME + current_kernel().seconds * UNITS_A_SECOND, 8)


@routine
def KeQueryTickCount(TickCount: Out) -> None:
    """How often the clock has ticked since boot; see `KeQueryTimeIncrement`.

    Args:
        TickCount: where it goes, a LARGE_INTEGER.
    """
    store(TickCount, current_kernel().seconds * TICKS_A_SECOND, 8)


def KeQueryTimeIncrement() -> int:
    """How much time passes from tick to tick, in 100 ns."""
    current_kernel().check_running()
    return UNITS_A_SECOND // TICKS_A_SECOND


def KeQueryInterruptTime() -> int:
    """The time since boot, in 100 ns."""
    kernel = current_kernel()
    kernel.check_running()
    return kernel.seconds * UNITS_A_SECOND


@routine
def KeQueryPerformanceCounter(PerformanceFrequency: Out) -> int:
    """The performance counter.

    Args:
        PerformanceFrequency: where it goes how much it counts in a second, a LARGE_INTEGER; or
            0 for NULL.
    """
    store_optional(PerformanceFrequency, UNITS_A_SECOND, 8)
    return current_kernel().seconds * UNITS_A_SECOND


@routine
def KeStallExecutionProcessor(MicroSeconds: Ulong) -> None:
    """Keep the processor busy: no time passes that anybody could measure."""

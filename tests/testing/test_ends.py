"""How a test may not end: raised IRQLs, locks, regions, handles, references, work that waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lookaside_sim import Kernel, SpinLock, ddi
from lookaside_sim.testing import LeakError, LeakTracker
from lookaside_sim.testing.ends import Ends


def _spin_lock(kernel: Kernel) -> None:
    SpinLock(kernel, "mine").acquire_at_dpc_level()


def _fast_mutex(kernel: Kernel) -> None:
    mutex = ddi.variable(ddi.FAST_MUTEX)
    ddi.ExInitializeFastMutex(mutex)
    ddi.ExAcquireFastMutexUnsafe(mutex)


def _handle(kernel: Kernel) -> None:
    ddi.ZwOpenKey(ddi.Ref(), 0, 0)


def _reference(kernel: Kernel) -> None:
    ddi.PsLookupProcessByProcessId(1, ddi.Ref())


def _work(kernel: Kernel) -> None:
    item = ddi.variable(ddi.WORK_QUEUE_ITEM)
    ddi.ExInitializeWorkItem(item, print, 0)
    ddi.ExQueueWorkItem(item, ddi.DelayedWorkQueue)


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (
            lambda kernel: kernel.raise_irql(1),
            "the IRQL of processor 0 was left at 1, and was 0",
        ),
        (_spin_lock, "the spin lock 'mine' at 0x"),
        (_fast_mutex, "the fast mutex at 0x"),
        (lambda kernel: ddi.KeEnterCriticalRegion(), "is in 1 critical or guarded regions"),
        (_handle, "handle 0x4 to the Key object at 0x"),
        (_reference, "a reference to the Process object 'System' at 0x"),
        (_work, "the work item at 0x"),
    ],
)
def test_what_is_left_over_is_told(
    kernel: Kernel, do: Callable[[Kernel], object], words: str
) -> None:
    with kernel, LeakTracker(kernel) as tracker:
        tracker.check()
        do(kernel)
        with pytest.raises(LeakError) as error:
            tracker.check()
    assert len(error.value.leaks) == 1
    assert words in str(error.value.leaks[0])


def test_what_was_so_before_is_none_of_ours(kernel: Kernel) -> None:
    with kernel:
        _handle(kernel)
        kernel.raise_irql(1)
        ends = Ends(kernel)
        assert ends.left() == []
        kernel.lower_irql(0)
        assert ends.left() == [("the IRQL of processor 0 was left at 0, and was 1", "")]


def test_the_irql_of_another_processor() -> None:
    kernel = Kernel(processors=2)
    ends = Ends(kernel)
    with kernel.on_processor(1):
        kernel.raise_irql(2)
    assert [what for what, _ in ends.left()] == [
        "the IRQL of processor 1 was left at 2, and was 0"
    ]

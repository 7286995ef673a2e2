"""Timer and resource routines: due times in 100 ns, statuses."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, LookasideSimError, NtStatus, ddi
from tests.ddi.helpers import memory
from tests.helpers import allocated

SECOND = 10_000_000  # in units of a due time


def seconds_until_it_expires(kernel: Kernel, timer: int) -> int:
    """How many ticks it takes until a timer is not active any more."""
    start = kernel.seconds
    while timer in kernel.objects.timers:
        kernel.tick()
    return kernel.seconds - start


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        (-1, 1),
        (-SECOND, 1),
        (-SECOND - 1, 2),
        (-5 * SECOND, 5),
        (0, 0),
        (4 * SECOND, 0),
        (4 * SECOND + 1, 1),
        (7 * SECOND, 3),
    ],
)
def test_a_due_time_is_relative_or_absolute(due: int, expected: int) -> None:
    with Kernel() as kernel:
        timer = allocated(kernel, 64)
        kernel.tick(4)
        ddi.KeInitializeTimer(timer)
        assert ddi.KeSetTimer(timer, due, 0) is False
        assert seconds_until_it_expires(kernel, timer) == expected


def test_setting_and_canceling_tell_whether_it_was_active() -> None:
    with Kernel() as kernel:
        timer = allocated(kernel, 64)
        assert ddi.KeSetTimer(timer, -SECOND, 0) is False
        assert ddi.KeSetTimer(timer, -SECOND, 0) is True
        assert ddi.KeCancelTimer(timer) is True
        assert ddi.KeCancelTimer(timer) is False


def test_resources_give_a_status() -> None:
    with Kernel() as kernel:
        resource = allocated(kernel, 128)
        assert ddi.ExInitializeResourceLite(resource) is NtStatus.STATUS_SUCCESS
        assert list(kernel.objects.resources) == [resource]
        assert ddi.ExDeleteResourceLite(resource) is NtStatus.STATUS_SUCCESS
        assert not kernel.objects.resources


@pytest.mark.parametrize("due", [1 << 63, -(1 << 63) - 1])
def test_a_due_time_is_a_large_integer(due: int) -> None:
    with Kernel() as kernel:
        timer = allocated(kernel, 64)
        with pytest.raises(ValueError, match=f"DueTime {due}: give a LARGE_INTEGER"):
            ddi.KeSetTimer(timer, due, 0)
        assert not kernel.objects.timers


def test_a_timer_is_signaled_and_queues_its_dpc_when_it_is_due(kernel: Kernel) -> None:
    seen: list[tuple[int, int]] = []
    with kernel:
        timer, dpc = memory(kernel), memory(kernel)

        def routine(of: int, context: int, argument1: int, argument2: int) -> None:
            seen.append((context, int(kernel.irql)))

        ddi.KeInitializeTimer(timer)
        ddi.KeInitializeDpc(dpc, routine, 0x55)
        assert not ddi.KeSetTimer(timer, -20_000_000, dpc)
        kernel.tick(1)
        assert ddi.KTIMER(timer).Header.SignalState == 0
        assert ddi.KeWaitForSingleObject(timer, 0, 0, False, 0) == 0
        assert kernel.seconds == 2
        assert ddi.KeReadStateTimer(timer)
        kernel.queues.run()
        assert seen == [(0x55, 2)]
        assert ddi.KeCancelTimer(timer) is False


def test_a_wait_that_the_dpc_of_a_timer_ends(kernel: Kernel) -> None:
    with kernel:
        event, timer, dpc = memory(kernel), memory(kernel), memory(kernel)
        ddi.KeInitializeEvent(event, ddi.NotificationEvent, False)
        ddi.KeInitializeTimer(timer)
        ddi.KeInitializeDpc(dpc, lambda *given: ddi.KeSetEvent(event, 0, False), 0)
        ddi.KeSetTimer(timer, -3 * SECOND, dpc)
        assert ddi.KeWaitForSingleObject(event, 0, 0, False, 0) == 0
        assert kernel.seconds == 3


def test_a_wait_for_a_timer_that_is_not_set(kernel: Kernel) -> None:
    with kernel:
        timer = memory(kernel)
        ddi.KeInitializeTimer(timer)
        with pytest.raises(LookasideSimError, match="KeSetTimer and the time until it is due"):
            ddi.KeWaitForSingleObject(timer, 0, 0, False, 0)


def test_a_dpc_is_queued_once(kernel: Kernel) -> None:
    runs: list[int] = []
    with kernel:
        dpc = memory(kernel)
        ddi.KeInitializeDpc(dpc, lambda of, context, one, two: runs.append(one + two), 0)
        assert ddi.KeInsertQueueDpc(dpc, 1, 2)
        assert not ddi.KeInsertQueueDpc(dpc, 3, 4)
        assert ddi.KeRemoveQueueDpc(dpc)
        assert not ddi.KeRemoveQueueDpc(dpc)
        assert ddi.KeInsertQueueDpc(dpc, 5, 6)
        ddi.KeFlushQueuedDpcs()
        assert runs == [11]

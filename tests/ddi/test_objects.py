"""Timer and resource routines: due times in 100 ns, statuses."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, NtStatus, ddi
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

"""The events of low and high memory."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Kernel,
    PoolType,
    ddi,
)

NONPAGED = PoolType.NonPagedPool


def test_events_follow_the_pool() -> None:
    kernel = Kernel(nonpaged_pool_bytes=64 * 4096, nonpaged_nx_pool_bytes=0)
    with kernel:
        low = ddi.IoCreateNotificationEvent("\\KernelObjects\\LowNonPagedPoolCondition")
        high = ddi.IoCreateNotificationEvent("HighNonPagedPoolCondition")
        paged = ddi.IoCreateNotificationEvent("HighPagedPoolCondition")
        memory = ddi.IoCreateNotificationEvent("LowMemoryCondition")
        assert (ddi.KeReadStateEvent(low), ddi.KeReadStateEvent(high)) == (0, 1)
        ddi.ExAllocatePoolWithTag(NONPAGED, 60 * 4096, b"Fill")
        assert (ddi.KeReadStateEvent(low), ddi.KeReadStateEvent(high)) == (1, 0)
        assert (ddi.KeReadStateEvent(paged), ddi.KeReadStateEvent(memory)) == (1, 0)
        with pytest.raises(ValueError, match="LowPagedPoolCondition"):
            ddi.IoCreateNotificationEvent("Nonsense")

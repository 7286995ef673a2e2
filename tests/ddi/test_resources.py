"""ERESOURCEs: shared, alone, recursive, and released by the wrong thread."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, LookasideSimError, ddi
from tests.ddi.helpers import memory


@pytest.fixture
def resource(current: Kernel) -> int:
    made = memory(current)
    assert ddi.ExInitializeResourceLite(made) == 0
    return made


def test_alone_and_again(current: Kernel, resource: int) -> None:
    assert ddi.ExAcquireResourceExclusiveLite(resource, True)
    assert ddi.ExAcquireResourceExclusiveLite(resource, False)
    assert ddi.ExAcquireResourceSharedLite(resource, False)
    assert ddi.ExIsResourceAcquiredExclusiveLite(resource)
    assert ddi.ExIsResourceAcquiredSharedLite(resource) == 3
    here = ddi.ERESOURCE(resource)
    assert (here.ActiveCount, here.Flag, here.OwnerEntry.OwnerThread) == (
        1,
        0x80,
        ddi.ExGetCurrentResourceThread(),
    )
    with current.threads.run(current.threads.make()):
        assert not ddi.ExAcquireResourceSharedLite(resource, False)
    for _ in range(3):
        ddi.ExReleaseResourceLite(resource)
    assert (here.ActiveCount, here.Flag) == (0, 0)
    assert ddi.ExDeleteResourceLite(resource) == 0


def test_shared_by_two_threads(current: Kernel, resource: int) -> None:
    other = current.threads.make()
    assert ddi.ExAcquireSharedStarveExclusive(resource, True)
    with current.threads.run(other):
        assert ddi.ExAcquireSharedWaitForExclusive(resource, True)
        assert ddi.ERESOURCE(resource).ActiveCount == 2
        assert not ddi.ExAcquireResourceExclusiveLite(resource, False)
    ddi.ExReleaseResourceForThreadLite(resource, other)
    with pytest.raises(LookasideSimError, match=r"this thread took the ERESOURCE .* shared at"):
        ddi.ExAcquireResourceExclusiveLite(resource, True)
    ddi.ExReleaseResourceLite(resource)
    assert not current.threads.held()


def test_converted(current: Kernel, resource: int) -> None:
    ddi.ExAcquireResourceExclusiveLite(resource, True)
    ddi.ExConvertExclusiveToSharedLite(resource)
    with current.threads.run(current.threads.make()):
        assert ddi.ExAcquireResourceSharedLite(resource, True)
        with pytest.raises(BugCheck, match="RESOURCE_NOT_OWNED"):
            ddi.ExConvertExclusiveToSharedLite(resource)


def test_with_a_critical_region(current: Kernel, resource: int) -> None:
    assert ddi.ExEnterCriticalRegionAndAcquireResourceExclusive(resource)
    assert ddi.KeAreApcsDisabled()
    ddi.ExReleaseResourceAndLeaveCriticalRegion(resource)
    assert ddi.ExEnterCriticalRegionAndAcquireResourceShared(resource)
    ddi.ExReleaseResourceAndLeaveCriticalRegion(resource)
    assert not ddi.KeAreApcsDisabled()


def test_released_by_a_thread_that_does_not_own_it(current: Kernel, resource: int) -> None:
    with pytest.raises(BugCheck) as stop:
        ddi.ExReleaseResourceLite(resource)
    assert stop.value.code is BugCheckCode.RESOURCE_NOT_OWNED
    assert stop.value.parameters[:2] == (resource, current.threads.current)


def test_not_initialized_or_at_dispatch_level(current: Kernel, resource: int) -> None:
    with pytest.raises(LookasideSimError, match="call ExInitializeResourceLite"):
        ddi.ExAcquireResourceSharedLite(memory(current), True)
    with current.raise_irql(2), pytest.raises(BugCheck, match="APC_LEVEL"):
        ddi.ExAcquireResourceSharedLite(resource, True)

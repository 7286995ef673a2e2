"""Run-down protection."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, LookasideSimError, ddi
from tests.ddi.helpers import memory


def test_protection_is_given_until_the_object_is_run_down(current: Kernel) -> None:
    reference = memory(current)
    ddi.ExInitializeRundownProtection(reference)
    assert ddi.ExAcquireRundownProtection(reference)
    assert ddi.ExAcquireRundownProtection(reference)
    assert ddi.EX_RUNDOWN_REF(reference).Count == 4
    ddi.ExReleaseRundownProtection(reference)
    current.queues.add("work item", 1, ddi.ExReleaseRundownProtection, (reference,))
    ddi.ExWaitForRundownProtectionRelease(reference)
    assert not current.threads.held()
    assert not ddi.ExAcquireRundownProtection(reference)
    ddi.ExReInitializeRundownProtection(reference)
    assert ddi.ExAcquireRundownProtection(reference)
    ddi.ExReleaseRundownProtection(reference)
    ddi.ExRundownCompleted(reference)
    assert not ddi.ExAcquireRundownProtection(reference)


def test_nobody_lets_go(current: Kernel) -> None:
    reference = memory(current)
    ddi.ExAcquireRundownProtection(reference)
    with pytest.raises(
        LookasideSimError, match=r"taken at test_nobody_lets_go .* have to be rel"
    ):
        ddi.ExWaitForRundownProtectionRelease(reference)


def test_released_without_being_taken(current: Kernel) -> None:
    with pytest.raises(LookasideSimError, match="nobody has any"):
        ddi.ExReleaseRundownProtection(memory(current))

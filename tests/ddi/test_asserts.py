"""Assertions of a driver that is built checked."""

from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, BugCheckCode, Kernel, NtStatus, ddi


def test_what_holds_is_silent(current: Kernel) -> None:
    ddi.PAGED_CODE()
    with current.raise_irql(1):
        ddi.PAGED_CODE()
    assert ddi.NT_ASSERT(1)
    assert ddi.NT_ASSERTMSG("one", 1)
    assert ddi.ASSERT is ddi.NT_VERIFY is ddi.NT_ASSERT


def test_paged_code_at_dispatch_level_stops(current: Kernel) -> None:
    with current.raise_irql(2), pytest.raises(BugCheck, match="runs at IRQL 2") as stop:
        ddi.PAGED_CODE()
    assert stop.value.code is BugCheckCode.KMODE_EXCEPTION_NOT_HANDLED
    assert stop.value.parameters[0] == NtStatus.STATUS_ASSERTION_FAILURE


def test_an_assertion_that_fails_stops(current: Kernel) -> None:
    with pytest.raises(BugCheck, match="an assertion does not hold: 0"):
        ddi.NT_ASSERT(0)
    with pytest.raises(BugCheck):
        ddi.NT_ASSERT(1)

"""Routines that stop the machine or raise a status."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from lookaside_sim import BugCheckCode, Kernel, NtStatusError, ddi
from tests.ddi.helpers import memory
from tests.helpers import stop_of


def test_a_driver_may_stop_the_machine_with_any_code(current: Kernel) -> None:
    stop = stop_of(lambda: ddi.KeBugCheckEx(0xDEAD, 1, 2, 3, 4))
    assert (stop.code, stop.parameters) == (0xDEAD, (1, 2, 3, 4))
    assert "in test_a_driver_may_stop" in stop.message
    assert stop_of(lambda: ddi.KeBugCheck(0xE2)) is stop


def test_a_plain_stop_has_no_parameters(current: Kernel) -> None:
    with pytest.raises(ValueError, match="BugCheckCode"):
        ddi.KeBugCheck(1 << 32)
    stop = stop_of(lambda: ddi.KeBugCheck(BugCheckCode.PAGE_FAULT_IN_NONPAGED_AREA))
    assert stop.parameters == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("raising", "status", "name"),
    [
        (lambda: ddi.ExRaiseStatus(ddi.STATUS_NO_MEMORY), 0xC000_0017, "STATUS_NO_MEMORY"),
        (lambda: ddi.RtlRaiseStatus(0xC000_1234), 0xC000_1234, "STATUS_C0001234"),
        (ddi.ExRaiseAccessViolation, 0xC000_0005, "STATUS_ACCESS_VIOLATION"),
        (ddi.ExRaiseDatatypeMisalignment, 0x8000_0002, "STATUS_DATATYPE_MISALIGNMENT"),
    ],
)
def test_any_status_can_be_raised_and_caught(
    current: Kernel, raising: Callable[[], None], status: int, name: str
) -> None:
    with pytest.raises(NtStatusError) as caught:
        raising()
    assert (caught.value.status, caught.value.status.name) == (status, name)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert current.bugcheck is None


def test_probes_look_at_the_user_half(current: Kernel) -> None:
    ddi.ProbeForRead(0x1_0000, 8, 4)
    ddi.ProbeForRead(memory(current), 0, 1)  # nothing is asked for
    for probe in (ddi.ProbeForRead, ddi.ProbeForWrite):
        with pytest.raises(NtStatusError, match="STATUS_DATATYPE_MISALIGNMENT"):
            probe(0x1_0001, 8, 4)
        with pytest.raises(NtStatusError, match="STATUS_ACCESS_VIOLATION"):
            probe(memory(current), 8, 1)
    with pytest.raises(NtStatusError, match="STATUS_ACCESS_VIOLATION"):
        ddi.ProbeForWrite(0x1_0000, 8, 4)  # nothing is mapped there

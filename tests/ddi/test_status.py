"""Statuses and the macros that judge them."""

from __future__ import annotations

import pytest

from lookaside_sim import NtStatus, ddi


def test_each_status_is_judged_by_its_two_top_bits() -> None:
    judges = (ddi.NT_INFORMATION, ddi.NT_WARNING, ddi.NT_ERROR)
    for status, expected in (
        (ddi.STATUS_SUCCESS, (False, False, False)),
        (ddi.STATUS_PENDING, (False, False, False)),
        (ddi.STATUS_OBJECT_NAME_EXISTS, (True, False, False)),
        (ddi.STATUS_BUFFER_OVERFLOW, (False, True, False)),
        (ddi.STATUS_UNSUCCESSFUL, (False, False, True)),
    ):
        assert tuple(judge(status) for judge in judges) == expected
        assert ddi.NT_SUCCESS(status) == status.is_success == (not any(expected[1:]))
    assert ddi.NT_ERROR(0xC0000001 - (1 << 32))  # as a LONG
    with pytest.raises(ValueError, match="32 bits"):
        ddi.NT_SUCCESS(1 << 32)


def test_all_statuses_have_their_names() -> None:
    for name, value in NtStatus.__members__.items():
        assert getattr(ddi, name) is value

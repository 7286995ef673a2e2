"""The exceptions: what they carry and how they read."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    AllocError,
    BugCheck,
    BugCheckCode,
    InitError,
    InvariantError,
    LayoutError,
    LookasideSimError,
    NotSupportedError,
    NtStatus,
    NtStatusError,
    TraceError,
)


def test_a_bug_check_carries_code_parameters_and_message() -> None:
    stop = BugCheck(BugCheckCode.BAD_POOL_CALLER, (7, 0, 0x20001, 0x9000_1010), "freed twice")
    assert stop.code is BugCheckCode.BAD_POOL_CALLER
    assert stop.parameters == (7, 0, 0x20001, 0x9000_1010)
    assert stop.message == "freed twice"
    assert str(stop) == "BAD_POOL_CALLER (0xc2) (0x7, 0x0, 0x20001, 0x90001010): freed twice"


def test_stop_codes_have_their_documented_values() -> None:
    assert {code.name: int(code) for code in BugCheckCode}.items() >= {
        "IRQL_NOT_GREATER_OR_EQUAL": 0x9,
        "IRQL_NOT_LESS_OR_EQUAL": 0xA,
        "BAD_POOL_HEADER": 0x19,
        "PAGE_FAULT_IN_NONPAGED_AREA": 0x50,
        "BAD_POOL_CALLER": 0xC2,
        "KERNEL_SECURITY_CHECK_FAILURE": 0x139,
    }.items()


def test_a_status_error_carries_its_status() -> None:
    error = NtStatusError(NtStatus.STATUS_INSUFFICIENT_RESOURCES, "no room")
    assert error.status is NtStatus.STATUS_INSUFFICIENT_RESOURCES
    assert error.message == "no room"
    assert str(error) == "STATUS_INSUFFICIENT_RESOURCES (0xc000009a): no room"
    plain = NtStatusError(NtStatus.STATUS_INVALID_PARAMETER)
    assert str(plain) == "STATUS_INVALID_PARAMETER (0xc000000d)"


def test_an_init_error_carries_its_status() -> None:
    error = InitError(NtStatus.STATUS_INVALID_PARAMETER_4, "refused")
    assert error.status is NtStatus.STATUS_INVALID_PARAMETER_4
    assert error.message == "refused"
    assert str(error) == "refused: STATUS_INVALID_PARAMETER_4 (0xc00000f2)"


@pytest.mark.parametrize(
    ("field", "text"),
    [("size", "a.jsonl, line 3, field 'size': bad"), (None, "a.jsonl, line 3: bad")],
)
def test_a_trace_error_says_where(field: str | None, text: str) -> None:
    error = TraceError("a.jsonl", 3, field, "bad")
    assert (error.file, error.line, error.field, error.problem) == ("a.jsonl", 3, field, "bad")
    assert str(error) == text


@pytest.mark.parametrize(
    "kind",
    [InitError, AllocError, LayoutError, NotSupportedError, TraceError, InvariantError],
)
def test_the_packages_own_errors_have_one_base(kind: type[Exception]) -> None:
    assert issubclass(kind, LookasideSimError)
    assert not issubclass(kind, (BugCheck, NtStatusError))


def test_what_nt_does_is_no_error_of_the_package() -> None:
    for kind in (BugCheck, NtStatusError):
        assert issubclass(kind, Exception)
        assert not issubclass(kind, LookasideSimError)
    assert issubclass(InvariantError, AssertionError)

"""The exceptions: what they carry and how they read."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from lookaside_sim import (
    AllocError,
    BugCheck,
    BugCheckCode,
    InitError,
    InvariantError,
    Kernel,
    LayoutError,
    LookasideSimError,
    NotSupportedError,
    NtStatus,
    NtStatusError,
    PoolType,
    SanitizerError,
    TraceError,
    Verifier,
)
from lookaside_sim.errors import NamedBlock, NamedList
from lookaside_sim.testing import Allocate, AllocatorDifference
from lookaside_sim.testing.leaks import LeakError, LeakTracker
from tests.helpers import new_list, stop_of


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


# --- carried to another process -----------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        BugCheck(BugCheckCode.BAD_POOL_CALLER, (7, 0, 0x20001, 0x1010), "freed twice"),
        NtStatusError(NtStatus.STATUS_INSUFFICIENT_RESOURCES, "no room"),
        LookasideSimError("wrong"),
        InitError(NtStatus.STATUS_INVALID_PARAMETER_4, "refused"),
        AllocError("none left"),
        LayoutError("too large"),
        NotSupportedError("Not supported"),
        TraceError("a.jsonl", 3, "size", "bad"),
        InvariantError("does not hold"),
        AllocatorDifference("differs", [Allocate()], {"result": 1}, {"result": None}),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("carry", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_an_error_can_be_carried_elsewhere(error: Exception, carry: Any) -> None:
    error.add_note("a note")
    again = carry(error)
    assert type(again) is type(error)
    assert again.args == error.args
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_a_carried_report_names_its_list() -> None:
    lookaside = new_list(Kernel(sanitizer=True), "drv!List")
    entry = lookaside.allocate()
    lookaside.free(entry)
    with pytest.raises(SanitizerError) as caught:
        lookaside.free(entry)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.history == caught.value.history
    assert again.lookaside == NamedList("drv!List", lookaside.address)
    assert caught.value.lookaside is lookaside


def test_a_carried_stop_names_its_leaks() -> None:
    driver = Kernel(verifier=Verifier.standard()).load_driver("my.sys")
    block = driver.allocate(PoolType.NonPagedPool, 24, b"Leak")
    stop = stop_of(driver.unload)
    again = pickle.loads(pickle.dumps(stop))
    assert str(again) == str(stop)
    leak = stop.leaks[0]
    assert again.leaks == (NamedBlock(block or 0, 24, leak.tag, leak.call_site),)


def test_a_carried_leak_keeps_its_report() -> None:
    kernel = Kernel()
    with LeakTracker(kernel) as tracker:
        new_list(kernel).allocate()
        with pytest.raises(LeakError) as caught:
            tracker.check()
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert [each.what for each in again.leaks] == [each.what for each in caught.value.leaks]
    assert [each.lookaside for each in again.leaks] == [None] * len(again.leaks)

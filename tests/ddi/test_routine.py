"""Routines of NT's are told, macros are the driver's own code, and both check their arguments."""

from __future__ import annotations

import inspect

import pytest

from lookaside_sim import BugCheck, Kernel, ddi
from lookaside_sim.ddi.arguments import TAKERS
from lookaside_sim.ddi.routine import INLINED, ROUTINES
from lookaside_sim.machine.calls import Call, ReadMemory, WriteMemory
from lookaside_sim.system.calls import CallRoutine
from tests.ddi.helpers import memory


def test_a_routine_is_told_once_with_plain_arguments(current: Kernel) -> None:
    head, lock = memory(current), memory(current)
    ddi.KeInitializeSpinLock(lock)
    ddi.InitializeListHead(head)
    heard: list[Call] = []
    current.listen(heard.append, reads=True)
    ddi.ExInterlockedRemoveHeadList(ddi.LIST_ENTRY(head), lock)
    assert [type(call) for call in heard] == [CallRoutine, CallRoutine]
    (call, again) = heard
    assert call is again
    assert isinstance(call, CallRoutine)
    assert (call.name, call.arguments, call.result) == (
        "ExInterlockedRemoveHeadList",
        (head, lock),
        0,
    )


def test_a_macro_is_the_reads_and_writes_of_the_driver(current: Kernel) -> None:
    head = memory(current)
    heard: list[Call] = []
    current.listen(heard.append, reads=True)
    ddi.InitializeListHead(head)
    assert ddi.IsListEmpty(head)
    assert {type(call) for call in heard} == {ReadMemory, WriteMemory}


def test_each_has_types_that_are_checked() -> None:
    for name, function in {**ROUTINES, **INLINED}.items():
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.annotation in TAKERS, name
            assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert not ROUTINES.keys() & INLINED.keys()


def test_arguments_by_name_and_missing_ones(current: Kernel) -> None:
    block = memory(current)
    ddi.RtlFillMemory(Destination=block, Length=2, Fill=-1)
    assert current.read(block, 2) == b"\xff\xff"
    with pytest.raises(TypeError, match="Length"):
        ddi.RtlZeroMemory(block)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ((True, 1), "Destination True: give an address"),
        ((-1, 1), "Destination -1: give 0 to"),
        (("here", 1), "Destination 'here': give an address"),
        ((0x10, -1), "Length -1: give 0 to"),
    ],
)
def test_an_argument_that_c_could_not_pass(
    current: Kernel, wrong: tuple[object, object], words: str
) -> None:
    heard: list[Call] = []
    current.listen(heard.append)
    with pytest.raises((TypeError, ValueError), match=words):
        ddi.RtlZeroMemory(*wrong)  # type: ignore[arg-type]
    assert not heard


def test_a_machine_that_has_stopped_runs_nothing(current: Kernel) -> None:
    block = memory(current)
    with pytest.raises(BugCheck):
        ddi.RtlZeroMemory((1 << 8 * current.arch.pointer_size) - 0x1000, 1)
    with pytest.raises(BugCheck):
        ddi.IsListEmpty(block)
    with pytest.raises(BugCheck):
        ddi.ExInterlockedPopEntryList(block, block)


def test_outside_of_any_kernel() -> None:
    with pytest.raises(LookupError, match="no kernel is current"):
        ddi.RtlZeroMemory(0x10, 1)

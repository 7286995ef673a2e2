"""Processors, and the IRQL of each."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    BugCheck,
    BugCheckCode,
    Irql,
    Kernel,
)
from tests.helpers import nowhere, stop_of


def test_each_processor_has_its_irql() -> None:
    kernel = Kernel(processors=2)
    kernel.raise_irql(1)
    with kernel.on_processor(1) as number:
        assert (number, kernel.processor, kernel.irql) == (1, 1, 0)
        kernel.raise_irql(2)
        with kernel.on_processor(0):
            assert kernel.irql == 1
        assert kernel.irql == 2
    assert (kernel.processor, kernel.irql) == (0, 1)
    with pytest.raises(ValueError, match="processor 2"), kernel.on_processor(2):
        pass


def test_levels_have_their_documented_names() -> None:
    levels = {level.name: int(level) for level in Irql}
    assert levels == {
        "PASSIVE_LEVEL": 0,
        "APC_LEVEL": 1,
        "DISPATCH_LEVEL": 2,
        "CLOCK_LEVEL": 13,
        "IPI_LEVEL": 14,
        "HIGH_LEVEL": 15,
    }


def test_raise_irql_as_a_context_manager(kernel: Kernel) -> None:
    seen: list[Irql | int] = []
    with kernel.raise_irql(Irql.APC_LEVEL) as outer:
        seen.append(kernel.irql)
        with kernel.raise_irql(2) as inner:
            seen.append(kernel.irql)
        seen.append(kernel.irql)
    seen.append(kernel.irql)
    assert seen == [Irql.APC_LEVEL, Irql.DISPATCH_LEVEL, Irql.APC_LEVEL, Irql.PASSIVE_LEVEL]
    assert all(isinstance(level, Irql) for level in seen)
    assert (outer.previous, inner.previous) == (0, 1)


def test_raise_irql_as_a_call(kernel: Kernel) -> None:
    scope = kernel.raise_irql(2)
    assert kernel.irql == 2
    kernel.lower_irql(scope.previous)
    assert kernel.irql == 0


def test_raising_and_lowering_to_the_same_level(kernel: Kernel) -> None:
    with kernel.raise_irql(2), kernel.raise_irql(2):
        kernel.lower_irql(2)
        assert kernel.irql == 2
    assert kernel.irql == 0


@pytest.mark.parametrize("level", range(16))
def test_every_level_can_be_reached(kernel: Kernel, level: int) -> None:
    named = {0, 1, 2} if kernel.arch.name == "x86" else {int(each) for each in Irql}
    with kernel.raise_irql(level):
        assert kernel.irql == level
        assert isinstance(kernel.irql, Irql) is (level in named)
    assert kernel.irql == 0


def test_an_exception_lowers_the_irql(kernel: Kernel) -> None:
    with pytest.raises(KeyError), kernel.raise_irql(2):
        raise KeyError("body")
    assert kernel.irql == 0


def test_raising_to_a_lower_level_stops(kernel: Kernel) -> None:
    kernel.raise_irql(2)
    with pytest.raises(BugCheck) as stop:
        kernel.raise_irql(1)
    assert stop.value.code is BugCheckCode.IRQL_NOT_GREATER_OR_EQUAL
    assert stop.value.parameters == (2, 1, 0, 0)


def test_lowering_to_a_higher_level_stops(kernel: Kernel) -> None:
    kernel.raise_irql(1)
    with pytest.raises(BugCheck) as stop:
        kernel.lower_irql(2)
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL
    assert stop.value.parameters == (1, 2, 0, 0)


def test_leaving_a_scope_that_was_lowered_further_stops(kernel: Kernel) -> None:
    kernel.raise_irql(1)
    with pytest.raises(BugCheck) as stop, kernel.raise_irql(2):
        kernel.lower_irql(0)
    assert stop.value.code is BugCheckCode.IRQL_NOT_LESS_OR_EQUAL


def test_leaving_a_scope_after_a_stop_keeps_the_stop(kernel: Kernel) -> None:
    with pytest.raises(BugCheck) as stop, kernel.raise_irql(2):
        kernel.read(nowhere(kernel), 1)
    assert stop.value.code is BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL
    assert kernel.irql == 2  # as it was when the machine stopped


@pytest.mark.parametrize("level", [-1, 32, 255])
@pytest.mark.parametrize("method", ["raise_irql", "lower_irql"])
def test_what_is_no_level_is_refused(kernel: Kernel, method: str, level: int) -> None:
    with pytest.raises(ValueError, match=str(level)):
        getattr(kernel, method)(level)
    assert (kernel.irql, kernel.bugcheck) == (0, None)


@pytest.mark.parametrize("level", [1.0, "1", None])
@pytest.mark.parametrize("method", ["raise_irql", "lower_irql"])
def test_a_level_of_another_type_is_refused(kernel: Kernel, method: str, level: object) -> None:
    with pytest.raises(TypeError):
        getattr(kernel, method)(level)
    assert (kernel.irql, kernel.bugcheck) == (0, None)


@pytest.mark.parametrize(("arch", "highest"), [("x64", 15), ("x86", 31)])
def test_high_level_is_the_highest(arch: str, highest: int) -> None:
    kernel = Kernel(arch)
    with pytest.raises(ValueError, match=f"IRQL {highest + 1}"):
        kernel.raise_irql(highest + 1)
    kernel.raise_irql(highest)
    assert getattr(kernel.irql, "name", "") == "HIGH_LEVEL"
    stop = stop_of(lambda: kernel.read(nowhere(kernel), 1))
    assert (stop.code, stop.parameters[1]) == (
        BugCheckCode.DRIVER_IRQL_NOT_LESS_OR_EQUAL,
        highest,
    )


def test_levels_have_the_names_of_their_machine() -> None:
    kernel = Kernel("x86")
    names = []
    for level in (0, 1, 2, 13, 27, 28, 29, 30, 31):
        kernel.raise_irql(level)
        names.append(getattr(kernel.irql, "name", level))
    assert names == [
        "PASSIVE_LEVEL",
        "APC_LEVEL",
        "DISPATCH_LEVEL",
        13,
        "PROFILE_LEVEL",
        "CLOCK_LEVEL",
        "IPI_LEVEL",
        "POWER_LEVEL",
        "HIGH_LEVEL",
    ]

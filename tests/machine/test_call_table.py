"""Every public callable that changes a machine is told exactly once, and none is forgotten."""

from __future__ import annotations

import inspect

import pytest

from lookaside_sim import Kernel, LookasideList, ddi, windbg
from lookaside_sim.ddi.routine import INLINED, ROUTINES
from lookaside_sim.machine.calls import Call, StopMachine
from lookaside_sim.system.calls import CallRoutine, LoadImage, RunQueued
from lookaside_sim.trace.format import OPS
from tests.machine.call_table import EXCEPTIONS, METHODS, Do, Scene
from tests.machine.front_table import DDI, DDI_HELPERS, DDI_LOOKS, OTHERS, WINDBG
from tests.machine.helpers import Heard

ROWS = {
    **{
        f"{owner.__name__}.{name}": row
        for owner, rows in METHODS.items()
        for name, row in rows.items()
    },
    **{f"ddi.{name}": row for name, row in DDI.items()},
    **{f"windbg.{name}": row for name, row in WINDBG.items()},
    **OTHERS,
}
MADE = {*ROUTINES.values(), *INLINED.values()}


@pytest.mark.parametrize(("do", "kinds"), ROWS.values(), ids=ROWS)
def test_it_is_told_once_when_it_begins_and_once_when_it_is_over(
    do: Do, kinds: list[type[Call]]
) -> None:
    scene = Scene()
    with scene.kernel:
        heard = Heard(scene.kernel, reads=True)
        do(scene)
    assert heard.kinds == kinds
    assert [call for is_over, call in heard.told if is_over] == heard.calls


@pytest.mark.parametrize(("do", "kinds"), ROWS.values(), ids=ROWS)
def test_it_does_the_same_while_nobody_listens(do: Do, kinds: list[type[Call]]) -> None:
    plain, heard = Scene(), Scene()
    Heard(heard.kernel, reads=True)
    for scene in (plain, heard):
        with scene.kernel:
            do(scene)
    for look in (state_of_lists, state_of_pools, state_of_processors):
        assert look(plain) == look(heard)


def state_of_lists(scene: Scene) -> object:
    return bytes(scene.list), bytes(scene.blank), len(scene.kernel.lookaside_lists)


def state_of_pools(scene: Scene) -> object:
    return scene.pool.rows(), scene.kernel.seconds, repr(scene.kernel)


def state_of_processors(scene: Scene) -> object:
    locks = scene.kernel.spin_locks
    return (
        scene.kernel.irql,
        scene.kernel.processor,
        locks.held(),
        scene.kernel.drivers.all[-1].name,
    )


def test_every_method_is_in_the_table_or_has_a_reason_not_to_be() -> None:
    for owner, rows in METHODS.items():
        reasons = EXCEPTIONS.get(owner, {})
        assert not rows.keys() & reasons.keys()
        assert {*rows, *reasons} == methods(owner), owner.__name__


def methods(owner: type) -> set[str]:
    """Public methods, and properties that can be set."""
    found = set()
    for name in dir(owner):
        what = inspect.getattr_static(owner, name)
        settable = isinstance(what, property) and what.fset is not None
        if not name.startswith("_") and (inspect.isfunction(what) or settable):
            found.add(name)
    return found


def test_every_routine_of_the_ddi_is_in_the_table_or_only_looks() -> None:
    routines = {name for name in dir(ddi) if inspect.isfunction(getattr(ddi, name))}
    # What these two make of a function is told as they say: tests/ddi/test_routine.py.
    made = {name for name in routines if getattr(ddi, name) in MADE}
    assert routines - made == DDI.keys() | DDI_LOOKS | DDI_HELPERS
    assert not made & (DDI.keys() | DDI_LOOKS)


def test_the_debugger_writes_by_two_functions_only() -> None:
    scene = Scene()
    heard = Heard(scene.kernel)
    windbg.lookasides(scene.kernel)
    windbg.poolused(scene.kernel)
    windbg.pool(scene.kernel, scene.block)
    assert not heard.told
    assert WINDBG.keys() <= set(windbg.__all__)


def test_the_classes_are_those_of_a_machine() -> None:
    kernel = Kernel()
    parts = {
        type(part)
        for part in (
            kernel,
            kernel.pool,
            kernel.quota,
            kernel.spin_locks,
            kernel.slists,
            kernel.drivers,
            kernel.processes,
            kernel.objects,
            kernel.io_lists,
            kernel.machine.processors,
        )
    }
    assert parts | {LookasideList} <= METHODS.keys()


# --- words ---------------------------------------------------------------------------------


def kinds_of(kind: type[Call]) -> list[type[Call]]:
    return [kind, *(each for child in kind.__subclasses__() for each in kinds_of(child))]


def test_each_kind_of_call_has_a_word() -> None:
    by_word: dict[str, set[str]] = {}
    for kind in kinds_of(Call):
        # Without a word: what others derive from, and what attrs left of a class it replaced.
        if kind.__module__.startswith("lookaside_sim") and kind.word:
            by_word.setdefault(kind.word, set()).add(kind.__name__)
    assert {word: kinds for word, kinds in by_word.items() if len(kinds) > 1} == {
        "alloc": {"AllocateBlock", "AllocateEntry"},
        "free": {"FreeBlock", "FreeEntry"},
        "irql": {"RaiseIrql", "LowerIrql"},
        "load": {"LoadDriver", "LoadImage"},
    }
    told = {kind for rows in METHODS.values() for _, kinds in rows.values() for kind in kinds}
    told.add(CallRoutine)  # by any routine of the ddi that `routine` makes
    told |= {
        LoadImage,
        RunQueued,
    }  # need an extra, and something queued: see tests/run/test_drivers.py
    told.add(StopMachine)  # by a run alone
    assert {kind.__name__ for kind in told} == set().union(*by_word.values())


def test_a_trace_speaks_the_same_words() -> None:
    words = {kind.word for kind in kinds_of(Call)}
    assert set(OPS) <= words
    assert set(OPS) == {"init", "alloc", "free", "flush", "delete", "irql"}

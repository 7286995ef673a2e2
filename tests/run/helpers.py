"""What the tests of runs share: what of two machines must be the same, and the long way round."""

from __future__ import annotations

from pathlib import Path

from lookaside_sim import Kernel
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.run import Run
from lookaside_sim.run.edits import undone
from tests.same import memory_of, views_of

_MANY = 5000


def bytes_of(kernel: Kernel) -> dict[int, object]:
    """What is mapped and its bytes; without the marks, which tell slots and bytes apart."""
    return {
        address: held for address, held in memory_of(kernel).items() if address % PAGE_SIZE != 1
    }


def assert_replays(run: Run, kernel: Kernel, path: Path) -> Run:
    """Fail unless the run, saved and loaded, ends in the machine it was recorded on."""
    run.save(path)
    loaded = Run.load(path)
    if len(run) < _MANY:  # steps are made when they are asked for, which takes a while
        assert list(loaded) == list(run)
    assert loaded.settings == run.settings
    held = bytes_of(kernel)  # before the views, which make lists of the system's own
    for each in (run, loaded):
        machine = each.machine(len(each))
        assert bytes_of(machine) == held
        assert views_of(machine) == views_of(kernel)
    return loaded


def assert_folds(run: Run, every: int = 1) -> int:
    """Fail unless the edits, played and undone, are the states. Returns how many were compared."""
    compared = 0
    state = run.state(0)
    for number, edits in run.all_edits():
        before = state.copy()
        for edit in edits:
            edit.apply(state)
        after = state.copy()
        for edit in undone(edits):
            edit.apply(after)
        assert after == before, run[number]
        if number % every == 0 or number == len(run) - 1:
            assert state == run.state(number + 1), run[number]
            compared += 1
    return compared


def nowhere(kernel: Kernel) -> int:
    """An address of NT's half where nothing is mapped."""
    return (1 << kernel.arch.address_bits) - PAGE_SIZE

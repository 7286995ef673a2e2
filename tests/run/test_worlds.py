"""Any program at all, recorded and played again: the machine, byte for byte, and every state."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim.run import Run, record
from tests.run.helpers import assert_folds, assert_replays
from tests.run.world import RunWorld
from tests.stateful.test_clone_programs import MACHINES


def recorded(
    machine: str, arch: str, seed: int, steps: int, *, careful: bool, source: bool
) -> tuple[Run, RunWorld]:
    """What a drawn program does to a machine."""
    world = RunWorld(MACHINES[machine](arch), careful)
    world.draw_inside = random.Random(seed)
    with record(world.kernel, source=source) as run:
        world.run(seed, steps)
    return run, world


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=3)
@given(
    arch=st.sampled_from(["x64", "x86"]),
    seed=st.integers(0, 1 << 32),
    steps=st.integers(10, 60),
    careful=st.booleans(),
    source=st.booleans(),
)
def test_any_program_is_played_again_and_its_edits_are_its_states(
    machine: str,
    arch: str,
    seed: int,
    steps: int,
    careful: bool,
    source: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run, world = recorded(machine, arch, seed, steps, careful=careful, source=source)
    path: Path = tmp_path_factory.mktemp("world") / "world.lkrun"
    assert_folds(assert_replays(run, world.kernel, path), every=9)

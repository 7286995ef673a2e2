"""Copies made in the middle of any program: both go on in the same way, and apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim import Kernel, Verifier, VerifierFlags
from tests.same import assert_same, written
from tests.stateful.world import World

_SMALL = 1 << 20
MACHINES: dict[str, Callable[[str], Kernel]] = {
    "plain": lambda arch: Kernel(arch, processors=2),
    "small": lambda arch: Kernel(arch, nonpaged_pool_bytes=_SMALL, paged_pool_bytes=_SMALL),
    "parking": lambda arch: Kernel(
        arch, processors=2, small_pool_lists=True, delayed_free=True, track_pool=True
    ),
    "sanitizer": lambda arch: Kernel(arch, sanitizer=True),
    "strict": lambda arch: Kernel(arch, strict_pool_tags=True, seed=7),
    "verifier": lambda arch: Kernel(arch, verifier=Verifier.standard()),
    "low resources": lambda arch: Kernel(
        arch,
        verifier=Verifier(
            VerifierFlags.LOW_RESOURCES_SIMULATION
            | VerifierFlags.SPECIAL_POOL
            | VerifierFlags.POOL_TRACKING
            | VerifierFlags.FORCE_IRQL_CHECKING,
            delay_seconds=2,
            probability=2000,
        ),
    ),
    "systematic": lambda arch: Kernel(
        arch, verifier=Verifier(VerifierFlags.SYSTEMATIC_LOW_RESOURCES), sanitizer=True
    ),
}


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=15)
@given(
    careful=st.booleans(),
    arch=st.sampled_from(["x64", "x86"]),
    seed=st.integers(0, 1 << 32),
    before=st.integers(0, 80),
    after=st.integers(1, 60),
)
def test_a_copy_goes_on_as_the_original_does(
    machine: str, careful: bool, arch: str, seed: int, before: int, after: int
) -> None:
    world = World(MACHINES[machine](arch), careful)
    world.run(seed, before)
    twin = world.clone()
    assert_same(world.kernel, twin.kernel)
    assert world.run(seed + 1, after) == twin.run(seed + 1, after)
    assert_same(world.kernel, twin.kernel)


@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=10)
@given(seed=st.integers(0, 1 << 32), copy_runs=st.booleans())
def test_what_happens_to_one_never_shows_in_the_other(
    machine: str, seed: int, copy_runs: bool
) -> None:
    world = World(MACHINES[machine]("x64"), careful=seed % 2 == 0)
    world.run(seed, 60)
    twin = world.clone()
    runs, rests = (twin, world) if copy_runs else (world, twin)
    before = written(rests.kernel)
    runs.run(seed + 1, 60)
    assert written(rests.kernel) == before
    assert_same(rests.kernel, rests.kernel.clone())

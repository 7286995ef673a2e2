"""Programs of every kind are recorded and played again: the machine, byte for byte, every state.

Programs that do anything (`tests.run.world`) take turns with those that overwrite memory
(`tests.fuzz.overwrites`), whose routines raise, call back in, delete and unload.
"""

from __future__ import annotations

import random
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from lookaside_sim import Kernel
from lookaside_sim.errors import RunError
from lookaside_sim.kernel import kernels_told
from lookaside_sim.run import Run, record
from tests.fuzz import overwrites
from tests.run.helpers import assert_folds, assert_replays
from tests.run.world import RunWorld
from tests.stateful.test_clone_programs import MACHINES


def play(number: int, folder: Path) -> str | None:
    """Record a program and play it; what is wrong, or None."""
    for run, kernel in (_overwriting if number % 2 else _anything)(number):
        if not len(run):
            continue
        try:
            assert_folds(assert_replays(run, kernel, folder / "fuzz.lkrun"), every=11)
        except (AssertionError, RunError) as error:
            return f"{number}: {type(error).__name__}: {str(error)[:300]}"
    return None


def _anything(number: int) -> list[tuple[Run, Kernel]]:
    names = list(MACHINES)
    machine, arch = names[number // 2 % len(names)], ("x64", "x86")[number // 32 % 2]
    world = RunWorld(MACHINES[machine](arch), careful=number % 4 == 0)
    world.draw_inside = random.Random(number)
    with record(world.kernel, source=number % 3 > 0) as run:
        world.run(number, 30 + number % 90)
    return [(run, world.kernel)]


def _overwriting(number: int) -> list[tuple[Run, Kernel]]:
    made: list[tuple[Run, Kernel]] = []
    with ExitStack() as recordings:

        def begin(kernel: Kernel) -> None:
            made.append((recordings.enter_context(record(kernel)), kernel))

        with kernels_told(begin), suppress(Exception):
            overwrites.play(number, _Told)
    return made


class _Told(overwrites.Program):
    """A program that writes by calls alone: what nobody is told of, no run can play."""

    def _write_unchecked(self, address: int, data: bytes) -> None:
        self.kernel.write(address, data)


def main(programs: int = 2000, first: int = 0) -> None:
    """Run the campaign."""
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + programs):
            wrong = play(number, Path(folder))
            if wrong is not None:
                found += 1
                print(wrong)
    print(found, "findings in", programs, "programs")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""The fold in the browser, the fold of edits here and the machine show the same, both ways."""

from __future__ import annotations

import random

from lookaside_sim.run import Run
from tests.page.in_node import as_shown, ask, needs_node
from tests.page.runs import double_free, lifo, random_run, use_after_free
from tests.stateful.test_clone_programs import MACHINES


def differences(runs: list[Run]) -> list[str]:
    """Where the page's fold is not what the machine is, forward, back, and anywhere."""
    draw = random.Random(1)
    asked = []
    for run in runs:
        ways = list(range(len(run) + 1))
        asked.append((run, [*ways, *reversed(ways), *draw.sample(ways, len(ways))], "state"))
    found = []
    for (run, positions, _), shown in zip(asked, ask(asked), strict=True):
        digits = run.machine(0).arch.pointer_size * 2
        state = run.state(0)
        expected = [as_shown(state, digits)]
        for _, edits in run.all_edits():
            for edit in edits:
                edit.apply(state)
            expected.append(as_shown(state, digits))
        for at in range(0, len(run) + 1, 20):
            assert as_shown(run.state(at), digits) == expected[at], (run.title, at)
        found += [
            f"{run.title} at {at}: {seen} is not {expected[at]}"
            for at, seen in zip(positions, shown, strict=True)
            if seen != expected[at]
        ]
    return found


@needs_node
def test_known_runs_are_folded_as_the_machine_has_them() -> None:
    assert differences([lifo(), use_after_free(), double_free()]) == []


@needs_node
def test_random_runs_with_misuse_are_folded_as_the_machine_has_them() -> None:
    runs = [
        random_run(machine, arch, seed, 14, before=15 * (seed % 2))
        for seed, machine in enumerate(MACHINES)
        for arch in ("x64", "x86")
    ]
    assert sum(map(len, runs)) > 400
    assert differences(runs) == []

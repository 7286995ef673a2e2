from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Backend,
    Free,
    check_allocator,
    run_program,
)
from lookaside_sim.testing.adapters import ProcessFactory

ROOT = Path(__file__).parents[3]


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[ProcessFactory]:
    depth = str(getattr(request, "param", 4))
    command = [sys.executable, "-m", "tests.testing.adapters.process_allocator", depth]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        with ProcessFactory(command) as factory:
            yield factory


def test_a_correct_list_in_another_process_is_not_reported(process: ProcessFactory) -> None:
    check_allocator(process, max_examples=40)


@pytest.mark.parametrize("process", [5], indirect=True)
def test_a_broken_list_in_another_process_is_reported(process: ProcessFactory) -> None:
    with pytest.raises(AllocatorDifference, match="depth is wrong"):
        check_allocator(process)


def test_an_error_of_the_process_is_reported(process: ProcessFactory) -> None:
    made = process(Backend(32), 32)
    with pytest.raises(RuntimeError, match="no_such_call"):
        made._call("no_such_call")


def test_a_process_that_ends_is_reported(process: ProcessFactory) -> None:
    def ends(backend: Backend, size: int) -> object:
        made = process(backend, size)
        process._send({"call": "exit"})
        return made

    with pytest.raises(AllocatorDifference, match="ended with exit code 0"):
        run_program(ends, [Allocate(), Free()])

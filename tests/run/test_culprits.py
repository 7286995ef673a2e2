"""Who led to a stop: found by what the stop names."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from lookaside_sim import BugCheck, Kernel
from lookaside_sim.run import Run, record
from lookaside_sim.run.culprits import culprit
from tests.page.runs import lifo, use_after_free


def stopped(program: Callable[[Kernel], None]) -> Run:
    kernel = Kernel()
    with suppress(BugCheck), record(kernel, "stops") as run:
        program(kernel)
    assert kernel.bugcheck is not None
    return run


def overrun(kernel: Kernel) -> None:
    blocks = [kernel.pool.allocate(0, 40, b"Some") or 0 for _ in range(3)]
    _, low, high = sorted(blocks)
    assert high - low == 64  # side by side
    kernel.write(low, bytes(64))
    kernel.pool.free(high)


def double_free(kernel: Kernel) -> None:
    block = kernel.pool.allocate(0, 40, b"Once")
    kernel.pool.allocate(0, 40, b"Othr")
    kernel.pool.free(block)
    kernel.pool.free(block)


@pytest.mark.parametrize(
    ("run", "step", "why"),
    [
        (use_after_free(), 5, "it wrote 0xffffffffc0000120 over 0x"),
        (stopped(overrun), 3, "it wrote over the header of the block at 0x"),
        (stopped(double_free), 2, "it freed 0x"),
    ],
)
def test_the_step_that_led_to_the_stop_is_found(run: Run, step: int, why: str) -> None:
    found = culprit(run)
    assert found is not None
    assert (found.step.number, found.why[: len(why)]) == (step, why)


def test_without_a_stop_nobody_is_blamed() -> None:
    assert culprit(lifo()) is None
    with record(Kernel()) as empty:
        pass
    assert culprit(empty) is None

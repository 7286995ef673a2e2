"""The fixtures and the state machine, which come from the plugin and from Hypothesis."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from lookaside_sim import Kernel, LookasideList
from lookaside_sim.page import render
from lookaside_sim.run import record
from lookaside_sim.testing import LookasideMachine


@pytest.mark.lookaside(arch="x86")
def test_a_list(lookaside_kernel: Kernel, lookaside_list: Callable[..., LookasideList]) -> None:
    lookaside = lookaside_list(size=64, tag=b"Mine")
    entry = lookaside.allocate()
    assert entry is not None
    lookaside.free(entry)
    assert lookaside_kernel.arch.name == "x86"
    assert lookaside_kernel.lookaside_lists == [lookaside]


def test_a_page(lookaside_kernel: Kernel) -> None:
    with record(lookaside_kernel, "installed") as run:
        lookaside_kernel.pool.free(lookaside_kernel.pool.allocate(0, 8, b"Page"))
    assert "<title>installed</title>" in render(run)


TestMachine = LookasideMachine.TestCase
TestMachine.settings = settings(derandomize=True, database=None, deadline=None, max_examples=10)

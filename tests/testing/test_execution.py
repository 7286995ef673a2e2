from __future__ import annotations

import pytest

from lookaside_sim import BugCheck, Kernel, PoolType
from lookaside_sim.testing import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Create,
    Delete,
    Execution,
    Fail,
    Flush,
    Free,
    FreeAt,
    FreeForeign,
    FreeTwice,
    FreeWrongList,
    SetCounters,
    SetIrql,
    Step,
    Tick,
    WriteAfterFree,
    run_operations,
)

PAGED = int(PoolType.PagedPool)


def test_steps_do_what_they_say() -> None:
    execution = run_operations(
        [Create(), Allocate(6), Free(2), Free(2, oldest=True), FreeAt(5), AllocateFree(3)]
    )
    (lookaside,) = execution.lists
    assert lookaside is not None
    assert (lookaside.total_allocates, lookaside.total_frees) == (9, 8)
    assert len(execution.live[0]) == 1
    execution.run(AllocateEachSecond(75, 2))
    assert (lookaside.depth, execution.kernel.seconds) == (34, 2)
    execution.run(Flush())
    assert lookaside.current_depth == 0
    execution.run(SetCounters(7))
    assert (lookaside.total_frees, lookaside.last_allocate_misses) == (7, 7)
    execution.run(Fail(2))
    execution.run(Allocate(3))
    assert execution.refused == 2
    execution.finish()
    execution.kernel.check()


@pytest.mark.parametrize("arch", ["x64", "x86"])
def test_counters_are_set_on_both_machines(arch: str) -> None:
    execution = run_operations([Create(), SetCounters(), Allocate()], Kernel(arch))
    assert execution.lists[0] is not None
    assert execution.lists[0].total_allocates == 0


def test_what_has_nothing_to_work_on_does_nothing() -> None:
    steps: list[Step] = [Allocate(), Free(), FreeAt(), Flush(), Delete(), FreeTwice()]
    execution = run_operations(steps)
    assert execution.lists == []
    execution = run_operations([Create(), Free(), FreeAt(), FreeTwice(), Delete(), *steps])
    assert execution.live == [[]]
    execution = run_operations([Create(pool_type=PAGED), SetIrql(2), Allocate(), SetIrql(0)])
    assert execution.live == [[]]


def test_refusals_are_counted_and_raised_ones_too() -> None:
    execution = run_operations([Create(depth=1), Create(flags=1), Fail(), Allocate(on=1)])
    assert execution.lists[0] is None
    assert execution.refused == 2
    execution.finish()


def test_entries_of_a_deleted_list_go_to_the_pool() -> None:
    execution = run_operations([Create(), Allocate(2), Delete()])
    execution.finish()
    for row in execution.kernel.pool.tags().values():
        assert row.nonpaged_allocs == row.nonpaged_frees


def test_misuse_has_its_consequences() -> None:
    twice = run_operations([Create(), Allocate(), FreeTwice(), Allocate(2)])
    assert twice.live[0][0] == twice.live[0][1]
    wrong = run_operations([Create(), Create(64), Allocate(), FreeWrongList(), Tick()])
    assert wrong.lists[1] is not None
    assert wrong.lists[1].current_depth == 1
    nowhere = run_operations([Create(), Allocate(), FreeWrongList(to=5)])
    assert nowhere.lists[0] is not None
    assert nowhere.lists[0].current_depth == 1
    foreign = run_operations([Create(), FreeForeign()])
    assert foreign.lists[0] is not None
    assert foreign.lists[0].current_depth == 1
    refused = run_operations([Create(), Fail(), FreeForeign()])
    assert refused.lists[0] is not None
    assert refused.lists[0].current_depth == 0
    with pytest.raises(BugCheck):
        run_operations([Create(), Allocate(), WriteAfterFree(0x4141), Allocate(3)])


def test_a_step_of_nobodys_is_refused() -> None:
    class Unknown(Step):
        on = 0

    execution = Execution()
    execution.run(Create())
    execution.run(Allocate())
    with pytest.raises(ValueError, match="no step for the simulator"):
        execution.run(Unknown())

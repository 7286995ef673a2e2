from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from lookaside_sim import (
    BugCheck,
    Irql,
    Kernel,
    Layout,
    LookasideAllocator,
    LookasideList,
    NtStatus,
    PoolTag,
    PoolType,
)
from lookaside_sim.testing import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    AllocatorDifference,
    Create,
    Delete,
    Fail,
    Flush,
    Free,
    FreeAt,
    Program,
    SetCounters,
    SetIrql,
    Step,
    Tick,
    allocator_operations,
    format_program,
    layouts,
    list_steps,
    operations,
    pool_types,
    run_operations,
    run_program,
    sizes,
    tags,
    traces,
)
from lookaside_sim.testing.programs import steps as all_steps
from lookaside_sim.testing.programs.steps import is_misuse
from lookaside_sim.trace import Event, load, replay, save
from tests.testing.allocators import ReferenceList
from tests.testing.mutants import Fifo

few = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@few
@given(pool_types(), sizes(), tags())
def test_lists_can_be_made_of_what_is_drawn(
    pool_type: PoolType, size: int, tag: PoolTag
) -> None:
    kernel = Kernel()
    lookaside = LookasideList(kernel)
    assert lookaside.initialize(pool_type=pool_type, size=size, tag=tag).is_success
    entry = lookaside.allocate()
    assert entry is not None
    lookaside.free(entry)
    lookaside.delete()
    kernel.check()


@few
@given(st.data())
def test_pool_types_keep_to_the_kind_asked_for(data: st.DataObject) -> None:
    assert data.draw(pool_types(paged=True)).is_paged
    assert not data.draw(pool_types(paged=False)).is_paged


def test_refused_pool_types_are_drawn_on_request() -> None:
    refused = find(
        pool_types(valid=False),
        lambda drawn: (
            LookasideList(Kernel()).initialize(pool_type=drawn, size=8, tag=b"abcd")
            == NtStatus.STATUS_INVALID_PARAMETER_4
        ),
        settings=few,
    )
    assert refused == PoolType.DontUseThisType


@few
@given(layouts())
def test_an_allocator_serves_its_layout(layout: Layout) -> None:
    with LookasideAllocator(Kernel()) as allocator:
        allocator.init(layout.size, PoolType.NonPagedPool)
        allocation = allocator.allocate(layout)
        assert allocation.pointer % layout.align == 0
        allocator.deallocate(allocation.pointer, layout)


@few
@given(operations())
def test_programs_are_valid_and_leave_nothing_behind(program: Program) -> None:
    assert not any(is_misuse(step) for step in program)
    execution = run_operations(program)
    execution.kernel.check()
    execution.finish()
    execution.kernel.check()
    for row in execution.kernel.pool.tags().values():
        assert row.nonpaged_allocs == row.nonpaged_frees
        assert row.paged_allocs == row.paged_frees


@few
@given(operations(), st.data())
def test_any_part_of_a_program_is_valid_too(program: Program, data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(program), max_size=len(program)))
    part = [step for step, keep in zip(program, kept, strict=True) if keep]
    execution = run_operations(part, Kernel("x86"))
    execution.finish()
    execution.kernel.check()


@few
@given(operations())
def test_the_repr_of_a_program_makes_it_again(program: Program) -> None:
    again = eval(f"[{format_program(program)}]", vars(all_steps))
    assert again == program


def test_programs_have_every_kind_of_step() -> None:
    kinds: set[type[Step]] = set()

    @few
    @given(operations())
    def collect(program: Program) -> None:
        kinds.update(map(type, program))

    collect()
    assert kinds == {
        Allocate, AllocateEachSecond, AllocateFree, Create, Delete, Fail, Flush, Free, FreeAt,
        SetCounters, SetIrql, Tick,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [Allocate, Fail])
def test_programs_shrink_to_what_a_person_would_write(kind: type[Step]) -> None:
    program = find(
        operations(max_steps=4, max_lists=1),
        lambda drawn: any(isinstance(step, kind) for step in drawn),
        settings=few,
    )
    assert program == [Create(), kind()]


def test_programs_have_refused_initializations() -> None:
    program = find(
        operations(),
        lambda drawn: run_operations(drawn).lists.count(None) > 0,
        settings=few,
    )
    assert len(program) == 2


def test_misuse_is_only_drawn_on_request_and_then_found() -> None:
    stopped: list[Program] = []

    @few
    @given(operations(misuse=True))
    def run(program: Program) -> None:
        try:
            run_operations(program)
        except BugCheck:
            stopped.append(program)

    run()
    assert stopped
    assert all(any(is_misuse(step) for step in program) for program in stopped)


@pytest.mark.parametrize("value", [74, 75, 76])
def test_counts_at_the_boundary_of_a_busy_list_are_drawn(value: int) -> None:
    wanted = Allocate(value)
    found = find(
        list_steps(), lambda step: step == wanted, settings=settings(few, max_examples=3000)
    )
    assert found == wanted


@few
@given(allocator_operations())
def test_allocator_programs_run_on_a_correct_list(program: Program) -> None:
    run_program(ReferenceList, program)


def test_allocator_programs_find_a_broken_list_and_shrink() -> None:
    def broken(program: Program) -> bool:
        try:
            run_program(Fifo, program)
        except AllocatorDifference:
            return True
        return False

    program = find(
        allocator_operations(max_steps=12), broken, settings=settings(few, max_examples=300)
    )
    assert len(program) <= 5


@few
@given(traces())
def test_traces_can_be_saved_loaded_and_replayed(tmp_path: Path, events: list[Event]) -> None:
    path = tmp_path / "drawn.jsonl"
    save(path, events)
    assert [event._replace(line=0, tag=None, pool=None) for event in load(path)] == [
        event._replace(tag=None, pool=None) for event in events
    ]
    done = replay(load(path))
    assert done.events == len(events)
    done.kernel.check()


@few
@given(st.data())
def test_traces_are_of_the_kind_asked_for(data: st.DataObject) -> None:
    assert all(event.list is None for event in data.draw(traces(lists=False)))
    assert data.draw(traces(lists=True))[0].op == "init"


@few
@given(
    st.from_type(PoolTag),
    st.from_type(PoolType),
    st.from_type(Layout),
    st.from_type(Irql),
    st.from_type(NtStatus),
    st.from_type(Step),
)
def test_types_are_registered(
    tag: PoolTag, pool_type: PoolType, layout: Layout, irql: Irql, status: NtStatus, step: Step
) -> None:
    assert len(str(tag)) == 4
    assert (
        LookasideList(Kernel())
        .initialize(pool_type=pool_type, size=layout.size, tag=tag)
        .is_success
    )
    assert irql in Irql
    assert status in NtStatus
    assert not is_misuse(step)


@pytest.mark.parametrize(
    ("first", "second"),
    [("hypothesis", "lookaside_sim"), ("lookaside_sim", "hypothesis")],
)
def test_hypothesis_learns_the_types_by_entry_point(first: str, second: str) -> None:
    script = (
        f"import {first}, sys\n"
        "assert 'lookaside_sim.kernel' not in sys.modules\n"
        f"import {second}\n"
        "from hypothesis import strategies as st\n"
        "from lookaside_sim import PoolTag\n"
        "assert 'text' in repr(st.from_type(PoolTag))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("name", ["operations", "LookasideMachine"])
def test_without_hypothesis_the_extra_is_named(name: str) -> None:
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import lookaside_sim.testing as testing\n"
        f"testing.{name}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert "pip install 'lookaside_sim[testing]'" in done.stderr

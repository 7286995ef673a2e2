"""What runs without a call of the program's: queued work, and a stop that no call came to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from lookaside_sim import BugCheck, Kernel, NtStatus, NtStatusError, ddi
from lookaside_sim.run import Run, record
from lookaside_sim.run.recorder import frames_of
from tests.same import views_of


def test_queued_work_is_a_step_with_its_calls_inside(tmp_path: Path) -> None:
    kernel = Kernel()
    entries: list[int] = []

    def work(device: int, context: int) -> None:
        entries.append(kernel.pool.allocate(0, context, b"Work") or 0)

    def dpc(routine: int, context: int, one: int, two: int) -> None:
        kernel.write(entries[0], b"from the DPC")

    with kernel, record(kernel) as run:
        item, timed = ddi.IoAllocateWorkItem(0), ddi.ExAllocatePoolWithTag(512, 0x80, b"Dpc ")
        ddi.KeInitializeDpc(timed, dpc, 0)
        for size in (40, 80):
            ddi.IoQueueWorkItem(item, work, 1, size)
            kernel.queues.run()
        ddi.KeInsertQueueDpc(timed, 0, 0)
        assert kernel.queues.run() == 1
        ddi.IoFreeWorkItem(item)
    steps = [each for each in run if each.word == "run-queued"]
    assert [each.result for each in steps] == [1, 1, 1]
    inner = [[each.word for each in step.inner] for step in steps]
    assert inner[:2] == [["alloc"], ["alloc"]]
    assert "write" in inner[2]
    run.save(tmp_path / "queued.lkrun")
    for each in (run, Run.load(tmp_path / "queued.lkrun")):
        machine = each.machine(len(each))
        assert views_of(machine) == views_of(kernel)
        assert machine.read(entries[0], 12) == b"from the DPC"


@pytest.mark.parametrize("source", [True, False])
def test_a_stop_outside_of_any_call_is_the_last_step(source: bool, tmp_path: Path) -> None:
    kernel = Kernel()

    def work() -> Run:
        with suppress(BugCheck), record(kernel, source=source) as run:
            kernel.pool.allocate(0, 40, b"Some")
            with kernel.system_thread():
                raise NtStatusError(NtStatus.STATUS_INSUFFICIENT_RESOURCES, "no memory for it")
        return run

    run = work()
    assert [each.word for each in run] == ["alloc", "stop"]
    assert run.stop is not None
    assert run.stop.arguments["BugCheckParameter1"] == NtStatus.STATUS_INSUFFICIENT_RESOURCES
    assert (run.stop.site is None) == (not source)
    run.save(tmp_path / "stop.lkrun")
    loaded = Run.load(tmp_path / "stop.lkrun")
    assert str(loaded.machine(2).bugcheck) == str(kernel.bugcheck)
    assert loaded.machine(1).bugcheck is None
    assert loaded.state(2).stop == run.state(2).stop


def test_the_lines_of_an_error_are_the_program_s_innermost_first() -> None:
    def inner() -> None:
        raise NtStatusError(NtStatus.STATUS_INSUFFICIENT_RESOURCES, "so")

    with pytest.raises(NtStatusError) as stop:
        inner()
    names = [each.function.rpartition(".")[2] for each in frames_of(stop.value)]
    assert names == ["inner", "test_the_lines_of_an_error_are_the_program_s_innermost_first"]

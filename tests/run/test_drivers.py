"""Runs of compiled drivers: what the code stored, line by line, and the machine at each point."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from lookaside_sim import CompiledDriver, Kernel, LookasideSimError, Verifier
from lookaside_sim.drive.load import Drive
from lookaside_sim.machine.calls import Call, WriteMemory
from lookaside_sim.run import Run, record
from lookaside_sim.run.driver import call_of, record_driver
from lookaside_sim.run.script import open_run
from tests.drive.helpers import line_of, needs_engine, sys_file
from tests.helpers import both_machines, stop_of
from tests.same import views_of

pytestmark = needs_engine

QUEUE = Path(__file__).parents[2] / "examples" / "drivers" / "queue.sys"
SETTINGS = {
    "plain": {},
    "verified": {"verifier": Verifier.standard()},
    "sanitized": {"sanitizer": True},
}
each_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def bytes_of(kernel: Kernel, own: frozenset[int] = frozenset()) -> dict[int, bytes]:
    """All regions of a machine, and the blocks of its pools."""
    memory = kernel.memory
    found = {
        each.address: bytes(each.data)
        for each in memory._regions._all
        if each.address not in own
    }
    for address, block in ({} if kernel.ledger is None else kernel.ledger.live).items():
        found[address] = memory.read(address, block.size)
    return found


def own_regions(kernel: Kernel) -> frozenset[int]:
    """Where the engine's own machine code and mailbox lie, which no replay needs."""
    drive = kernel.compiled
    assert isinstance(drive, Drive)
    stubs = drive.processor.stubs
    return frozenset((stubs._code.address, stubs._mail.address, stubs._routines.address))


def assert_replayed(kernel: Kernel, run: Run, tmp_path: Path) -> None:
    own = own_regions(kernel)
    run.save(tmp_path / "driver.lkrun")
    loaded = Run.load(tmp_path / "driver.lkrun")
    folded = run.state(0)
    for _, edits in run.all_edits():
        for edit in edits:
            edit.apply(folded)
    assert folded == run.state(len(run))
    for each in (run, loaded):
        twin = each.machine(len(each))
        assert bytes_of(twin, own) == bytes_of(kernel, own)
        assert views_of(twin) == views_of(kernel)


@both_machines
@each_setting
@pytest.mark.parametrize("name", ["families", "objects"])
def test_what_a_driver_does_is_done_again_byte_for_byte(
    name: str, settings: dict[str, object], arch: str, tmp_path: Path
) -> None:
    calls = {"families": ("Queue", "Older"), "objects": ("QueueBoth", "Describe")}
    kernel = Kernel(arch, **settings)  # type: ignore[arg-type]
    with record(kernel) as run:
        driver = kernel.load_image(sys_file(name, arch))
        driver.start()
        for symbol in calls[name]:
            driver.call(symbol, 4)
        driver.run_queued()
        kernel.tick(3)
        driver.unload()
    assert len(run) > 20
    assert_replayed(kernel, run, tmp_path)


def do_twice(driver: CompiledDriver, mistake: str) -> None:
    driver.call(mistake, 5)
    driver.call(mistake, 5)
    driver.unload()


@pytest.mark.parametrize(
    "mistake", ["NullField", "EntryAfterFree", "Break", "FastFail", "Overrun"]
)
def test_a_stop_of_compiled_code_is_the_last_step(mistake: str, tmp_path: Path) -> None:
    kernel = Kernel()
    with record(kernel) as run:
        driver = kernel.load_image(sys_file("mistakes"))
        driver.start()
        stop_of(lambda: do_twice(driver, mistake))
    assert run.stop is not None
    assert_replayed(kernel, run, tmp_path)


def test_each_store_is_a_step_with_its_line_of_c() -> None:
    run = record_driver(QUEUE, output=StringIO())
    text = QUEUE.with_suffix(".c").read_text("utf-8")
    stores = [each for each in run if each.word == "write"]
    assert {each.site.path for each in stores if each.site} == {str(QUEUE.with_suffix(".c"))}
    lines = text.splitlines()
    said = [lines[each.site.line - 1].strip() for each in stores if each.site]
    assert said.count("request->Status = STATUS_PENDING;") == 3
    assert said.count("Request->Status = STATUS_SUCCESS;") == 3
    assert run.sources[str(QUEUE.with_suffix(".c"))] == text
    assert run[0].site is None  # a command loaded it, no program
    complete = next(each for each in run if each.word == "free")
    assert [each.function for each in complete.stack] == [
        "queue!Complete",
        "queue!Serve",
        "queue!DriverEntry",
    ]


def test_who_wrote_a_word_is_a_line_of_c() -> None:
    kernel = Kernel()
    with record(kernel) as run:
        driver = kernel.load_image(sys_file("mistakes"))
        driver.start()
        driver.call("EntryAfterFree")
    free = run.find(word="free", back=True)
    assert free is not None
    entry = free.arguments["Entry"]
    last = next(run.accesses(entry, 8, back=True)).step
    assert last.site is not None
    assert (last.site.file, last.site.line) == ("mistakes.c", line_of("mistakes.c", "written"))


def test_counters_of_inlined_code_are_no_steps() -> None:
    run = record_driver(sys_file("families"), [("Queue", 4)], output=StringIO())
    lists = {each for number in range(len(run) + 1) for each in run.state(number).lists}
    offsets = Kernel().arch.lookaside_offsets
    counters = {each + offsets["TotalAllocates"] for each in lists}
    assert not counters & {each.arguments["Address"] for each in run if each.word == "write"}
    state = run.state(len(run) - 1)
    assert any(each.fields["TotalAllocates"] for each in state.lists.values())


def test_a_copied_or_used_machine_can_be_recorded_too(tmp_path: Path) -> None:
    kernel = Kernel()
    driver = kernel.load_image(sys_file("families"))
    driver.start()
    twin = kernel.clone()
    for each in (kernel, twin):
        (image,) = each.drivers.all
        assert isinstance(image, CompiledDriver)
        with record(each) as run:
            image.call("Queue", 4)
        assert views_of(run.machine(len(run))) == views_of(each)
        assert any(step.word == "write" for step in run)
    assert views_of(kernel) == views_of(twin)


def test_without_a_recorder_nobody_is_told_of_stores() -> None:
    kernel = Kernel()
    heard: list[Call] = []
    kernel.listen(heard.append)
    driver = kernel.load_image(QUEUE)
    driver.start()
    assert not any(isinstance(each, WriteMemory) for each in heard)


def test_a_replay_has_the_names_and_not_the_code() -> None:
    run = record_driver(QUEUE, output=StringIO())
    machine = run.machine(len(run) - 1)
    driver = machine.drivers.named("queue.sys")
    assert isinstance(driver, CompiledDriver)
    assert driver.symbol_at(driver.address_of("Serve")) == "queue!Serve"
    assert "Requests" in driver.symbols
    calls: list[Callable[[], object]] = [
        driver.start,
        driver.run_queued,
        lambda: driver.call("Serve"),
        lambda: driver.export("DbgPrint")(print),
    ]
    for call in calls:
        with pytest.raises(LookasideSimError, match=r"no processor runs it: load the file"):
            call()


def test_a_driver_opens_as_a_run(tmp_path: Path) -> None:
    said = StringIO()
    run = open_run(sys_file("families"), ["Queue 4", "ShowCounts"], output=said)
    assert said.getvalue().splitlines()[:2] == [
        "DriverEntry returned 0x0",
        "Queue returned 0x6",
    ]
    assert run[len(run) - 1].word == "unload"
    with pytest.raises(ValueError, match="'Queue x': give a symbol"):
        call_of("Queue x")
    with pytest.raises(ValueError, match="symbol 'Nowhere'"):
        open_run(sys_file("families"), ["Nowhere"], output=said)

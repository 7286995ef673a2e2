"""A run: its steps, its machines, its edits, saved and loaded."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path

import pytest

from lookaside_sim import BugCheck, Kernel, Verifier
from lookaside_sim.errors import RunError
from lookaside_sim.machine.calls import Branch, Outcome
from lookaside_sim.run import Run, record, record_script
from tests.run.helpers import assert_folds, assert_replays, bytes_of

ROOT = Path(__file__).parents[2]
MISUSE = sorted((ROOT / "examples" / "misuse").glob("*.py"))
MACHINES: dict[str, dict[str, object]] = {
    "plain": {},
    "x86": {"arch": "x86"},
    "sanitizer": {"sanitizer": True},
    "verifier": {"verifier": Verifier()},
    "special pool": {"verifier": Verifier(flags=0x9), "arch": "x86"},
    "parked": {"small_pool_lists": True, "delayed_free": True},
}


def recorded(kernel: Kernel) -> Run:
    """A run of hits, misses, a tick and a forged link, which stops the machine."""
    with suppress(BugCheck), record(kernel, "forged") as run:
        lookaside = kernel.lookaside_list("drv!List")
        lookaside.initialize(size=64, tag=b"tseT")
        entries = [lookaside.allocate() or 0 for _ in range(6)]
        for entry in entries:
            lookaside.free(entry)
        kernel.tick(3)
        run.note("here")
        kernel.write(entries[3], b"\x41\x41\x41\xc1")
        while True:
            lookaside.allocate()
    return run


def test_steps_say_what_was_called_how_it_went_and_where(kernel: Kernel) -> None:
    run = recorded(kernel)
    first, miss, *_, last = run
    assert first.routine == "ExInitializeLookasideListEx"
    assert first.arguments["Size"] == 64
    assert miss.branch is Branch.MISS
    assert miss.obj == kernel.lookaside_lists[0].address
    assert miss.site is not None
    assert miss.site.function.startswith("recorded")
    assert run[7].branch is Branch.HIT
    assert run[7].arguments == {"Entry": run[1].result}
    assert run[13].word == "tick"
    assert run[14].time == 3
    assert run[14].arguments["Data"] == b"AAA\xc1"
    assert last.outcome is Outcome.STOPPED
    assert run.stop == last
    assert run.notes == {14: ["here"]}
    assert run[-1] == last
    assert run[1:3] == [miss, run[2]]


def test_a_run_goes_to_every_point_and_back(kernel: Kernel, tmp_path: Path) -> None:
    run = recorded(kernel)
    assert_folds(assert_replays(run, kernel, tmp_path / "forged.lkrun"))
    assert run.machine(len(run)).bugcheck is not None
    assert run.machine(14).bugcheck is None
    assert run.state(14).seconds == 3
    assert run.state(0).lists == {}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("path", MISUSE, ids=lambda path: path.stem)
def test_each_misuse_is_played_again_byte_for_byte(
    path: Path, machine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kernel = Kernel(**MACHINES[machine])  # type: ignore[arg-type]
    run = None
    try:
        with record(kernel) as run:
            module.misuse(kernel)
    except Exception:
        assert run is not None
    assert_folds(assert_replays(run, kernel, tmp_path / "misuse.lkrun"))


def test_a_machine_is_the_callers_own() -> None:
    kernel = Kernel()
    with record(kernel) as run:
        block = kernel.pool.allocate(0, 32, b"tseT")
        kernel.pool.free(block)
    machine = run.machine(1)
    machine.pool.free(block)
    with pytest.raises(BugCheck):
        machine.pool.free(block)
    assert run.machine(2).bugcheck is None
    assert bytes_of(run.machine(2)) == bytes_of(kernel)


def test_a_machine_with_a_history_is_position_0_and_cannot_be_saved(tmp_path: Path) -> None:
    kernel = Kernel()
    lookaside = kernel.lookaside_list("old")
    lookaside.initialize(size=32, tag=b"dlO ")
    entry = lookaside.allocate()
    with record(kernel) as run:
        lookaside.free(entry)
        assert lookaside.allocate() == entry
    assert run.state(0).blocks.keys() == {entry}
    assert run[0].obj == lookaside.address
    assert bytes_of(run.machine(2)) == bytes_of(kernel)
    assert_folds(run)
    with pytest.raises(RunError, match="had been used"):
        run.save(tmp_path / "never.lkrun")


def test_a_machine_changed_without_a_call_is_an_error_and_no_lie() -> None:
    kernel = Kernel()
    with record(kernel) as run:
        block = kernel.pool.allocate(0, 32, b"tseT") or 0
        kernel.memory.write(block, b"unheard")
        kernel.read(block, 7)
    assert run.machine(1).bugcheck is None
    with pytest.raises(RunError, match="otherwise than in the recording") as error:
        run.machine(2)
    assert error.value.position == 1


def test_a_script_is_recorded_up_to_its_end(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from lookaside_sim import Kernel\n"
        "kernel = Kernel(sys.argv[1])\n"
        "block = kernel.pool.allocate(0, 32, b'tseT')\n"
        "kernel.pool.free(block)\n"
        "kernel.pool.free(block)\n",
        "utf-8",
    )
    run = record_script(script, ["x86"])
    assert run.settings["arch"] == "x86"
    assert [step.word for step in run] == ["alloc", "free", "free"]
    assert run.stop is not None
    assert run.stop.site is not None
    assert (run.stop.site.file, run.stop.site.line) == ("script.py", 6)
    assert "Kernel(sys.argv[1])" in run.sources[run.stop.site.path]


def test_a_script_without_a_machine_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "none.py"
    script.write_text("print('nothing')\n", "utf-8")
    with pytest.raises(RunError, match="no Kernel"):
        record_script(script)

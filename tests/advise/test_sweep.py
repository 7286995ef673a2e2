from __future__ import annotations

import importlib
import json
import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import TraceError
from lookaside_sim.advise import Outcome, Policy, advise, policies, sweep
from lookaside_sim.trace import load, save

module = importlib.import_module("lookaside_sim.advise.sweep")
SQLITE = Path(__file__).parent.parent.parent / "examples" / "traces" / "sqlite.jsonl.gz"
SIZES = [16, 32, 96]
SOME = policies(minimum_depth=[4, 16], period=[1, 3], processors=[1, 2])


class Broken(Executor):
    """Works here; its third task is lost, its fifth refused."""

    def __init__(self) -> None:
        self.submitted = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        future: Future[Any] = Future()
        if self.submitted == 5:
            raise RuntimeError("cannot take\nanother")
        if self.submitted == 3:
            future.set_exception(ConnectionError("gone"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


class Counting(Executor):
    """Works here, and counts its tasks."""

    submitted = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture(scope="module")
def expected() -> list[Outcome]:
    return [
        Outcome(policy, advise(SQLITE, policy=policy, sizes=SIZES, depths=False).rows)
        for policy in SOME
    ]


def test_every_policy_does_what_advice_says(expected: list[Outcome]) -> None:
    found = sweep(SQLITE, SOME, sizes=SIZES)
    assert found == expected
    first = found[0]
    assert first.pool_calls_saved == sum(row.pool_calls_saved for row in first.rows)
    assert first.bytes_held == sum(row.bytes_held for row in first.rows)
    assert len({outcome.pool_calls_saved for outcome in found}) == 3


def test_workers_in_other_processes(expected: list[Outcome]) -> None:
    context = multiprocessing.get_context("spawn")
    told: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", 3)
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            found = sweep(
                SQLITE,
                SOME,
                executor,
                sizes=SIZES,
                progress=lambda *so_far: told.append(so_far),
            )
    assert found == expected
    assert told == [(done, 8) for done in range(1, 9)]


@pytest.mark.parametrize("sent", [1 << 20, 0])
def test_calls_go_with_the_tasks_or_through_a_file(
    expected: list[Outcome], sent: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_SENT", sent)
    run = module._run
    seen = []

    def forgetful(work: Any, some: list[Policy]) -> list[Outcome]:
        module._KEPT.clear()
        seen.append((work.data is None, work.path is None))
        outcomes = run(work, some)
        assert isinstance(outcomes, list)
        return outcomes

    monkeypatch.setattr(module, "_run", forgetful)
    with ThreadPoolExecutor(1) as executor:
        assert sweep(SQLITE, SOME, executor, sizes=SIZES, folder=tmp_path) == expected
    assert set(seen) == {(sent == 0, sent > 0)}
    assert list(tmp_path.iterdir()) == []


def test_many_calls_make_small_tasks(
    expected: list[Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CALLS_AT_ONCE", 50_000)  # two policies of 24,000 calls
    executor = Counting()
    assert sweep(SQLITE, SOME, executor, sizes=SIZES) == expected
    assert executor.submitted == 4


def test_a_task_that_is_lost_takes_no_other_along(
    expected: list[Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    results = tmp_path / "results.jsonl"
    found = sweep(SQLITE, SOME, Broken(), sizes=SIZES, results=results)
    for number, (outcome, right) in enumerate(zip(found, expected, strict=True)):
        if number == 2:
            assert (outcome.rows, outcome.error) == ((), "ConnectionError: gone")
        elif number == 4:
            assert outcome.error == "RuntimeError: cannot take another"
        else:
            assert outcome == right
    # What failed is tried again, and nothing else.
    executor = Broken()
    assert sweep(SQLITE, SOME, executor, sizes=SIZES, results=results) == expected
    assert executor.submitted == 2


def test_a_policy_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    make = module.make_lists

    def fail(policy: Policy, *, paged: bool) -> object:
        if policy.period == 1:
            raise ZeroDivisionError("no\nperiod")
        return make(policy, paged=paged)

    monkeypatch.setattr(module, "make_lists", fail)
    found = sweep(SQLITE, SOME, sizes=SIZES)
    assert [outcome.error for outcome in found] == [
        "ZeroDivisionError: no period" if policy.period == 1 else None for policy in SOME
    ]


def test_results_are_kept_and_used_again(
    expected: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results.jsonl"
    assert sweep(SQLITE, SOME[:3], sizes=SIZES, results=results) == expected[:3]
    packed = tmp_path / "packed.lkt"
    save(packed, load(SQLITE))
    whole = results.read_bytes()
    results.write_bytes(whole + whole[:100])  # ended in the middle of a line
    told: list[int] = []
    found = sweep(
        packed, SOME, sizes=SIZES, results=results, progress=lambda done, of: told.append(done)
    )
    assert found == expected
    assert told == [4, 5, 6, 7, 8]
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert len(lines) == 8
    assert lines[0]["policy"]["minimum_depth"] == 4
    assert lines[0]["pool_calls_saved"] == expected[0].pool_calls_saved
    assert results.read_bytes().startswith(whole)
    # Other calls have other results.
    assert sweep(SQLITE, SOME[:1], sizes=[16], results=results)[0] != expected[0]
    assert len(results.read_text().splitlines()) == 9


@pytest.mark.parametrize("line", ["bad", "[]", "{}", '{"calls":7}', "7", "[" * 100_000])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, line: str) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(line + "\n")
    if line == '{"calls":7}':
        sweep(SQLITE, SOME[:1], sizes=SIZES, results=results)
        return
    with pytest.raises(ValueError, match=r"results.jsonl, line 1: no outcome of a sweep"):
        sweep(SQLITE, SOME[:1], sizes=SIZES, results=results)
    assert results.read_text() == line + "\n"


def test_a_policy_asked_for_twice_is_worked_out_once(expected: list[Outcome]) -> None:
    told: list[int] = []
    found = sweep(
        SQLITE, [SOME[0], SOME[0]], sizes=SIZES, progress=lambda done, of: told.append(done)
    )
    assert found == [expected[0], expected[0]]
    assert told == [2]


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="by 'x'"):
        sweep(SQLITE, SOME, by="x")
    with pytest.raises(TypeError, match="colour"):
        policies(colour=[1])
    with pytest.raises(ValueError, match="period 0"):
        policies(period=[0])
    bad = tmp_path / "bad.jsonl"
    bad.write_text("bad")
    with pytest.raises(TraceError):
        sweep(bad, SOME)
    assert policies() == [Policy()]
    assert sweep(SQLITE, []) == []


@pytest.mark.filterwarnings("default")  # whatever Dask itself warns of
def test_workers_of_dask(expected: list[Outcome], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="no Dask")
    results = tmp_path / "results.jsonl"
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        assert sweep(SQLITE, SOME, executor, sizes=SIZES, results=results) == expected
    # All is in the file: nothing is left for anybody to do.
    assert sweep(SQLITE, SOME, Broken(), sizes=SIZES, results=results) == expected


MPI = """\
import sys
from mpi4py.futures import MPIPoolExecutor
from lookaside_sim.advise import policies, sweep

if __name__ == "__main__":
    some = policies(minimum_depth=[4, 16], period=[1, 3], processors=[1, 2])
    with MPIPoolExecutor() as executor:
        found = sweep(sys.argv[1], some, executor, sizes=[16, 32, 96])
    assert not any(outcome.error for outcome in found)
    print(*(outcome.pool_calls_saved for outcome in found))
"""


def test_workers_of_mpi(expected: list[Outcome], tmp_path: Path) -> None:
    pytest.importorskip("mpi4py", reason="no mpi4py")
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        pytest.skip("no mpirun")
    script = tmp_path / "under_mpi.py"
    script.write_text(MPI)
    done = subprocess.run(
        [
            *(mpirun, "--allow-run-as-root", "--oversubscribe", "-n", "3"),
            *(sys.executable, "-m", "mpi4py.futures", str(script), str(SQLITE)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == [str(each.pool_calls_saved) for each in expected], done.stderr

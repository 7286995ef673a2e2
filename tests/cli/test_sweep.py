from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookaside_sim.advise import Policy, advise
from tests.cli.helpers import HEADER, LIST_TRACE, Command, write

SQLITE = Path(__file__).parent.parent.parent / "examples" / "traces" / "sqlite.jsonl.gz"


def test_policies_are_ranked(path: Path, command: Command) -> None:
    results = path.with_name("results.jsonl")
    arguments = ["--fixed-depth", "1,2-8/3", "--size", "16", "-o", results]
    code, output, errors = command("sweep", SQLITE, *arguments)
    assert (code, errors) == (0, "")
    lines = [line.split() for line in output.splitlines()]
    assert lines[0] == ["fixed_depth", "saved", "peak", "bytes", "avg", "bytes"]
    found = {int(line[0]): int(line[1]) for line in lines[1:]}
    assert list(found) == [8, 5, 2, 1]
    for depth, saved in found.items():
        (row,) = advise(SQLITE, sizes=[16], policy=Policy(fixed_depth=depth)).rows
        assert saved == row.pool_calls_saved
    assert len([json.loads(line) for line in results.read_text().splitlines()]) == 4
    assert command("sweep", SQLITE, *arguments)[1] == output


def test_the_default_is_the_rule_of_nt(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    code, output, _ = command("sweep", path)
    assert code == 0
    assert output.splitlines()[1].split() == ["NT's", "5", "320", "20"]


def test_workers(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    alone = command("sweep", path, "--period", "1-4")
    assert command("sweep", path, "--period", "1-4", "--workers", "2") == alone


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--period", "x"], "give numbers or ranges"),
        (["--period", "3-1"], "give numbers or ranges"),
        (["--period", "1-3/0"], "give numbers or ranges"),
        (["--period", "0"], "period 0: give 1 or more"),
        (["--workers", "0"], "--workers 0: give 1 or more"),
    ],
)
def test_wrong_arguments(
    path: Path, command: Command, arguments: list[str], error: str
) -> None:
    write(path, HEADER)
    code, output, errors = command("sweep", path, *arguments)
    assert (code, output) == (2, "")
    assert error in errors
    assert errors.count("\n") == 1


def test_a_policy_that_fails_is_told_and_the_others_shown(
    path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, *LIST_TRACE)
    scans = Policy.scans

    def fail(self: Policy, second: int, *, paged: bool) -> int:
        if self.period == 2:
            raise ZeroDivisionError("bad")
        return scans(self, second, paged=paged)

    monkeypatch.setattr(Policy, "scans", fail)
    code, output, _ = command("sweep", path, "--period", "1-3")
    assert code == 1
    assert output.endswith("\nfailed: period 2: ZeroDivisionError: bad\n")
    assert len(output.splitlines()) == 4

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lookaside_sim.advise import advise
from lookaside_sim.cli import main
from tests.cli.helpers import HEADER, LIST_TRACE, Command, write
from tests.cli.test_progress import Terminal

OUTPUT = """\
Trace          test.jsonl: a test
Calls          9 in 2 s, of 3 kinds
A list each    would save 5 pool calls (55.6%)

    Size Tag  Type      Calls  Hit Rate     Saved  Of All  Depth   Peak B    Avg B   Best     Saved
      20 tsLL Nonp          5     60.0%         3   33.3%      4       20       20      1         3
     100 None Nonp          2     50.0%         1   11.1%      4      100        0      1         1
     200 tsPP Paged         2     50.0%         1   11.1%      4      200        0      1         1

Best: the least fixed depth that saves 95% of what any depth saves, and what it saves.
"""


def test_the_table(path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, *LIST_TRACE)
    monkeypatch.chdir(path.parent)
    code, output, errors = command("advise", path.name)
    assert (code, errors) == (0, "")
    assert output == OUTPUT


def test_the_rest_is_summed_up(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    _, output, _ = command("advise", path, "--top", "1")
    assert "\n2 more would save 2 (22.2%)\n" in output
    assert "more would save" not in command("advise", path, "--top", "0")[1]


def test_sites_and_groups_have_columns(path: Path, command: Command) -> None:
    lines = [
        f'{{"op":"alloc","id":{n},"size":{20 + n},"site":"main\\n+{n}"}}' for n in range(3)
    ]
    write(path, HEADER, *lines)
    _, output, _ = command("advise", path, "--by", "site")
    assert output.count("  main\\n+") == 3
    _, output, _ = command("advise", path, "--by", "size", "--groups")
    assert "One list for sizes whose blocks are the same in the pool:" in output
    assert "      22 any  Nonp " in output
    assert "  20 to 22\n" in output


def test_json_says_all_that_the_rows_say(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    code, output, errors = command("advise", path, "--json", "--curves", "--groups")
    assert (code, errors) == (0, "")
    found = json.loads(output)
    assert (found["calls"], found["seconds"], found["by"]) == (9, 2, "tag")
    for values, row in zip(found["rows"], advise(path).rows, strict=True):
        for name in ("size", "total_allocates", "free_misses", "pool_calls_saved", "depth"):
            assert values[name] == getattr(row, name)
        assert row.depths is not None
        assert values["saved_by_depth"] == row.depths.pool_calls_saved()
    assert [row["pool_type"] for row in found["rows"]] == [
        "NonPagedPool",
        "NonPagedPool",
        "PagedPool",
    ]
    assert "saved_by_depth" not in json.loads(command("advise", path, "--json")[1])["rows"][0]


def test_only_some_sizes(path: Path, command: Command) -> None:
    write(path, *LIST_TRACE)
    found = json.loads(command("advise", path, "--json", "--size", "20", "--size", "200")[1])
    assert [row["size"] for row in found["rows"]] == [20, 200]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--top", "-1"], "--top -1: give 0 or more"),
        (["--by", "colour"], "invalid choice: 'colour'"),
        (["--size", "x"], "invalid int value"),
    ],
)
def test_wrong_arguments(
    path: Path, command: Command, arguments: list[str], error: str
) -> None:
    write(path, HEADER)
    code, output, errors = command("advise", path, *arguments)
    assert (code, output) == (2, "")
    assert error in errors
    assert errors.count("\n") == 1


def test_bad_input(path: Path, command: Command) -> None:
    write(path, HEADER, '{"op":"free","id":1}')
    code, output, errors = command("advise", path)
    assert (code, output) == (2, "")
    assert (
        errors
        == f"lookaside-sim: {path}, line 2, field 'id': 1 is not live: allocate it before\n"
    )
    assert command("advise", path.with_name("none"))[0] == 2


def test_a_trace_that_ends_in_the_middle(path: Path, command: Command) -> None:
    path.write_text(f'{HEADER}\n{{"op":"alloc","id":1,"size":8}}\n{{"op":"fr')
    assert command("advise", path)[0] == 2
    code, output, errors = command("advise", path, "--partial", "--json")
    assert code == 0
    assert errors.endswith("used until there\n")
    assert "line 3" in json.loads(output)["ended_early"]


def test_progress_is_shown_on_a_terminal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("lookaside_sim.cli.progress.PROGRESS_SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", terminal)
    write(path, *LIST_TRACE)
    assert main(["advise", str(path)]) == 0
    assert terminal.getvalue().startswith(f"\r{path}: ")
    assert terminal.shown() == ""


POOLMON = Path(__file__).parent.parent / "trace" / "foreign" / "samples" / "poolmon.txt"


def test_counts_give_bounds(command: Command) -> None:
    code, output, errors = command("advise", POOLMON, "--top", "2")
    assert (code, errors) == (0, "")
    assert "Calls          241 between the first display and the last, of 4 kinds" in output
    assert (
        "Wait Nonp        220        282              8    3.6%           220  100.0%" in output
    )
    assert "2 more" in output
    (first, *_) = json.loads(command("advise", POOLMON, "--from", "poolmon", "--json")[1])
    assert first == {
        "pool_type": "NonPagedPool",
        "tag": "Wait",
        "size": 282,
        "total_allocates": 110,
        "total_frees": 110,
        "pool_calls_saved_at_least": 8,
        "pool_calls_saved_at_most": 220,
    }
    code, _, errors = command("advise", POOLMON, "--by", "size")
    assert code == 2
    assert "poolmon counts by tag alone" in errors

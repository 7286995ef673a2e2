"""Every block of docs/advice.md is run, and prints what stands behind it."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import Kernel, PoolType
from lookaside_sim.cli import main

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "advice.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```console\n\$ lookaside-sim (.*?)\n(.*?)```", PAGE, re.DOTALL)


def test_no_block_is_left_out() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") > 0
    assert len(COMMANDS) == PAGE.count("```console") > 0


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_a_program(program: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "advice.md", "exec"), {"__name__": "documented"})
    assert printed.getvalue() == output


@pytest.mark.parametrize(("command", "output"), COMMANDS)
def test_a_command(command: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        assert main(shlex.split(command)) == 0
    assert printed.getvalue() == output


@pytest.fixture(scope="module")
def two_lists() -> dict[str, Any]:
    """What the program that draws the picture defines."""
    return runpy.run_path(str(ROOT / "docs" / "pictures" / "two_lists.py"))


def test_the_picture_is_what_its_program_draws(two_lists: dict[str, Any]) -> None:
    assert "(pictures/two_lists.svg)" in PAGE
    assert two_lists["PICTURE"].read_text("utf-8") == two_lists["picture"]()


def test_the_picture_counts_both_lists_as_the_machine_does(two_lists: dict[str, Any]) -> None:
    kernel = Kernel()
    lists = {letters: kernel.lookaside_list() for letters in ("AF", "af")}
    for size, each in enumerate(lists.values(), 1):
        each.initialize(pool_type=PoolType.NonPagedPoolNx, size=16 * size, tag=b"Two ")
    entries: dict[str, list[int]] = {letters: [] for letters in lists}
    seen: dict[str, list[tuple[int, bool]]] = {letters: [] for letters in lists}
    for call in two_lists["CALLS"]:
        letters = "AF" if call in "AF" else "af"
        each = lists[letters]
        before = each.allocate_misses + each.free_misses
        if call == letters[0]:
            entry = each.allocate()
            assert entry is not None
            entries[letters].append(entry)
        else:
            each.free(entries[letters].pop())
        missed = each.allocate_misses + each.free_misses > before
        seen[letters].append((each.current_depth, missed))
    for letters, each in lists.items():
        assert each.depth == two_lists["DEPTH"]
        drawn = [(move.held, move.missed) for move in two_lists["moves"](letters)]
        assert drawn == seen[letters]

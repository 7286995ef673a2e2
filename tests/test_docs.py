"""The documents say what is true: tests that are named exist, outputs are those of the programs."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
from functools import cache
from pathlib import Path

import pytest

from lookaside_sim import ddi
from lookaside_sim.rooms import FLOORS

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
BLOCKS = re.findall(
    r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", ARCHITECTURE, re.DOTALL
)
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def named_tests() -> list[tuple[str, str]]:
    return NAMED.findall((ROOT / "docs" / "fidelity.md").read_text("utf-8"))


@cache
def functions(file: str) -> dict[str, set[str]]:
    """The functions in a file of tests and the attributes each names; none of no file."""
    found: dict[str, set[str]] = {}
    if (TESTS / file).exists():
        for node in ast.walk(ast.parse((TESTS / file).read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, set()).update(
                    each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)
                )
    return found


def test_every_test_in_the_ledger_exists() -> None:
    missing = [f"{file}::{name}" for file, name in named_tests() if name not in functions(file)]
    assert missing == []


def test_every_row_of_the_ledger_names_a_test() -> None:
    text = (ROOT / "docs" / "fidelity.md").read_text("utf-8")
    rows = [
        line
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| behavior", "| choice"))
    ]
    assert len(rows) > 60
    assert [row for row in rows if not NAMED.search(row)] == []


def test_each_routine_of_the_ddi_has_a_row_in_the_ledger() -> None:
    text = (ROOT / "docs" / "fidelity.md").read_text("utf-8")
    named = set(re.findall(r"\w+", text))
    named |= {word for file, test in named_tests() for word in functions(file).get(test, ())}
    routines = {name for name in vars(ddi)["__all__"] if inspect.isfunction(getattr(ddi, name))}
    assert sorted(routines - named) == []


def test_the_table_of_misuse_is_what_the_programs_print() -> None:
    printed = (ROOT / "examples" / "three_ways.out").read_text("utf-8")
    assert (ROOT / "docs" / "misuse.md").read_text("utf-8").endswith("\n\n" + printed)


def test_the_page_on_the_architecture_shows_the_floors_as_they_are() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", ARCHITECTURE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(FLOORS) + 1))
    assert [tuple(re.findall(r"`(\w+)`", parts)) for _, parts in rows] == list(FLOORS)


def test_no_block_of_the_page_on_the_architecture_is_left_out() -> None:
    assert len(BLOCKS) == ARCHITECTURE.count("```python") > 0


@pytest.mark.parametrize(("program", "output"), BLOCKS)
def test_a_block_of_the_page_on_the_architecture(program: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "architecture.md", "exec"), {"__name__": "documented"})
    assert printed.getvalue() == output

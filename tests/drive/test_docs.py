"""The document of drivers: its blocks print what they say, and its table is true."""

from __future__ import annotations

import pytest

from tests.drive import docs
from tests.drive.helpers import needs_engine

pytestmark = needs_engine

BLOCKS = list(docs.blocks())


def test_no_block_is_left_out() -> None:
    text = docs.DOCUMENT.read_text("utf-8")
    suites = text.count("```python\n# test_")  # run by tests/testing/plugins/test_drivers.py
    blocks = text.count("```python") + text.count("```console") - suites
    assert len(BLOCKS) == blocks == 8


@pytest.mark.parametrize(("kind", "source", "output"), BLOCKS)
def test_a_block_prints_what_is_below_it(kind: str, source: str, output: str) -> None:
    run = docs.printed_by if kind == "python" else docs.said_by
    assert run(source) == output


@pytest.mark.parametrize("mistake", docs.MISTAKES)
def test_each_mode_finds_what_the_table_says(mistake: str) -> None:
    table = docs.TABLE.search(docs.DOCUMENT.read_text("utf-8"))
    assert table is not None
    shown = " | ".join(docs.found(mistake, mode) for mode in docs.MODES)
    assert f"| {docs.MISTAKES[mistake]} | {shown} |\n" in table[2]

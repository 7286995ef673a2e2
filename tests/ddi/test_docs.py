"""Each block of the page on the ddi, and of the page on what was found, prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", re.DOTALL)
PAGES = ("ddi.md", "found.md")
BLOCKS = [
    pytest.param(page, *block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall((DOCS / page).read_text("utf-8")))
]


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_left_out(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert len(BLOCK.findall(text)) == text.count("```python") > 0


@pytest.mark.parametrize(("page", "program", "output"), BLOCKS)
def test_a_block(page: str, program: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, page, "exec"), {"__name__": "documented"})
    assert printed.getvalue() == output

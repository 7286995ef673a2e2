"""Every block of docs/page.md runs and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "page.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", TEXT, re.DOTALL)


def test_no_block_is_left_out() -> None:
    assert len(BLOCKS) == TEXT.count("```python") > 0


@pytest.mark.parametrize(("program", "output"), BLOCKS)
def test_a_block_prints_what_it_says(program: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "page.md", "exec"), {"__name__": "documented"})
    assert printed.getvalue() == output

"""The teacher's guide: its table, its commands and its program are true."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from lookaside_sim.cli import main
from lookaside_sim.lessons import LESSONS
from lookaside_sim.lessons.asked import KINDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "teaching.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ lookaside-sim (.*)$", TEXT, re.MULTILINE)
PROGRAMS = re.findall(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", TEXT, re.DOTALL)


def test_the_table_has_every_lesson() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*?) \|.*\| (.*?) \|$", TEXT, re.MULTILINE)
    assert rows == [
        (str(number), lesson.name, shown(lesson.learns), shown(lesson.misconception))
        for number, lesson in enumerate(LESSONS, 1)
    ]


def shown(text: str) -> str:
    """A text as the table has it: a command as code."""
    return re.sub(r"(!\w+)", r"`\1`", text)


def test_every_kind_is_named() -> None:
    paragraph = TEXT[TEXT.index("The kinds of questions") :]
    assert {each for each in KINDS if f"`{each}" not in paragraph} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_command(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sheet = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[0]
    (tmp_path / "answers.json").write_text(sheet, "utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    if command.startswith("kd"):
        assert "# too late" in printed
    if command.startswith("lesson grade"):
        assert printed.startswith("Ada: lifo, seed 21: ")


def test_no_block_is_left_out() -> None:
    assert len(COMMANDS) == 5
    assert len(PROGRAMS) == TEXT.count("```python") == 1


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_program(program: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "docs/teaching.md", "exec"), {})
    assert printed.getvalue() == output

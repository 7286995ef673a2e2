"""Lessons as pages: with their questions and answers, and exams with no answer in them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim.cli import main
from lookaside_sim.lessons import LESSONS, take
from lookaside_sim.lessons.lesson import Lesson
from lookaside_sim.lessons.pages import exam_page, lesson_pages
from lookaside_sim.lessons.paper import grade


def data(text: str) -> dict[str, Any]:
    """What a page's data says."""
    found = re.search(r'id="data">(.*?)</script>', text)
    assert found is not None
    packed: dict[str, Any] = json.loads(found[1])
    return packed


def meta(packed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed["meta"]), -15))
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda each: each.name)
def test_a_lesson_asks_its_questions_on_its_pages(lesson: Lesson) -> None:
    taken = take(lesson, 1)
    asked = [data(page)["questions"] for page in lesson_pages(taken)]
    assert [
        (number, each["at"], each["answer"])
        for number, some in enumerate(asked)
        for each in some
    ] == sorted(
        [(each.scene, each.position, each.answer) for each in taken.predictions],
        key=lambda row: row[0],
    )


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda each: each.name)
def test_an_exam_holds_no_answer(lesson: Lesson) -> None:
    taken = take(lesson, 1)
    packed = data(exam_page(taken))
    assert packed["questions"] == []
    assert packed["n"] == min(
        each.position for each in taken.predictions if each.scene == taken.predictions[0].scene
    )
    asked = packed["exam"]["questions"]
    assert [each["ask"] for each in asked] == [each.text for each in taken.predictions]
    assert {(each["answer"], each["why"]) for each in asked} == {(None, "")}
    assert all(int(step) < packed["n"] for step in meta(packed)["scans"])


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, paper = tmp_path / "page.html", tmp_path / "paper.html"
    assert main(["lesson", "tools", "-o", str(page)]) == 0
    assert main(["lesson", "lifo", "--quiz", "--seed", "3", "-o", str(paper)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(
        list(tmp_path.glob("page*.html"))
    )
    assert (tmp_path / "page-2.html").exists()
    sheet = data(paper.read_text("utf-8"))["exam"]["sheet"]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(sheet), "utf-8")
    assert grade(answers)[0].taken.seed == 3
    assert main(["lesson", "lifo", "--key", "-o", str(page)]) == 2

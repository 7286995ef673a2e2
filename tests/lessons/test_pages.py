"""Lessons as pages: whole, and exams that hold nothing of what is asked."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim import LookasideSimError
from lookaside_sim.cli import main
from lookaside_sim.lessons import LESSONS, Lesson
from lookaside_sim.lessons.pages import exam_page, lesson_page
from tests.lessons.helpers import taken

IDS = [lesson.name for lesson in LESSONS]


def payload(text: str) -> dict[str, Any]:
    """What a page holds of its run."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1].replace("\\u003c", "<"))
    data["meta"] = json.loads(zlib.decompress(base64.b64decode(data["meta"]), -zlib.MAX_WBITS))
    return data


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_an_exam_ends_at_its_question(lesson: Lesson) -> None:
    found = taken(lesson.name, 1)
    number = len(found.predictions)
    asked = found.predictions[-1]
    data = payload(exam_page(found, number))
    assert data["n"] == data["step"] == asked.position
    assert list(data["meta"]["notes"]) == [str(asked.position)]
    assert asked.text in data["meta"]["notes"][str(asked.position)]
    assert data["meta"]["stop"] is None
    assert data["culprit"] is None
    assert asked.why not in json.dumps(data["meta"])
    assert found.scenes[asked.scene].run.notes == {}


def test_a_lesson_has_its_questions_as_notes() -> None:
    found = taken("link", 0)
    data = payload(lesson_page(found))
    assert data["n"] == len(found.scenes[0].run)
    assert {int(position) for position in data["meta"]["notes"]} == {
        each.position for each in found.predictions
    }
    assert data["meta"]["stop"] is not None
    assert payload(lesson_page(taken("tools", 0), machine=3))["n"] == 4


def test_the_command_writes_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "lifo.html"
    assert main(["lesson", "lifo", "-o", str(page)]) == 0
    whole = payload(page.read_text("utf-8"))
    assert whole["meta"]["notes"] == payload(lesson_page(taken("lifo", 0)))["meta"]["notes"]
    assert main(["lesson", "lifo", "-o", str(page), "--exam", "2"]) == 0
    assert payload(page.read_text("utf-8"))["n"] == taken("lifo", 0).predictions[1].position
    capsys.readouterr()
    for wrong, said in (
        (["--exam", "2"], "give the page to write"),
        (["-o", str(page), "--exam", "9"], "question 9: lesson lifo, seed 0, has 6"),
        (["-o", str(page), "--machine", "2"], "machine 2: the program of lesson lifo makes 1"),
    ):
        assert main(["lesson", "lifo", *wrong]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(LookasideSimError):
        exam_page(taken("lifo", 0), 0)

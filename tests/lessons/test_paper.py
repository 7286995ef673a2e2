"""Quiz, key, grading, and the command: no paper holds its answers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from lookaside_sim.cli import main
from lookaside_sim.lessons import LESSONS, Lesson, lesson_named, take
from lookaside_sim.lessons.paper import answer_sheet, grade, key, quiz
from lookaside_sim.lessons.play import Score, play
from tests.lessons.helpers import taken as cached

IDS = [lesson.name for lesson in LESSONS]


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_the_paper_asks_and_the_key_answers(lesson: Lesson) -> None:
    taken = cached(lesson.name, 2)
    paper, answers = " ".join(quiz(taken).split()), " ".join(key(taken).split())
    for number, each in enumerate(taken.predictions, 1):
        assert f"{number}. {' '.join(each.text.split())}" in paper
        assert " ".join(each.why.split()) not in paper
        assert f"{number}. {each.letter}" in answers
    assert " ".join(taken.model_answer.split()) in answers
    assert taken.model_answer[:60] not in paper


def sheet(name: str, seed: int, right: int) -> dict[str, object]:
    """A sheet on which only the first answers are right."""
    taken = take(lesson_named(name), seed)
    made = answer_sheet(taken, "Ada")
    for number, each in enumerate(taken.predictions, 1):
        wrong = next(x for x in ("a", "b", "12345678") if not each.is_right(x))
        made["answers"][str(number)] = each.letter if number <= right else wrong
    made["answers"]["words"] = "I think so."
    return made


def test_grading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([sheet("lifo", 4, 2), sheet("page", 1, 6)]), "utf-8")
    first, second = grade(path)
    assert (first.points, first.name, first.words) == (2, "Ada", "I think so.")
    assert second.points == len(second.marks)
    assert main(["lesson", "grade", str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Ada: lifo, seed 4: 2 of 6\n")
    assert "To compare:" in printed
    assert printed.endswith(f"2 sheets: {2 + second.points} of {6 + len(second.marks)}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("3", "give an object"),
        ('{"lesson": 3}', "lesson 3: give its name"),
        ('{"lesson": "foo", "seed": 1, "answers": {}}', "give one of page"),
        ('{"lesson": "lifo", "seed": -1, "answers": {}}', "seed -1"),
        ('{"lesson": "lifo", "seed": true, "answers": {}}', "seed True"),
        ('{"lesson": "lifo", "seed": 1, "answers": []}', "answers []: give an object"),
        (
            '{"lesson": "lifo", "seed": 1, "answers": {"9": "a"}}',
            "answers '9': the paper has 1",
        ),
        ('{"lesson": "lifo", "seed": 1, "answers": {}, "name": 1}', "name 1: give a text"),
    ],
)
def test_what_is_no_sheet(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.json"
    path.write_text(text, "utf-8")
    assert main(["lesson", "grade", str(path)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_whoever_is_right_is_told_so(lesson: Lesson) -> None:
    taken = cached(lesson.name, 1)
    answers = iter([each.letter for each in taken.predictions])
    written: list[str] = []
    shown_before: list[int] = []

    def ask(prompt: str) -> str | None:
        shown_before.append("\n".join(written).count("   -> "))
        return next(answers, "")

    score = play(taken, ask, written.append)
    count = len(taken.predictions)
    assert score == Score(count, count, count)
    assert "\n".join(written).count("  Right: ") == count
    # No call was shown that was still to be asked about.
    for each, shown in zip(taken.predictions, shown_before, strict=False):
        before = sum(len(scene.run) for scene in taken.scenes[: each.scene])
        assert shown <= before + each.position


def test_a_lesson_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = take(lesson_named("lifo"))
    lines = ["perhaps", taken.predictions[0].letter, ""]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    assert main(["lesson", "3"]) == 0
    printed = capsys.readouterr().out
    assert "  (a to b) > perhaps\n  Give a to b.\n" in printed
    assert printed.count("  Right: ") == 1
    assert f"1 of {len(taken.predictions)} right." in printed
    assert printed.rstrip().endswith(taken.model_answer.split()[-1])


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lesson"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[:10]] == IDS
    assert main(["lesson", "load", "--quiz", "--seed", "3"]) == 0
    assert capsys.readouterr().out == quiz(take(lesson_named("load"), 3)) + "\n"
    assert main(["lesson", "load", "--key", "--seed", "3"]) == 0
    assert capsys.readouterr().out == key(take(lesson_named("load"), 3)) + "\n"
    for wrong in (["lesson", "nothing"], ["lesson", "grade"], ["lesson", "lifo", "a.json"]):
        assert main(wrong) == 2
    with pytest.raises(SystemExit):
        main(["lesson", "lifo", "--seed", "-1"])

"""Answers, checked by hand: what the lessons ask, worked out without them."""

from __future__ import annotations

import re

import pytest

from lookaside_sim import next_depth
from lookaside_sim.lessons import Taken, lesson_named, take
from lookaside_sim.lessons.prediction import Prediction
from tests.lessons.helpers import SEEDS, taken


def asked(name: str, kind: str) -> list[tuple[Taken, Prediction]]:
    """All questions of a kind that some seeds ask in a lesson."""
    found = []
    for seed in SEEDS:
        lesson = taken(name, seed)
        found += [(lesson, each) for each in lesson.predictions if each.kind == kind]
    assert found
    return found


def test_sizes_of_blocks() -> None:
    for _, each in asked("page", "size"):
        (size,) = re.findall(r"allocate\((\d+)", each.text)
        assert int(each.answer) == (16 + int(size) + 15) // 16 * 16


def test_the_entry_freed_last_comes_back_first() -> None:
    for lesson, each in asked("lifo", "which"):
        if "four = " in each.text:
            last = re.findall(r"free\((\w+)\)", lesson.program.text)[2]
            assert each.answer == {"one": "A", "two": "B", "three": "C"}[last]


def test_setting_the_depth_moves_no_entry() -> None:
    for lesson, each in asked("depths", "ListHead.Depth"):
        if "set_depth" in each.text:
            count = int(re.findall(r"range\((\d+)\)", lesson.program.text)[0])
            assert int(each.answer) == min(count, 4)
    for _, each in asked("depths", "Depth"):
        (depth,) = re.findall(r"set_depth\((\d+)\)", each.text) or ["4"]
        assert each.answer == depth


def test_scans_follow_the_rule() -> None:
    for lesson, each in asked("load", "Depth"):
        scene = lesson.scenes[0]
        (before,) = scene.state(each.position).lists.values()
        fields = before.fields
        expected = next_depth(
            fields["Depth"],
            fields["MaximumDepth"],
            fields["TotalAllocates"] - fields["LastTotalAllocates"],
            fields["AllocateMisses"] - fields["LastAllocateMisses"],
        )
        assert int(each.answer) == expected


def test_a_list_that_always_hits_shrinks() -> None:
    calm = [each for _, each in asked("load", "trend") if "line 21" in each.text]
    assert {each.answer for each in calm} == {"it shrinks"}


def test_the_leak_is_the_tag_that_grows() -> None:
    assert {each.answer for _, each in asked("tags", "growing")} == {"Evnt"}


def test_bytes_come_back_as_they_were() -> None:
    assert {each.answer for _, each in asked("bytes", "word 8") if "carol" in each.text} == {
        "what its last owner wrote"
    }
    assert {each.answer for _, each in asked("bytes", "word 0") if "carol" in each.text} == {
        "the address of another entry"
    }


def test_the_verifier_stops_for_what_went_well_before() -> None:
    stops = [each for _, each in asked("irql", "stop") if "names.allocate" in each.text]
    assert {(each.scene, each.answer) for each in stops} == {(0, "no"), (1, "yes")}


def test_the_list_hands_out_the_victim() -> None:
    fours = [each for _, each in asked("link", "which") if "four = " in each.text]
    assert {each.answer for each in fours} == {"A"}


def test_one_entry_has_two_owners() -> None:
    assert {each.answer for _, each in asked("twice", "which") if "two = " in each.text} == {
        "A"
    }


@pytest.mark.parametrize(
    ("mistake", "answers"),
    [
        ("requests.free(entry)", ["nothing notices", "the sanitizer refuses it", "the machine stops"]),
        ("kernel.read(entry + 8, 8)",
         ["nothing notices", "the sanitizer refuses it", "the machine stops"]),
        ("requests.free(entry + 16)",
         ["nothing notices", "the sanitizer refuses it", "the machine stops"]),
        ('kernel.write(entry, b"too late")',
         ["nothing notices", "the sanitizer refuses it", "the machine stops"]),
    ],
)  # fmt: skip
def test_what_each_tool_sees(mistake: str, answers: list[str]) -> None:
    for seed in range(40):
        lesson = take(lesson_named("tools"), seed)
        if f"    {mistake}\n    requests.allocate()" in lesson.program.text:
            reports = [each.answer for each in lesson.predictions if each.kind == "report"]
            assert reports == answers
            return
    pytest.fail("no seed makes this mistake")

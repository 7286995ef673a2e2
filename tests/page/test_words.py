"""What the page says of each step: nothing is left unsaid, and no name stands for nothing."""

from __future__ import annotations

from lookaside_sim.page.routines import ROUTINES, SENTENCES
from tests.page.in_node import ask, needs_node
from tests.page.runs import double_free, lifo, random_run, use_after_free


@needs_node
def test_every_step_has_a_sentence_whose_names_are_known() -> None:
    runs = [lifo(), use_after_free(), double_free(), random_run("plain", "x64", 3, 40)]
    asked = [(run, range(1, len(run) + 1), "words") for run in runs]
    for (run, positions, _), shown in zip(asked, ask(asked), strict=True):
        for position, words in zip(positions, shown, strict=True):
            assert words["badge"] in {badge for badge, _, _ in SENTENCES.values()}
            assert "?" not in words["text"], (run[position - 1], words["text"])


@needs_node
def test_conditions_show_the_values_they_had() -> None:
    (shown,) = ask([(lifo(), [6, 8], "words")])
    env = shown[0]["env"]
    assert (env["held"], env["held'"], env["Depth"]) == ("1", "2", "4")
    assert shown[0]["text"].startswith("There is room, 2 of 4 now")
    assert (
        shown[1]["text"] == "The newest free entry comes off the list. The pool is not called."
    )
    assert shown[1]["result"] == shown[1]["env"]["first"]


@needs_node
def test_an_entry_freed_twice_is_said_to_be_on_the_list_already() -> None:
    (shown,) = ask([(double_free(), [5, 6], "words")])
    assert "on the list already" not in shown[0]["text"]
    assert "on the list already: the chain leads back" in shown[1]["text"]


def test_every_sentence_is_of_a_kind_the_style_sheet_has() -> None:
    kinds = {kind for _, kind, _ in SENTENCES.values()}
    assert kinds == {"hit", "miss", "plain", "stop", "tune", "write"}
    for lines in ROUTINES.values():
        assert sum(when == "?" for _, when, _ in lines) <= 1

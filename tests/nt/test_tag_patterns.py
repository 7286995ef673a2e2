"""Which characters of a tag pattern stand for others."""

from __future__ import annotations

import pytest

from lookaside_sim.nt.tag_patterns import tag_matches


@pytest.mark.parametrize(
    ("pattern", "tag", "matches"),
    [
        ("SeSd", "SeSd", True),
        ("SeSd", "sesd", False),
        ("Mm", "Mm  ", True),
        ("Mm*", "Mm  ", True),
        ("M?St", "MmSt", True),
        ("*d", "SeSd", True),
        ("Se?", "SeSd", False),
        ("[a]b", "[a]b", True),
        ("[ab]", "a   ", False),
        ("a.c*", "abcd", False),
    ],
)
def test_stars_and_question_marks_and_nothing_else(
    pattern: str, tag: str, matches: bool
) -> None:
    assert tag_matches(tag, pattern) is matches

"""A small version of each campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import correct, differences, runs
from tests.fuzz.arguments import Campaign
from tests.fuzz.doors import DOORS
from tests.fuzz.overwrites import play


@pytest.mark.parametrize("part", range(4))
def test_no_door_takes_what_is_wrong(part: int) -> None:
    campaign = Campaign("x86" if part % 2 else "x64", sanitizer=part > 1)
    assert not list(campaign.all(DOORS[part::4]))


@pytest.mark.parametrize("part", range(4))
def test_nothing_undocumented_comes_of_overwritten_memory(part: int) -> None:
    assert not [wrong for number in range(50) if (wrong := play(part * 1000 + number))]


# What the campaigns found, kept.
@pytest.mark.parametrize("number", [53, 466, 561])
def test_programs_that_were_found(number: int) -> None:
    assert play(number) is None


@pytest.mark.parametrize("number", range(6))
def test_two_machines_that_must_not_differ(number: int, tmp_path: Path) -> None:
    assert differences.play(number, tmp_path) is None


@pytest.mark.parametrize("number", range(4))
def test_a_correct_program_meets_nothing(number: int) -> None:
    correct.play(number, 600)


@pytest.mark.parametrize("number", range(8))
def test_programs_are_recorded_and_played_again(number: int, tmp_path: Path) -> None:
    assert runs.play(number, tmp_path) is None

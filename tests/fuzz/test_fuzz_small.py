"""A small version of each campaign."""

from __future__ import annotations

import pytest

from tests.fuzz.arguments import Campaign
from tests.fuzz.doors import DOORS


@pytest.mark.parametrize("part", range(4))
def test_no_door_takes_what_is_wrong(part: int) -> None:
    campaign = Campaign("x86" if part % 2 else "x64", sanitizer=part > 1)
    assert not list(campaign.all(DOORS[part::4]))

from __future__ import annotations

import pytest
from hypothesis import settings

from lookaside_sim.testing.conformance.settings import (
    EXAMPLES_VARIABLE,
    SEED_VARIABLE,
    examples_to_run,
    seed_to_use,
)


def test_what_is_asked_for_counts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXAMPLES_VARIABLE, "9")
    monkeypatch.setenv(SEED_VARIABLE, "8")
    assert (examples_to_run(3), seed_to_use(2)) == (3, 2)
    assert (examples_to_run(None), seed_to_use(None)) == (9, 8)
    monkeypatch.setenv(SEED_VARIABLE, "eight")
    with pytest.raises(ValueError, match="LOOKASIDE_SIM_SEED='eight': give a whole number"):
        seed_to_use(None)
    with pytest.raises(ValueError, match="max_examples=0: give 1 or more"):
        examples_to_run(0)


def test_the_profile_of_hypothesis_makes_more_or_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(EXAMPLES_VARIABLE, raising=False)
    before = settings()
    try:
        for examples, programs in ((1000, 2000), (100, 200), (5, 160)):
            settings.register_profile("toolkit", max_examples=examples)
            settings.load_profile("toolkit")
            assert examples_to_run(None) == programs
    finally:
        settings.register_profile("toolkit", parent=before)
        settings.load_profile("toolkit")
    assert seed_to_use(None) is None

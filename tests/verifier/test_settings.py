"""What Driver Verifier is told to do."""

from __future__ import annotations

import pytest

from lookaside_sim import (
    Verifier,
)


def test_standard_is_the_documented_set() -> None:
    assert Verifier.standard().flags == 0x209BB
    assert Verifier() == Verifier.standard()
    assert Verifier.standard(drivers=["a.sys"]).drivers == ("a.sys",)


@pytest.mark.parametrize(
    "bad", [{"probability": 10_001}, {"delay_seconds": -1}, {"special_pool_pages": -1}]
)
def test_settings_that_are_none_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Verifier(**bad)  # type: ignore[arg-type]


def test_settings_take_texts_bytes_and_tags() -> None:
    from lookaside_sim import PoolTag

    settings = Verifier(tags=[b"Abcd", PoolTag(b"Efgh"), "I*"])
    assert settings.tags == ("Abcd", "Efgh", "I*")
    assert Verifier(tags=b"Abcd").tags == ("Abcd",)
    for bad in (5, [5]):
        with pytest.raises(TypeError, match="give"):
            Verifier(tags=bad)  # type: ignore[arg-type]

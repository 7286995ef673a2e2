"""Integers of a range, and what is none."""

from __future__ import annotations

import pytest

from lookaside_sim.nt.arguments import shown, unsigned


class Five:
    def __index__(self) -> int:
        return 5


@pytest.mark.parametrize(("value", "bits"), [(0, 1), (1, 1), (0xFFFF, 16), ((1 << 64) - 1, 64)])
def test_a_value_that_fits_is_taken(value: int, bits: int) -> None:
    assert unsigned("size", value, bits) == value


def test_anything_that_is_an_integer_is_taken_as_a_plain_int() -> None:
    taken = unsigned("size", Five(), 8)
    assert taken == 5
    assert type(taken) is int


@pytest.mark.parametrize("value", [-1, 256])
def test_a_value_that_does_not_fit_is_refused_by_name(value: int) -> None:
    with pytest.raises(ValueError, match=rf"^size {value}: give 0 to 0xff$"):
        unsigned("size", value, 8)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None])
def test_what_is_no_integer_is_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match=r"^size .*: give an integer$"):
        unsigned("size", value, 8)  # type: ignore[arg-type]


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ("x" * 200, "'" + "x" * 76 + "..."),
        ("\x1b[31m", "'\\x1b[31m'"),
        (Unshowable(), "<Unshowable, which cannot be shown>"),
    ],
)
def test_a_value_is_shown_on_a_short_line(value: object, text: str) -> None:
    assert shown(value) == text

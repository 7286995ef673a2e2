from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim import PoolTag, PoolType, TraceError
from lookaside_sim.trace.foreign.formats import load_any, load_counts
from lookaside_sim.trace.foreign.poolmon import TagCounts

SAMPLES = Path(__file__).parent / "samples"
NONPAGED, PAGED = PoolType.NonPagedPool, PoolType.PagedPool


def test_what_happened_between_displays() -> None:
    assert load_counts(SAMPLES / "poolmon.txt") == [
        TagCounts(PoolTag(b"Wait"), NONPAGED, 282, [(100, 100), (10, 10)]),
        TagCounts(PoolTag(b"Gxlt"), PAGED, 108, [(0, 8), (2, 2)]),
        # A tag that a display leaves out made no calls until then.
        TagCounts(PoolTag(b"Io  "), NONPAGED, 724, [(2, 2), (0, 0)]),
        TagCounts(PoolTag(b"Late"), NONPAGED, 64, [(0, 0), (0, 5)]),
    ]


def test_a_file_with_calls_has_no_counts() -> None:
    assert load_counts(SAMPLES / "ltrace.txt") is None


def test_rows_alone_are_displays_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("Abcd Nonp 1 (0) 0 (0) 1 64 (0) 64\nAbcd Nonp 4 3 1 64 64\n")
    assert load_counts(path) == [TagCounts(PoolTag(b"Abcd"), NONPAGED, 64, [(3, 3)])]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("Abcd Nonp 1 0 1 64 64\n", 1, "one display alone"),
        ("Abcd Nonp 1 0 1 64 64\nrubbish\n", 2, "no line of poolmon: 'rubbish'"),
        ("Abcd Nonp 2 0 1 64 64\nAbcd Nonp 1 0 1 64 64\n", 2, "its counts fall"),
        ("A€cd Nonp 2 0 1 64 64\nA€cd Nonp 2 0 1 64 64\n", 2, "give four characters"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(TraceError, match=problem) as caught:
        load_counts(path)
    assert caught.value.line == line


def test_counts_are_no_calls() -> None:
    for kind in (None, "poolmon"):
        with pytest.raises(TraceError, match="counts of poolmon, not calls"):
            load_any(SAMPLES / "poolmon.txt", kind)

"""With numpy or without, the same calls come out of a packed trace."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim.advise import advise, sorting, streams
from lookaside_sim.advise.sorting import by_kind, sorter
from lookaside_sim.trace import Event, save
from lookaside_sim.trace.packed import RARE

SECOND = 1_000_000


def one_by_one(
    table: Sequence[int], codes: bytes, rare: Sequence[int]
) -> list[tuple[int, bytes]]:
    others = iter(rare)
    found: dict[int, bytearray] = {}
    for code in codes:
        full = next(others) if code == RARE else table[code]
        found.setdefault(full >> 1, bytearray()).append(full & 1 ^ 1)
    return [(number, bytes(calls)) for number, calls in sorted(found.items())]


@st.composite
def coded(draw: st.DrawFn) -> tuple[list[int], bytes, Sequence[int]]:
    most = draw(st.sampled_from([5, 300, 1 << 20]))
    numbers = draw(st.lists(st.integers(0, most), min_size=1, max_size=127, unique=True))
    table = [2 * number + free for number in numbers for free in (0, 1)]
    places = [*range(len(table)), RARE]
    codes = bytes(draw(st.lists(st.sampled_from(places), min_size=1, max_size=50)))
    count = codes.count(RARE)
    rare = draw(st.lists(st.integers(0, 2 * most + 1), min_size=count, max_size=count))
    # Columns of a packed trace are bytes, arrays, or lists.
    if max(rare, default=0) < 256 and draw(st.booleans()):
        return table, codes, bytes(rare)
    return table, codes, array("L", rare) if draw(st.booleans()) else rare


@given(coded())
def test_calls_are_sorted_by_kind(made: tuple[list[int], bytes, Sequence[int]]) -> None:
    np = pytest.importorskip("numpy")
    assert list(by_kind(np, *made)) == one_by_one(*made)


def events(count: int) -> list[Event]:
    random = Random(1)
    made: list[Event] = []
    live: list[int] = []
    for number in range(count):
        if live and random.random() < 0.5:
            made.append(Event("free", number * 99, live.pop(random.randrange(len(live)))))
        else:
            live.append(number)
            made.append(Event("alloc", number * 99, number, random.randrange(500)))
    return made


def test_advice_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    path = tmp_path / "many.lkt"
    save(path, events(30_000))
    used = []

    def counting(*arguments: Any) -> Any:
        used.append(arguments)
        return by_kind(*arguments)

    monkeypatch.setattr(streams, "by_kind", counting)
    monkeypatch.setattr(streams, "sorter", lambda calls: None)
    without = advise(path)
    assert not used
    monkeypatch.setattr(streams, "sorter", lambda calls: np)
    assert advise(path) == without
    assert used


def test_numpy_is_not_imported_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy", raising=False)
    assert sorter(1000) is None
    monkeypatch.setattr(sorting, "find_spec", lambda name: None)
    sorting._import.cache_clear()
    assert sorter(1 << 30) is None
    sorting._import.cache_clear()

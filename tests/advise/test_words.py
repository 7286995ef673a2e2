from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim.advise import words
from lookaside_sim.advise.words import ALLOCATE, FREE, Calls, pack, run, unpack
from tests.advise.brute import fixed

runs = st.lists(
    st.tuples(st.sampled_from([ALLOCATE, FREE]), st.integers(1, 12)), max_size=30
).map(lambda found: b"".join(bytes([call]) * length for call, length in found))
streams = st.one_of(runs, st.lists(st.integers(0, 1), max_size=80).map(bytes))


@given(streams)
def test_what_is_packed_is_the_same_calls(stream: bytes) -> None:
    calls = pack(stream)
    assert unpack(calls) == stream
    assert (calls.allocates, calls.frees) == (stream.count(1), stream.count(0))
    assert len(calls.words) == len(stream) // 8


def test_the_first_call_is_the_high_bit() -> None:
    assert pack(bytes([1, 0, 0, 0, 0, 0, 1, 0, 1])) == Calls(b"\x82", b"\1", 3, 6)


@given(
    stream=streams, held=st.integers(0, 60), depth=st.integers(0, 40), most=st.integers(0, 60)
)
def test_any_calls_on_any_list(stream: bytes, held: int, depth: int, most: int) -> None:
    *counts, highest = fixed(stream, held, depth)
    for many in (512, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(words, "_MANY", many)
            assert run(pack(stream), held, depth, most) == (*counts, max(most, highest))


@pytest.mark.parametrize("depth", [16, 17, 20, 32, 33, 41])
@pytest.mark.parametrize("held", [0, 1, 5, 12, 16])
def test_words_together(held: int, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_MANY", 1)
    draw = random.Random(held * 100 + depth)
    for _ in range(200):
        stream = bytes(draw.choices((0, 1), [draw.random(), draw.random()], k=100))
        assert run(pack(stream), held, depth) == fixed(stream, held, depth)


def test_four_words_that_come_again_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_KNOWN", 0)
    monkeypatch.setattr(words, "_MOST_KNOWN", 40)
    seen = words._Units()
    monkeypatch.setattr(words, "_seen", lambda: seen)
    draw = random.Random(3)
    alike, others = bytes([1, 0] * 800), bytes(draw.choices((0, 1), k=1600))
    for stream, kept in ((others, 0), (alike, 0)):
        assert run(pack(stream), 20, 50) == fixed(stream, 20, 50)
        assert len(seen) == kept  # nobody knows yet whether they will come again
    monkeypatch.setattr(words, "_KNOWN", 1)
    for stream, kept in ((alike, 1), (others, 1), (alike, 1)):
        assert run(pack(stream), 20, 50) == fixed(stream, 20, 50)
        assert len(seen) == kept
    monkeypatch.setattr(words, "_KNOWN", 60)
    assert run(pack(others), 20, 50) == fixed(others, 20, 50)
    assert len(seen) == 51
    monkeypatch.setattr(words, "_KNOWN", 0)
    assert run(pack(others), 20, 50) == fixed(others, 20, 50)
    assert len(seen) == 50  # there were more than may be kept: forgotten, and learned again


@pytest.mark.parametrize("depth", [0, 1, 4, 7, 8, 9])
@pytest.mark.parametrize("held", [0, 1, 3, 7, 8, 12])
def test_every_word(held: int, depth: int) -> None:
    for word in product((0, 1), repeat=8):
        stream = bytes(word)
        assert run(pack(stream), held, depth) == fixed(stream, held, depth)
        assert run(pack(stream * 2), held, depth) == fixed(stream * 2, held, depth)

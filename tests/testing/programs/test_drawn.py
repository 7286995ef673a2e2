from __future__ import annotations

from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim.testing import (
    operations_from_bytes,
    run_program,
)
from lookaside_sim.testing.programs.drawn import random_examples
from tests.testing.allocators import LinkedList


def test_random_examples_follow_from_the_seed() -> None:
    def first(seed: int | None) -> list[object]:
        return list(islice(random_examples(seed), 20))

    assert first(None) == first(None)
    assert first(1) == first(1) != first(2)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.binary(max_size=120))
def test_any_bytes_are_a_program(data: bytes) -> None:
    program = operations_from_bytes(data)
    assert len(program) <= 50
    assert bool(program) == bool(data)
    run_program(LinkedList, program)


def test_the_beginning_of_a_program_does_not_depend_on_later_bytes() -> None:
    data = bytes(range(40, 80))
    long, short = operations_from_bytes(data), operations_from_bytes(data[:20])
    assert short[:-1] == long[: len(short) - 1]
    assert operations_from_bytes(data, most_steps=3) == long[:3]

from __future__ import annotations

from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim.testing import (
    operations_from_bytes,
    reuse_from_bytes,
    run_program,
)
from lookaside_sim.testing.programs.drawn import random_examples
from lookaside_sim.testing.programs.wants import Wants
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
    assert len(program) <= 51
    assert bool(program) == bool(data)
    run_program(LinkedList, program)


def test_the_beginning_of_a_program_does_not_depend_on_later_bytes() -> None:
    data = bytes(range(40, 80))
    long, short = operations_from_bytes(data), operations_from_bytes(data[:20])
    assert short[1:-1] == long[1 : len(short) - 1]
    assert operations_from_bytes(data, most_steps=3)[1:] == long[1:4]


def test_size_and_reuse_are_drawn_from_the_bytes_too() -> None:
    inputs = [bytes([7, last]) for last in range(32)]
    assert len({repr(operations_from_bytes(data)[0]) for data in inputs}) > 10
    assert {reuse_from_bytes(data) for data in inputs} == {False, True}
    assert not reuse_from_bytes(b"")


def test_programs_have_what_a_contract_wants() -> None:
    wants = Wants(sizes=range(8, 65, 8), sized=True, realloc=True, misuse=("double_free",))
    examples = list(islice(random_examples(3, wants, threads=2), 120))
    kinds = {type(step).__name__ for example in examples for step in example.program}
    assert kinds >= {"Reallocate", "FreeTwice", "Together", "Fail"}
    assert all(example.size in range(8, 65, 8) for example in examples)
    assert any(example.refused is not None for example in examples)

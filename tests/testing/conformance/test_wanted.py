from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookaside_sim.testing import (
    Contract,
    Create,
    FreeTwice,
    Reallocate,
    Together,
    operations_from_bytes,
    run_program,
)
from tests.testing.conformance.test_sides import Sized
from tests.testing.conformance.test_together import CompareAndExchange

few = settings(derandomize=True, database=None, deadline=None, max_examples=40)


@few
@given(st.binary(max_size=80))
def test_any_bytes_are_a_program_for_a_contract(data: bytes) -> None:
    contract = Contract.malloc(realloc=True, sizes=(24, 40))
    program = operations_from_bytes(data, 20, contract=contract)
    assert len(program) <= 21
    assert not data or program[0] in (Create(24), Create(40))
    run_program(Sized, program, contract=contract)


@few
@given(st.binary(max_size=80))
def test_any_bytes_are_a_program_for_threads(data: bytes) -> None:
    program = operations_from_bytes(data, 20, threads=2)
    assert sum(isinstance(step, Together) for step in program) == bool(data)
    run_program(CompareAndExchange, program, level="memory")


def test_what_a_contract_wants_is_drawn() -> None:
    contract = Contract.malloc(realloc=True, double_free="ignored")
    inputs = [bytes((seed * number) % 256 for number in range(60)) for seed in range(1, 60)]
    kinds = {
        type(step) for data in inputs for step in operations_from_bytes(data, contract=contract)
    }
    assert {Reallocate, FreeTwice} <= kinds
    with pytest.raises(ValueError, match="threads=2: give 1 or more, and 1 with sized=True"):
        operations_from_bytes(b"", contract=contract, threads=2)

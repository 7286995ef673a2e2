from __future__ import annotations

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Backend,
    Create,
    Fail,
    check_allocator,
    run_program,
)
from lookaside_sim.testing.conformance.refusals import Refusals
from tests.testing.allocators import LinkedList, Passthrough, ReferenceList


def test_what_is_not_planned_is_granted() -> None:
    refusals = Refusals()
    assert not refusals
    assert not refusals.next()
    refusals.plan(2, after=1, bursts=2)
    assert refusals.planned == 4
    assert [refusals.next() for _ in range(8)] == [False, True, True] * 2 + [False] * 2
    refusals.plan(3)
    refusals.clear()
    assert not refusals.next()


class TwoBlocks(Passthrough):
    """Takes two blocks when it is made."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.blocks = []
        for _ in range(2):
            block = backend.allocate(16)
            if block is None:
                self.give_up()
                raise MemoryError("no memory for the tables")
            self.blocks.append(block)

    def give_up(self) -> None:
        for block in self.blocks:
            self.backend.free(block)

    def delete(self) -> None:
        self.give_up()


class LeaksWhenNotMade(TwoBlocks):
    def give_up(self) -> None:
        """Forgets the first block."""

    def delete(self) -> None:
        super().give_up()


class RaisesMemoryError(ReferenceList):
    def more(self) -> int | None:
        entry = super().more()
        if entry is None:
            raise MemoryError
        return entry


def test_an_allocator_that_cannot_be_made_leaves_nothing_behind() -> None:
    check_allocator(TwoBlocks, level="memory", max_examples=60)
    check_allocator(lambda *given: _or_none(TwoBlocks, *given), level="memory", max_examples=60)
    with pytest.raises(AllocatorDifference, match="left 1 of the backend's blocks") as caught:
        check_allocator(LeaksWhenNotMade, level="memory")
    assert caught.value.program == [Fail(after=1), Create()]
    with pytest.raises(AllocatorDifference, match="left 1 of"):
        run_program(LeaksWhenNotMade, caught.value.program, level="memory")


def _or_none(factory: type, backend: Backend, size: int) -> object:
    try:
        return factory(backend, size)
    except MemoryError:
        return None


def test_memory_error_and_none_are_the_same_refusal() -> None:
    check_allocator(RaisesMemoryError, max_examples=120)
    with pytest.raises(AllocatorDifference, match="although no memory was ever refused"):
        run_program(_Never, [Allocate()], level="memory")


class _Never(Passthrough):
    def allocate(self) -> int | None:
        raise MemoryError


def test_later_requests_of_one_call_are_refused() -> None:
    class Pairs(Passthrough):
        """Takes a header for each entry, and forgets the entry if there is none."""

        def allocate(self) -> int | None:
            entry, header = self.backend.allocate(self.size), self.backend.allocate(8)
            if entry is None or header is None:
                return None
            self.headers[entry] = header
            return entry

        def __init__(self, backend: Backend, size: int) -> None:
            super().__init__(backend, size)
            self.headers: dict[int, int] = {}

        def free(self, address: int) -> None:
            self.backend.free(self.headers.pop(address))
            super().free(address)

    with pytest.raises(AllocatorDifference, match="still allocated") as caught:
        check_allocator(Pairs, level="memory")
    assert len(caught.value.program) <= 4
    run_program(LinkedList, [Fail(2, after=1, bursts=3), Allocate(9)])

from __future__ import annotations

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Backend,
    Create,
    Delete,
    Free,
    SetCounters,
    Tick,
    check_allocator,
    run_program,
)
from lookaside_sim.testing.conformance.comparison import Comparison
from lookaside_sim.testing.conformance.contract import LEVELS
from lookaside_sim.testing.conformance.oracle import Oracle
from tests.testing.allocators import LinkedList, Passthrough, ReferenceList, Slab
from tests.testing.helpers import difference
from tests.testing.mutants import Fifo


def test_a_wrap_is_only_asked_of_those_who_can() -> None:
    class Unsettable(ReferenceList):
        set_counters = None  # type: ignore[assignment]

    run_program(Unsettable, [SetCounters(), Allocate(3), Tick()])


def test_flush_order_is_checked_on_request() -> None:
    class OldestFirst(ReferenceList):
        def flush(self) -> None:
            self.entries.reverse()
            super().flush()

    check_allocator(OldestFirst, max_examples=40)
    check_allocator(LinkedList, flush_order=True, max_examples=40)
    with pytest.raises(AllocatorDifference, match="newest first"):
        check_allocator(OldestFirst, flush_order=True)


def test_stricter_alignment_can_be_asked_for() -> None:
    check_allocator(Slab, level="memory")
    with pytest.raises(AllocatorDifference, match="aligned to 64"):
        check_allocator(Slab, level="memory", alignment=64)


def test_a_factory_that_raises_is_reported() -> None:
    def factory(backend: Backend, size: int) -> ReferenceList:
        raise RuntimeError("no")

    with pytest.raises(AllocatorDifference, match="factory raised RuntimeError: no"):
        check_allocator(factory)


def test_contents_are_checked_in_memory_of_the_allocators_own() -> None:
    class Own(Passthrough):
        """Keeps the bytes itself, and confuses two entries."""

        bytes_of: dict[int, bytes] | None = None

        def read(self, address: int, size: int) -> bytes:
            return (self.bytes_of or {})[address]

        def write(self, address: int, data: bytes) -> None:
            self.bytes_of = {**(self.bytes_of or {}), address: data}

    class Confused(Own):
        def write(self, address: int, data: bytes) -> None:
            super().write(address, data)
            self.bytes_of = {a: data[:4] + b[4:] for a, b in (self.bytes_of or {}).items()}

    check_allocator(Own, level="memory")
    with pytest.raises(AllocatorDifference, match="contents of the live entry"):
        check_allocator(Confused, level="memory")


def test_results_that_are_no_addresses_are_reported() -> None:
    class Text(ReferenceList):
        def more(self) -> int | None:
            entry = super().more()
            return None if entry is None else str(entry)  # type: ignore[return-value]

    class Nothing(ReferenceList):
        def more(self) -> int | None:
            return None

    class GivesUp(Passthrough):
        def allocate(self) -> int | None:
            return None

    class Raises(ReferenceList):
        def free(self, address: int) -> None:
            raise KeyError(address)

    for factory, level, what in (
        (Text, "lookaside", "neither an int nor None"),
        (Nothing, "lookaside", "although there was memory"),
        (GivesUp, "memory", "no memory was ever refused"),
        (Raises, "lookaside", "raised KeyError"),
    ):
        assert what in difference(factory, level).what


def test_a_step_for_several_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="no step for a single allocator"):
        run_program(ReferenceList, [Create(), Create()])


def test_an_order_of_flush_is_asked_of_lookaside_lists_only() -> None:
    for level in ("memory", "fixed"):
        with pytest.raises(ValueError, match="only level 'lookaside' says"):
            check_allocator(Passthrough, level=level, flush_order=True)


def test_one_oracle_serves_many_programs_whatever_becomes_of_them() -> None:
    class Raises(ReferenceList):
        def allocate(self) -> int | None:
            raise RuntimeError("no")

    class Refuses(ReferenceList):
        def free(self, address: int) -> None:
            raise RuntimeError("no")

    oracle = Oracle()
    oracle.start(32)
    oracle.finish([])
    for factory in (Raises, Refuses, Fifo, Passthrough):
        with pytest.raises((AllocatorDifference, TypeError)):
            Comparison(factory, 32, LEVELS["lookaside"], model=oracle).execute(
                [Allocate(6), Free(6), Allocate(3)]
            )
        assert not oracle.list.is_active
        # Nothing of the simulator's side stays behind.
        assert oracle._outstanding() == 0
    Comparison(ReferenceList, 32, LEVELS["lookaside"], model=oracle).execute(
        [Allocate(6), Free(6)]
    )


def test_nothing_is_asked_of_a_deleted_allocator() -> None:
    class Counts(ReferenceList):
        calls = 0

        def allocate(self) -> int | None:
            Counts.calls += 1
            return super().allocate()

    run_program(Counts, [Allocate(), Free(), Delete(), Allocate(5), Tick(), Delete()])
    assert Counts.calls == 1

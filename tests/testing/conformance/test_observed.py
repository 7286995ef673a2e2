from __future__ import annotations

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocateFree,
    AllocatorDifference,
    Backend,
    Contract,
    Flush,
    Free,
    run_program,
)
from lookaside_sim.testing.conformance.observed import ROUNDS
from tests.testing.allocators import Passthrough, Slab
from tests.testing.designs import HardenedPool, Magazine


class Loses(Slab):
    """Loses an entry in every tenth free."""

    frees = 0

    def free(self, address: int) -> None:
        self.frees += 1
        if self.frees % 10:
            super().free(address)


def test_growth_is_told_only_after_many_rounds_of_the_same_load() -> None:
    grows = Contract(grows=False)
    run_program(Loses, [AllocateFree(ROUNDS)], contract=grows)
    with pytest.raises(AllocatorDifference, match="more memory for a load of 2"):
        run_program(Loses, [AllocateFree(2 * ROUNDS, entries=2)], contract=grows)
    run_program(Loses, [AllocateFree(2 * ROUNDS, entries=2)], contract=Contract(grows=True))
    # What holds freed entries back takes more at first, and so may a larger load.
    steps = [Allocate(9), Free(9), AllocateFree(2 * ROUNDS), Allocate(9)]
    run_program(HardenedPool, steps, contract=grows)


def test_counters_are_checked_without_a_model() -> None:
    class Counts(Passthrough):
        allocates = frees = 0

        def allocate(self) -> int | None:
            self.allocates += 1
            return super().allocate()

        def free(self, address: int) -> None:
            self.frees += self.allocates < 4
            super().free(address)

        def counters(self) -> dict[str, int]:
            return {"total_allocates": self.allocates, "total_frees": self.frees}

    contract = Contract(counters=("total_allocates", "total_frees"))
    run_program(Counts, [Allocate(3), Free(3)], contract=contract)
    with pytest.raises(AllocatorDifference, match=r"total_frees is wrong after Free\(\)"):
        run_program(Counts, [Allocate(4), Free()], contract=contract)


def test_a_flush_that_keeps_something_is_told() -> None:
    class KeepsOne(Magazine):
        def __init__(self, backend: Backend, size: int) -> None:
            super().__init__(backend, size)
            self.lost: list[int] = []

        def flush(self) -> None:
            self.lost += self.entries[:1]
            del self.entries[:1]
            super().flush()

        def delete(self) -> None:
            self.entries += self.lost
            super().flush()

    steps = [Allocate(3), Free(2), Flush()]
    run_program(Magazine, steps, contract=Contract(flush="empty"))
    with pytest.raises(
        AllocatorDifference, match="1 of the backend's blocks with no live entry"
    ):
        run_program(KeepsOne, steps, contract=Contract(flush="empty"))

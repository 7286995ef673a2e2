from __future__ import annotations

from typing import Any

import pytest

from lookaside_sim.testing import AllocatorDifference, Backend, Contract, check_allocator
from lookaside_sim.testing.conformance.allocator import COUNTERS, Factory, check_methods
from lookaside_sim.testing.conformance.contract import LEVELS, contract_of
from tests.testing.allocators import FixedSlab, LinkedList, Passthrough, ReferenceList, Slab

FULL: dict[str, Factory] = {
    "memory": Passthrough,
    "fixed": FixedSlab,
    "lookaside": ReferenceList,
}


class KeepsSixteen(Passthrough):
    """A pool as most projects have one: so many free entries and no more."""

    most = 16
    place = -1

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.entries: list[int] = []

    def allocate(self) -> int | None:
        return self.entries.pop(self.place) if self.entries else super().allocate()

    def free(self, address: int) -> None:
        if len(self.entries) < self.most:
            self.entries.append(address)
        else:
            super().free(address)

    def flush(self) -> None:
        while self.entries:
            super().free(self.entries.pop())

    def delete(self) -> None:
        self.flush()


class Queue(KeepsSixteen):
    place = 0


@pytest.mark.parametrize("level", LEVELS)
def test_an_allocator_needs_the_methods_of_its_level(level: str) -> None:
    methods = LEVELS[level].methods
    made = FULL[level](Backend(32), 32)
    check_methods(made, methods, level)
    for name in ("allocate", "free", "delete"):
        broken = FULL[level](Backend(32), 32)
        setattr(broken, name, None)
        with pytest.raises(TypeError, match=f"{level} asks for {name}, which"):
            check_methods(broken, methods, level)


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(TypeError, match="fixed asks for allocate_layout, grow, shrink, which"):
        check_methods(Passthrough(Backend(32), 32), LEVELS["fixed"].methods, "fixed")


@pytest.mark.parametrize("level", ["Memory", "", "kernel"])
def test_there_are_three_levels(level: str) -> None:
    with pytest.raises(ValueError, match="give one of memory, fixed, lookaside"):
        contract_of(level)


def test_a_contract_prints_the_source_that_makes_it_again() -> None:
    for contract in (
        Contract(),
        *LEVELS.values(),
        Contract.pool(8, sizes=range(8, 65, 8)),
        Contract.slab(alignment=64, zeroed=True),
        Contract.malloc(aligned=True, realloc=True, double_free="stops"),
    ):
        assert eval(repr(contract), {"Contract": Contract}) == contract
    assert repr(Contract(order="lifo", depth=16)) == "Contract(order='lifo', depth=16)"
    assert [contract.level for contract in LEVELS.values()] == list(LEVELS)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"order": "random"}, "order='random': give one of 'lifo', 'fifo', None"),
        ({"depth": -1}, 'depth=-1: give entries, "policy" or None'),
        ({"capacity": 0}, "capacity=0: give entries, True or None"),
        ({"grows": 3}, "grows=3: give one of False, True, None"),
        ({"counters": ("misses",)}, "give names of total_allocates, total_frees"),
        ({"sizes": ()}, "sizes=.*: give one or more sizes"),
        ({"alignment": 24}, "alignment=24: give a power of two, or None"),
        ({"realloc": True}, "realloc=True: only with sized=True"),
        ({"depth": 4, "memory": "own"}, "each entry must be a block of its own"),
        ({"double_free": "noticed"}, "double_free='noticed': give one of"),
    ],
)
def test_what_makes_no_sense_is_refused(stated: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Contract(**stated)


def test_what_is_stated_is_checked_and_the_rest_left_alone() -> None:
    for factory, contract in (
        (KeepsSixteen, Contract(depth=16, order="lifo", flush="empty")),
        (KeepsSixteen, Contract(depth=16)),
        (Queue, Contract(depth=16, order="fifo")),
        (Queue, Contract(order="fifo")),
        (Queue, Contract(depth=16)),
        (Slab, Contract.slab()),
        (LinkedList, Contract(depth="policy", counters=COUNTERS)),
        (Passthrough, Contract(depth=0)),
    ):
        check_allocator(factory, contract=contract, max_examples=120)


@pytest.mark.parametrize(
    ("factory", "contract", "message"),
    [
        (KeepsSixteen, Contract(depth=15), "did not give the entry to the backend"),
        (KeepsSixteen, Contract(depth=17), "did not keep the entry"),
        (KeepsSixteen, Contract(order="fifo"), "freed first"),
        (Queue, Contract(depth=16, order="lifo"), "freed last"),
        (Queue, Contract(order="lifo"), "freed last"),
        (Passthrough, Contract.pool(8), "although 8 are live"),
        (Passthrough, Contract(zeroed=True), "not all zeros"),
        (FixedSlab, Contract(alignment=64), "not aligned to 64"),
        (ReferenceList, Contract(order="fifo", depth="policy", flush="empty"), "freed first"),
    ],
)
def test_what_is_stated_and_not_kept_is_reported(
    factory: Factory, contract: Contract, message: str
) -> None:
    with pytest.raises(AllocatorDifference, match=message) as caught:
        check_allocator(factory, contract=contract)
    assert len(caught.value.program) <= 8
    assert f"contract={contract!r}" in caught.value.regression


def test_a_contract_is_proposed_by_watching() -> None:
    assert Contract.infer(KeepsSixteen) == Contract(
        order="lifo", depth=16, capacity=True, grows=False, alignment=16, flush="empty"
    )
    assert Contract.infer(Queue).order == "fifo"
    assert (Contract.infer(LinkedList).depth, Contract.infer(LinkedList).counters) == (
        "policy",
        COUNTERS,
    )
    assert Contract.infer(Slab) == Contract.slab()
    for factory in (KeepsSixteen, Queue, Slab, ReferenceList):
        check_allocator(factory, contract=Contract.infer(factory), max_examples=60)


def test_a_pool_of_no_entries_is_not_one_that_grows() -> None:
    assert Contract.pool().capacity is True
    with pytest.raises(ValueError, match="capacity=0: give entries, True or None"):
        Contract.pool(0)

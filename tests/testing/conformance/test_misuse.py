from __future__ import annotations

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Backend,
    Contract,
    Create,
    FreeForeign,
    FreeInside,
    FreeTwice,
    check_allocator,
    run_program,
)
from tests.testing.allocators import Passthrough


class Hardened(Passthrough):
    """Knows its live entries; refuses, ignores or stops at whatever is none."""

    outcome = "refused"

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.live: set[int] = set()

    def allocate(self) -> int | None:
        entry = super().allocate()
        self.live |= {entry} if entry is not None else set()
        return entry

    def free(self, address: int) -> None:
        if address in self.live:
            self.live.remove(address)
            super().free(address)
        elif self.outcome == "refused":
            raise ValueError("not allocated here")
        elif self.outcome == "stops":
            raise SystemExit(3)


class Ignores(Hardened):
    outcome = "ignored"


class Stops(Hardened):
    outcome = "stops"


class Believes(Hardened):
    """Takes an address inside an entry for the entry."""

    def free(self, address: int) -> None:
        super().free(next((e for e in self.live if e <= address < e + self.size), address))


def promises(outcome: str) -> Contract:
    return Contract(double_free=outcome, foreign_free=outcome, interior_free=outcome)


@pytest.mark.parametrize("factory", [Hardened, Ignores, Stops])
def test_what_was_promised_of_misuse_is_not_reported(factory: type[Hardened]) -> None:
    check_allocator(factory, contract=promises(factory.outcome), max_examples=100)


@pytest.mark.parametrize(
    ("factory", "outcome", "message"),
    [
        (Ignores, "refused", "is not refused: it returned as if nothing were wrong"),
        (Hardened, "ignored", "is not ignored: it raised ValueError: not allocated here"),
        (Ignores, "stops", "is not stopped: it returned as if"),
        (Passthrough, "refused", "no live block"),
        (Believes, "refused", "while its entry .* is live"),
    ],
)
def test_what_was_promised_and_not_kept_is_reported(
    factory: type, outcome: str, message: str
) -> None:
    with pytest.raises(AllocatorDifference, match=message) as caught:
        check_allocator(factory, contract=promises(outcome))
    assert len(caught.value.program) <= 4


def test_misuse_without_a_promise_is_not_tried() -> None:
    steps = [Create(), Allocate(), FreeTwice(), FreeForeign(), FreeInside()]
    run_program(Passthrough, steps, level="memory")

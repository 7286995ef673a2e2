from __future__ import annotations

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    Backend,
    Create,
    Delete,
    Free,
    FreeAt,
    Step,
    Tick,
    shrink_program,
)
from lookaside_sim.testing.conformance import shrinker
from tests.testing.allocators import Passthrough, ReferenceList, Slab
from tests.testing.mutants import LOOKASIDE, Fifo, Misaligned


def test_a_long_failing_program_is_reduced() -> None:
    program = [Create(48), *[Allocate(3), Free(1), Tick(2), FreeAt(1)] * 12]
    found = shrink_program(Fifo, program)
    assert found is not None
    assert found.program == [Create(), Allocate(2), Free(2), Allocate()]
    assert shrink_program(ReferenceList, program) is None


def test_numbers_in_steps_are_reduced() -> None:
    broken = next(each for each in LOOKASIDE if each.__name__ == "least_allocates_74")
    found = shrink_program(broken, [AllocateEachSecond(74, 5), AllocateFree(12)])
    assert found is not None
    assert found.program == [Create(), Allocate(74), Tick()]


def test_steps_of_many_calls_are_merged_too() -> None:
    """Three thousand calls, in steps of which none can go unless another does more."""

    class EndsAtThreeThousand(Passthrough):
        count = 0

        def allocate(self) -> int | None:
            self.count += 1
            return 1 if self.count >= 3000 else super().allocate()

    program: list[Step] = [AllocateFree(1700), Free(), AllocateFree(650, entries=2)]
    found = shrink_program(EndsAtThreeThousand, program, level="memory")
    assert found is not None
    assert found.program == [Create(), AllocateFree(1500, entries=2)]


class Wraps(Passthrough):
    """Counts its allocations in too few bits."""

    count = 0
    most = 4000

    def allocate(self) -> int | None:
        self.count += 1
        return 1 if self.count == self.most else super().allocate()


@pytest.mark.parametrize(
    "program",
    [
        [AllocateFree(3000), Allocate(600), Free(600), AllocateFree(1900)],
        [step for _ in range(2200) for step in (Allocate(2), FreeAt(1), Free())],
    ],
    ids=["of many calls", "of many steps"],
)
def test_a_long_program_is_made_one_minimal(program: list[Step]) -> None:
    found = shrink_program(Wraps, program, level="memory")
    assert found is not None
    assert found.program == [Create(), AllocateFree(4000)]
    assert found.minimal
    assert "Not known" not in found.report()


def test_a_program_too_long_to_try_all_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Alternates(Passthrough):
        """Goes wrong when two entries lived often, and none of them was freed beside the other."""

        live = often = 0
        last = ""

        def allocate(self) -> int | None:
            self.live += 1
            self.often += self.live == 2 and self.last == "free"
            self.last = "allocate"
            return 1 if self.often == 60 else super().allocate()

        def free(self, address: int) -> None:
            self.live -= 1
            self.last = "free"
            super().free(address)

    monkeypatch.setattr(shrinker, "_LEAST_CALLS", 3000)
    monkeypatch.setattr(shrinker, "_MOST_RUNS", 4)
    program: list[Step] = [Allocate(), *[Allocate(), Free()] * 80]
    found = shrink_program(Alternates, program, level="memory")
    assert found is not None
    assert not found.minimal
    assert "Not known to be the shortest program" in found.report()


def test_steps_beside_each_other_become_one() -> None:
    class ForgetsEighth(Passthrough):
        frees = 0

        def free(self, address: int) -> None:
            self.frees += 1
            if self.frees % 8:
                super().free(address)

    single: list[Step] = [Allocate() for _ in range(12)]
    found = shrink_program(ForgetsEighth, single, level="memory")
    assert found is not None
    assert found.program == [Create(), Allocate(8), Free(8, oldest=True), Delete()]


def test_single_allocations_and_frees_become_rounds() -> None:
    class ForgetsEighthAlone(Passthrough):
        """Goes wrong only when no other entry is live."""

        live = alone = 0

        def allocate(self) -> int | None:
            self.live += 1
            return super().allocate()

        def free(self, address: int) -> None:
            self.live -= 1
            self.alone += not self.live
            if self.live or self.alone % 8:
                super().free(address)

    pairs: list[Step] = [step for _ in range(12) for step in (Allocate(), Free())]
    found = shrink_program(ForgetsEighthAlone, pairs, level="memory")
    assert found is not None
    assert found.program == [Create(), AllocateFree(8), Delete()]


def test_a_size_that_matters_is_kept() -> None:
    found = shrink_program(Misaligned, [Create(24), Allocate(2)], level="memory")
    assert found is not None
    assert found.program[0] == Create()  # 32 shows it as well, and is the usual size
    size_24 = type("Size24", (Misaligned,), {"__init__": _misaligned_at_24})
    found = shrink_program(size_24, [Create(24), Allocate(2)], level="memory")
    assert found is not None
    assert found.program[0] == Create(24)


def _misaligned_at_24(self: Misaligned, backend: Backend, size: int) -> None:
    Slab.__init__(self, backend, size)
    self.stride = size + 4 * (size == 24)


def test_the_reported_size_is_one_that_is_allowed() -> None:
    program = [Create(96), Allocate(3), Free(2), Allocate()]
    found = shrink_program(Fifo, program, sizes=(48, 96))
    assert found is not None
    assert found.program == [Create(48), Allocate(2), Free(2), Allocate()]

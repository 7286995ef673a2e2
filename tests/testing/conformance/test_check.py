from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from lookaside_sim.lookaside.tuning import next_depth
from lookaside_sim.testing import (
    Allocate,
    AllocateEachSecond,
    AllocateFree,
    AllocatorDifference,
    Backend,
    Create,
    Delete,
    Free,
    FreeAt,
    SetCounters,
    Step,
    Tick,
    check_allocator,
    run_program,
    shrink_program,
)
from tests.testing.allocators import FixedSlab, LinkedList, Passthrough, ReferenceList, Slab
from tests.testing.mutants import FIXED, LOOKASIDE, MEMORY, Fifo, LeakOnDelete, Misaligned

MOST_STEPS = 10
CORRECT = [
    (ReferenceList, "lookaside"),
    (LinkedList, "lookaside"),
    (ReferenceList, "memory"),
    (Passthrough, "memory"),
    (Slab, "memory"),
    (FixedSlab, "fixed"),
]
BROKEN = [
    *((each, "lookaside") for each in LOOKASIDE),
    *((each, "memory") for each in MEMORY),
    *((each, "fixed") for each in FIXED),
]


def difference(factory: type, level: str = "lookaside") -> AllocatorDifference:
    with pytest.raises(AllocatorDifference) as caught:
        check_allocator(factory, level=level)
    return caught.value


def test_there_are_enough_mutants() -> None:
    assert len({each for each, _ in BROKEN}) == len(BROKEN) >= 25


@pytest.mark.parametrize(("factory", "level"), BROKEN)
def test_a_broken_allocator_is_reported_with_a_short_program(factory: type, level: str) -> None:
    found = difference(factory, level)
    assert 1 <= len(found.program) <= MOST_STEPS
    assert found.expected != found.actual
    # The program is the proof: it fails alone, in the same way, and on no correct allocator.
    with pytest.raises(AllocatorDifference) as again:
        run_program(factory, found.program, level=level, reuse=found.reuse)
    assert again.value.what == found.what
    correct = {"lookaside": ReferenceList, "memory": Passthrough, "fixed": FixedSlab}[level]
    run_program(correct, found.program, level=level, reuse=found.reuse)


@pytest.mark.parametrize(("factory", "level"), CORRECT)
def test_a_correct_allocator_is_never_reported(factory: type, level: str) -> None:
    check_allocator(factory, level=level)


def test_the_same_check_always_says_the_same() -> None:
    assert str(difference(Fifo)) == str(difference(Fifo))


def test_the_report_shows_program_states_and_regression() -> None:
    found = difference(Fifo)
    text = str(found)
    assert "did not return the entry that was freed last" in text
    assert "    Free(2),\n" in text
    assert "expected" in text
    assert "actual" in text
    assert found.regression in text


def test_the_report_of_wrong_counters_marks_the_lines_that_differ() -> None:
    found = difference(next(each for each in LOOKASIDE if each.__name__ == "idle_step_9"))
    lines = str(found).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("!")] == ["depth"]
    assert found.expected["depth"] == 24
    assert found.actual["depth"] == 25


@pytest.mark.parametrize("broken", [Fifo, LeakOnDelete])
def test_the_regression_is_a_test_that_fails_for_the_same_reason(broken: type) -> None:
    found = difference(broken)
    names: dict[str, object] = {}
    exec(compile(found.regression, "regression", "exec"), names)
    test = names["test_regression"]
    assert callable(test)
    with pytest.raises(AllocatorDifference) as again:
        test()
    assert again.value.what == found.what


def test_a_factory_that_cannot_be_imported_is_left_to_the_reader() -> None:
    for factory in (lambda backend, size: Fifo(backend, size), partial(Fifo)):
        with pytest.raises(AllocatorDifference) as caught:
            check_allocator(factory)
        assert "run_program(factory, program" in caught.value.regression


def test_the_end_is_spelled_out() -> None:
    assert difference(LeakOnDelete).program == [
        Create(),
        Allocate(),
        Free(oldest=True),
        Delete(),
    ]


def test_every_number_of_the_tuning_rule_shows_within_the_battery() -> None:
    # The formula itself with one number changed, whatever class the change is made in.
    class Formula(ReferenceList):
        change = ("", 0)

        def tuned(self, allocates: int, misses: int) -> int:
            source = {
                "ratio": lambda: next_depth(
                    self.depth, 256, allocates, misses + self.change[1]
                ),
                "room": lambda: next_depth(self.depth, 256 + self.change[1], allocates, misses),
                "": lambda: next_depth(self.depth, 256, allocates, misses),
            }
            return source[self.change[0]]()

    for change in (("ratio", 1), ("ratio", -1), ("room", 1), ("room", -1)):
        broken = type("Changed", (Formula,), {"change": change})
        assert len(difference(broken).program) <= MOST_STEPS


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
    # The eighth is the entry that is freed at the end.
    assert found.program[:3] == [Create(), AllocateFree(7), Allocate()]


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


def test_a_wrap_is_only_asked_of_those_who_can() -> None:
    class Unsettable(ReferenceList):
        set_counters = None  # type: ignore[assignment]

    run_program(Unsettable, [SetCounters(), Allocate(3), Tick()])


def test_sixteen_bit_counters_are_found_without_help() -> None:
    class Short(ReferenceList):
        counter_mask = 0xFFFF
        set_counters = None  # type: ignore[assignment]

    found = difference(Short)
    assert len(found.program) <= 3
    assert found.expected["total_allocates"] != found.actual["total_allocates"]


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


def test_a_missing_method_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError, match="flush, tick, counters"):
        check_allocator(Passthrough)
    with pytest.raises(TypeError, match="grow"):
        check_allocator(Passthrough, level="fixed")


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="give one of"):
        check_allocator(Passthrough, level="kernel")
    with pytest.raises(ValueError, match="give 1 or more"):
        check_allocator(Passthrough, max_examples=0)


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


def test_hypothesis_and_pytest_are_not_needed() -> None:
    script = (
        "import sys; sys.modules['hypothesis'] = sys.modules['pytest'] = None\n"
        "from lookaside_sim.testing import check_allocator, run_program\n"
        "from tests.testing.allocators import ReferenceList\n"
        "check_allocator(ReferenceList, max_examples=20)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, timeout=60)


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

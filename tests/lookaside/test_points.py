"""Two processors inside one list's routines: what gets lost, and what cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from lookaside_sim import Kernel, LookasideList
from lookaside_sim.lookaside.calls import AllocateEntry, FreeEntry
from lookaside_sim.lookaside.on_memory import Point
from tests.helpers import counters, fill, list_in_block, new_list, slist_header, take
from tests.machine.helpers import Heard

Program = Callable[[], object]
SECONDS = 10  # that a thread may take before the test is wrong


class Processor(threading.Thread):
    """Runs a program to its next point each time it is let."""

    def __init__(self, program: Program) -> None:
        super().__init__(daemon=True)
        self._program = program
        self._may_run = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self.is_done = False
        self.points: list[Point] = []
        self.results: list[object] = []

    def run(self) -> None:
        """Run the program, once it is let."""
        assert self._may_run.acquire(timeout=SECONDS)
        try:
            self.results.append(self._program())
        finally:
            self.is_done = True
            self._stands.release()

    def stand(self, point: Point) -> None:
        """Hand the baton back at a point, and wait for it."""
        self.points.append(point)
        self._stands.release()
        assert self._may_run.acquire(timeout=SECONDS)

    def advance(self) -> None:
        """Run to the next point or to the end."""
        self._may_run.release()
        assert self._stands.acquire(timeout=SECONDS)


class Scheduler:
    """Runs programs on the processors of a machine, one step of one of them at a time.

    Args:
        kernel: the machine.
        programs: one for each processor.
    """

    def __init__(self, kernel: Kernel, *programs: Program) -> None:
        self._kernel = kernel
        self.processors = [Processor(program) for program in programs]
        for each in self.processors:
            each.start()

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Let the processors stand at points inside."""

        def reached(_lookaside: object, point: object) -> None:
            current = threading.current_thread()
            assert isinstance(current, Processor)
            assert isinstance(point, Point)
            current.stand(point)

        with self._kernel.step_through(reached):
            yield

    def advance(self, number: int) -> None:
        """Let a processor take a step."""
        with self._kernel.on_processor(number):
            self.processors[number].advance()

    def finish(self, number: int) -> None:
        """Let a processor run to the end of its program."""
        while not self.processors[number].is_done:
            self.advance(number)

    def finish_all(self) -> None:
        """Let each processor run to its end, in order."""
        for number in range(len(self.processors)):
            self.finish(number)

    @property
    def results(self) -> list[object]:
        """What the programs returned."""
        return [each.results[0] for each in self.processors]


def every_schedule(run: Callable[[Scheduler], None], make: Callable[[], Scheduler]) -> int:
    """Run two programs in every order of their steps; how many orders there are."""
    waiting: list[list[int]] = [[]]
    count = 0
    while waiting:
        schedule = waiting.pop()
        scheduler = make()
        with scheduler.stepping():
            for number in schedule:
                scheduler.advance(number)
            while True:
                able = [n for n, each in enumerate(scheduler.processors) if not each.is_done]
                if not able:
                    break
                waiting += [[*schedule, other] for other in able[1:]]
                schedule.append(able[0])
                scheduler.advance(able[0])
        run(scheduler)
        count += 1
    return count


@pytest.fixture
def kernel(arch: str) -> Kernel:
    """A machine with two processors."""
    return Kernel(arch, processors=2, windows="8")


# --- the points of each routine ------------------------------------------------------------


def points_of(kernel: Kernel, do: Program) -> list[object]:
    points: list[object] = []
    with kernel.step_through(lambda lookaside, point: points.append(point)):
        do()
    return points


def test_the_points_in_order(kernel: Kernel, lookaside: LookasideList) -> None:
    counted = [Point.COUNT_READ, Point.COUNT_WRITTEN]
    lookaside.set_depth(1)
    entries: list[int | None] = []

    def allocate() -> None:
        entries.append(lookaside.allocate())

    def free() -> None:
        lookaside.free(entries.pop())

    assert points_of(kernel, allocate) == [*counted, Point.MISS_COUNTED]
    assert points_of(kernel, allocate) == [*counted, Point.MISS_COUNTED]
    assert points_of(kernel, free) == [*counted, Point.ROOM_SEEN, Point.PUSHED]
    assert points_of(kernel, free) == [*counted, Point.MISS_COUNTED]
    assert points_of(kernel, allocate) == [*counted, Point.POPPED]
    assert counters(lookaside) == (3, 2, 2, 1)


def test_what_was_written_before_a_point_is_in_memory(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    seen: list[tuple[object, int, int]] = []
    fill(lookaside, 1)

    def look(_lookaside: object, point: object) -> None:
        depth, _, _ = slist_header(lookaside)
        seen.append((point, lookaside.total_allocates, depth))

    with kernel.step_through(look):
        lookaside.allocate()
    assert seen == [
        (Point.COUNT_READ, 1, 1),
        (Point.COUNT_WRITTEN, 2, 1),
        (Point.POPPED, 2, 0),
    ]


@pytest.mark.parametrize("sanitizer", [False, True])
def test_hits_have_points_while_somebody_steps_and_are_hot_again_after(sanitizer: bool) -> None:
    kernel = Kernel(sanitizer=sanitizer)
    lookaside = new_list(kernel)
    fill(lookaside, 2)
    assert kernel.memory.caching
    outer: list[object] = []
    with kernel.step_through(lambda _, point: outer.append(point)):
        assert not kernel.machine.is_plain
        assert points_of(kernel, lookaside.allocate)[-1] is Point.POPPED
        assert outer == []  # the innermost is told
        lookaside.allocate()
        assert outer[-1] is Point.POPPED
    assert kernel.machine.is_plain
    assert kernel.memory.caching
    stop = Heard(kernel).stop
    with kernel.step_through(lambda _, point: None):
        stop()
        assert not kernel.memory.caching
    assert kernel.memory.caching
    assert points_of(kernel, lambda: None) == []


def test_what_is_raised_at_a_point_ends_the_call_there(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    def raise_when_counted(_lookaside: object, point: object) -> None:
        if point is Point.COUNT_WRITTEN:
            raise RuntimeError

    fill(lookaside, 1)
    with pytest.raises(RuntimeError), kernel.step_through(raise_when_counted):
        lookaside.allocate()
    assert (lookaside.total_allocates, lookaside.current_depth) == (2, 1)
    assert kernel.machine.reached is None
    assert lookaside.allocate() is not None


def test_what_cannot_be_called_does_not_step(kernel: Kernel) -> None:
    with (
        pytest.raises(TypeError, match="reached 3"),
        kernel.step_through(3),  # type: ignore[arg-type]
    ):
        pytest.fail("the block must not be entered")
    assert kernel.machine.is_plain


# --- two processors --------------------------------------------------------------------------


def test_an_increment_of_total_allocates_is_lost(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    scheduler = Scheduler(kernel, lookaside.allocate, lookaside.allocate)
    with scheduler.stepping():
        scheduler.advance(0)  # reads the counter
        scheduler.finish(1)
        scheduler.finish(0)
    first, second = scheduler.results
    assert first is not None
    assert second is not None
    assert first != second
    assert lookaside.total_allocates == 1
    assert lookaside.allocate_misses == 2
    lookaside.allocate()
    assert lookaside.total_allocates == 2


def test_one_after_the_other_loses_nothing(kernel: Kernel, lookaside: LookasideList) -> None:
    scheduler = Scheduler(kernel, lookaside.allocate, lookaside.allocate)
    with scheduler.stepping():
        scheduler.finish_all()
    assert lookaside.total_allocates == 2


def test_two_that_see_room_go_past_the_depth(kernel: Kernel, lookaside: LookasideList) -> None:
    a, b = take(lookaside, 2)
    lookaside.set_depth(1)
    scheduler = Scheduler(kernel, lambda: lookaside.free(a), lambda: lookaside.free(b))
    with scheduler.stepping():
        while scheduler.processors[0].points[-1:] != [Point.ROOM_SEEN]:
            scheduler.advance(0)
        scheduler.finish(1)
        scheduler.finish(0)
    assert list(lookaside.entries()) == [a, b]
    assert (lookaside.current_depth, lookaside.depth) == (2, 1)
    assert lookaside.free_misses == 0


def test_a_listener_hears_two_calls_side_by_side(
    kernel: Kernel, lookaside: LookasideList
) -> None:
    entries = fill(lookaside, 1)
    (block,) = take(new_list(kernel), 1)
    heard = Heard(kernel)
    scheduler = Scheduler(kernel, lookaside.allocate, lambda: lookaside.free(block))
    with scheduler.stepping():
        scheduler.advance(0)
        scheduler.advance(1)
        scheduler.finish_all()
    calls = [call for call in heard.calls if isinstance(call, (AllocateEntry, FreeEntry))]
    assert [type(call) for call in calls] == [AllocateEntry, FreeEntry]
    assert all(call.outer is None and call.is_over for call in calls)
    assert calls[0].result == entries[0]
    assert kernel.machine.hooks.call is None


# --- every schedule of two short programs ---------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "orders"),
    [("push", "push", 252), ("push", "pop", 126), ("pop", "pop", 70)],
)
def test_the_slist_loses_nothing(
    arch: str, place: str, first: str, second: str, orders: int
) -> None:
    kernel = Kernel(arch, processors=2, windows="8")
    lookaside = list_in_block(kernel) if place == "block" else LookasideList(kernel)
    lookaside.initialize(size=32, tag=b"race")
    entries = take(lookaside, 4)
    before = [0]

    def make() -> Scheduler:
        while lookaside.current_depth:
            lookaside.allocate()
        for entry in entries[:2]:
            lookaside.free(entry)
        before[0] = slist_header(lookaside)[1]
        programs: list[Program] = [
            lookaside.allocate if what == "pop" else partial(lookaside.free, entry)
            for what, entry in zip((first, second), entries[2:], strict=True)
        ]
        return Scheduler(kernel, *programs)

    def check(scheduler: Scheduler) -> None:
        popped = [result for result in scheduler.results if result is not None]
        pushed = [
            entry
            for what, entry in zip((first, second), entries[2:], strict=True)
            if what == "push"
        ]
        held = list(lookaside.entries())
        assert sorted([*held, *popped]) == sorted(entries[:2] + pushed)  # type: ignore[type-var]
        depth, sequence, newest = slist_header(lookaside)
        assert depth == len(held)
        assert newest == (held[0] if held else 0)
        assert sequence == (before[0] + len(pushed)) & 0xFFFF

    assert every_schedule(check, make) == orders
    kernel.check()

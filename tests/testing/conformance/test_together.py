from __future__ import annotations

import sys
import threading

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Backend,
    Contract,
    Create,
    Free,
    Together,
    check_allocator,
    run_program,
    shrink_program,
)
from lookaside_sim.testing.conformance.linearize import Call, find_order
from tests.testing.allocators import Passthrough

WORD = 8


class CompareAndExchange:
    """A free list whose head is exchanged only if it is what was loaded; with a count or not."""

    counted = True

    def __init__(self, backend: Backend, size: int) -> None:
        self.backend = backend
        self.size = max(size, WORD)
        self.head = (0, 0)

    def exchange(self, old: tuple[int, int], first: int) -> bool:
        self.backend.switch()
        if self.head != old:
            return False
        self.head = (first, old[1] + self.counted)
        return True

    def allocate(self) -> int | None:
        while True:
            old = self.head
            if not old[0]:
                return self.backend.allocate(self.size)
            after = int.from_bytes(self.backend.read(old[0], WORD), "little")
            if self.exchange(old, after):
                return old[0]

    def free(self, address: int) -> None:
        while True:
            old = self.head
            self.backend.write(address, old[0].to_bytes(WORD, "little"))
            if self.exchange(old, address):
                return

    def delete(self) -> None:
        while self.head[0]:
            entry = self.allocate()
            assert entry is not None
            self.backend.free(entry)


class WithoutCount(CompareAndExchange):
    """The ABA mistake: the head may be what it was, and its link another."""

    counted = False


class NotAtomic(CompareAndExchange):
    def exchange(self, old: tuple[int, int], first: int) -> bool:
        self.backend.switch()
        self.head = (first, 0)
        return True


class Locked(Passthrough):
    """Waits for a lock of its own, which the scheduler does not know."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.lock = threading.Lock()

    def allocate(self) -> int | None:
        with self.lock:
            return super().allocate()


def test_an_aba_mistake_is_found_and_reduced_to_a_handful_of_steps() -> None:
    with pytest.raises(AllocatorDifference, match=r"live|outside of its memory") as caught:
        check_allocator(WithoutCount, level="memory", threads=2)
    program = caught.value.program
    assert len(program) <= 6
    (together,) = (step for step in program if isinstance(step, Together))
    assert len(together.schedule) == 1
    assert sum(len(steps) for steps in together.threads) <= 4
    with pytest.raises(AllocatorDifference) as again:
        run_program(WithoutCount, program, level="memory")
    assert again.value.what == caught.value.what
    run_program(CompareAndExchange, program, level="memory")


def test_a_list_with_a_count_beside_its_head_is_not_reported() -> None:
    check_allocator(CompareAndExchange, level="memory", threads=2, max_examples=40)
    order = Contract(order="lifo", depth=1000)
    check_allocator(CompareAndExchange, contract=order, threads=2, max_examples=30)


def test_an_update_lost_between_two_threads_is_found() -> None:
    with pytest.raises(AllocatorDifference) as caught:
        check_allocator(NotAtomic, level="memory", threads=2)
    assert len(caught.value.program) <= 6


def test_results_that_fit_no_order_are_told() -> None:
    class Stale(CompareAndExchange):
        """Misses while another thread has the head."""

        def allocate(self) -> int | None:
            old = self.head
            if old[0]:
                after = int.from_bytes(self.backend.read(old[0], WORD), "little")
                if self.exchange(old, after):
                    return old[0]
            return self.backend.allocate(self.size)

    contract = Contract(order="lifo", depth=1000)
    with pytest.raises(AllocatorDifference, match="fit no order of their calls") as caught:
        check_allocator(Stale, contract=contract, threads=2)
    assert len(caught.value.program) <= 6


class TwoLocks(Passthrough):
    """Takes them in one order to allocate, and in the other to free."""

    def __init__(self, backend: Backend, size: int) -> None:
        super().__init__(backend, size)
        self.first, self.second = threading.Lock(), threading.Lock()

    def allocate(self) -> int | None:
        with self.first:
            self.backend.switch()
            with self.second:
                return super().allocate()

    def free(self, address: int) -> None:
        with self.second:
            self.backend.switch()
            with self.first:
                super().free(address)


def test_threads_that_wait_for_each_other_are_a_difference() -> None:
    step = Together([[Allocate()], [Free(2)]], [(1, 1)])
    found = shrink_program(TwoLocks, [Allocate(3), step], level="memory", time_limit=0.1)
    assert found is not None
    assert found.what.startswith("the threads wait for each other")
    smaller = Together([[Allocate()], [Free()]], [(1, 1)])
    assert found.program == [Create(), Allocate(), smaller]
    assert not found.flaky


@pytest.mark.skipif(
    sys.gettrace() is not None, reason="a tracer lets a looping thread leave no time to others"
)
def test_a_thread_that_loops_for_ever_is_told_and_ended() -> None:
    class Spins(Passthrough):
        busy = False

        def allocate(self) -> int | None:
            while self.busy:
                pass  # the other one never goes on
            self.busy = True
            entry = super().allocate()
            self.busy = False
            return entry

    before = threading.active_count()
    with pytest.raises(AllocatorDifference, match="does not return") as caught:
        check_allocator(Spins, level="memory", threads=2, time_limit=0.1)
    assert len(caught.value.program) == 2
    assert threading.active_count() == before


def test_a_thread_that_waits_for_another_is_passed_over() -> None:
    step = Together([[Allocate()], [Allocate(), Free()]], [(1, 1)])
    run_program(Locked, [Create(), step, Allocate()], level="memory")


def test_calls_that_do_not_overlap_keep_their_order() -> None:
    first, second = Call(1, True, False, 1, 2), Call(2, True, False, 3, 4)
    take = Call(2, False, False, 5, 6)
    assert find_order([first, second, take], [], 4, "lifo") == [first, second, take]
    assert find_order([first, second, take], [], 4, "fifo") is None
    second.begun = 1  # now they overlap
    assert find_order([first, second, take], [], 4, "fifo") == [second, first, take]
    none = Call(None, False, True, 5, 6)
    assert find_order([none], [1], 4, None) is None
    assert find_order([none], [], 4, None) == [none]

from __future__ import annotations

import gc
import sys
import threading
import time

import pytest

from lookaside_sim.testing import Allocate, AllocatorDifference, Create, check_allocator
from lookaside_sim.testing.conformance.overtime import Overtime, time_limited
from tests.testing.allocators import Passthrough


def test_a_loop_without_end_is_ended() -> None:
    with pytest.raises(Overtime):
        loop_for_ever()
    with time_limited(0.02):
        pass


def loop_for_ever() -> None:
    with time_limited(0.02):
        while True:
            pass


def test_slow_progress_is_no_hang() -> None:
    done = 0

    def worked(seconds: float) -> None:
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass

    with time_limited(0.04, lambda: done):
        for _ in range(8):
            worked(0.01)
            done += 1
    with pytest.raises(Overtime), time_limited(0.04, lambda: done):
        worked(10)


def test_a_lock_that_nobody_gives_back_is_no_wait_for_ever() -> None:
    lock = threading.Lock()
    lock.acquire()
    with pytest.raises(Overtime), time_limited(0.02):
        lock.acquire()
    with time_limited(0.2):
        time.sleep(0.3)


class Careless:
    """Takes long to be thrown away."""

    def __del__(self) -> None:
        burn()


def burn(*_arguments: object) -> None:
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass


@pytest.mark.parametrize("where", ["callback", "finalizer"])
def test_what_python_would_swallow_is_raised_later(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    swallowed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", swallowed.append)
    gc.callbacks.extend([burn] if where == "callback" else [])
    try:
        with pytest.raises(Overtime):
            goes_on_for_a_second(where)
    finally:
        if where == "callback":
            gc.callbacks.remove(burn)
    assert swallowed == []


def goes_on_for_a_second(where: str) -> None:
    gc.collect()  # what other tests left: closing a generator swallows too
    until = time.process_time() + 1
    with time_limited(0.02):
        gc.collect() if where == "callback" else Careless()
        while time.process_time() < until:
            pass


def test_other_threads_are_left_alone() -> None:
    done = []

    def body() -> None:
        with time_limited(0.001):
            done.append(sum(range(300_000)))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert done


def test_an_allocator_that_loops_for_ever_is_reported() -> None:
    class Searches(Passthrough):
        """Looks for a free entry round and round when the memory has run out."""

        def allocate(self) -> int | None:
            while (entry := super().allocate()) is None:
                pass
            return entry

        frees = 0

        def free(self, address: int) -> None:
            self.frees += 1
            while self.frees > 4:
                pass
            super().free(address)

    began = time.process_time()
    with pytest.raises(AllocatorDifference, match="does not return") as caught:
        check_allocator(Searches, level="memory", time_limit=0.2)
    assert len(caught.value.program) <= 4
    assert "time_limit=0.2" in caught.value.regression
    # What is waited for in full is the first one and the regression; the others are cut short.
    assert time.process_time() - began < 2


def test_slow_calls_with_another_mistake_are_not_taken_for_a_hang() -> None:
    class SlowAndShort(Passthrough):
        """Each call takes longer than a hang is waited for while a program is made small."""

        def allocate(self) -> int | None:
            until = time.process_time() + 0.03
            while time.process_time() < until:
                pass
            entry = super().allocate()
            return entry and entry + 4

    with pytest.raises(AllocatorDifference, match="not aligned") as caught:
        check_allocator(SlowAndShort, level="memory")
    assert caught.value.program == [Create(), Allocate()]

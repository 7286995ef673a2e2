from __future__ import annotations

import gc
import sys
import threading
import time

import pytest

from lookaside_sim.testing import AllocatorDifference, check_allocator
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

    with pytest.raises(AllocatorDifference, match="does not return") as caught:
        check_allocator(Searches, level="memory")
    assert len(caught.value.program) <= 4

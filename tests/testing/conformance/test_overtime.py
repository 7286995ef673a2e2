from __future__ import annotations

import threading

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

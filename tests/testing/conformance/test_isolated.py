from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Backend,
    Contract,
    Create,
    Free,
    check_allocator,
    run_program,
    shrink_program,
)
from lookaside_sim.testing.adapters import NativeLibrary
from lookaside_sim.testing.conformance.differences import Setting
from lookaside_sim.testing.conformance.isolated import IsolatedTrials
from lookaside_sim.testing.conformance.sanitizer_reports import first_report
from lookaside_sim.testing.programs.example import Example
from tests.testing.adapters.mistakes import CHEAP, COMPILER, MISTAKES, compiled
from tests.testing.allocators import Passthrough, ReferenceList
from tests.testing.mutants import Fifo

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")


class Third(Passthrough):
    """Does something bad at its third allocation."""

    count = 0

    def allocate(self) -> int | None:
        self.count += 1
        if self.count == 3:
            self.end()
        return super().allocate()

    def end(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class Exits(Third):
    def end(self) -> None:
        os._exit(7)


class Sleeps(Third):
    def end(self) -> None:
        time.sleep(60)


@needs_fork
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Third, "the process was ended by SIGSEGV, in Allocate"),
        (Exits, "the process ended with exit code 7, in Allocate"),
        (Sleeps, r"the process stood still for 0\.2 seconds, in Allocate"),
    ],
)
def test_the_end_of_a_process_is_a_difference_with_a_small_program(
    factory: type, message: str
) -> None:
    with pytest.raises(AllocatorDifference, match=message) as caught:
        check_allocator(factory, level="memory", isolate=True, time_limit=0.2)
    assert caught.value.program == [Create(), Allocate(3)]
    assert "isolate=True, time_limit=0.2)" in caught.value.regression
    assert not caught.value.flaky
    with pytest.raises(AllocatorDifference, match=message):
        run_program(factory, [Allocate(3)], level="memory", isolate=True, time_limit=0.2)


@needs_fork
def test_use_of_the_backend_without_end_is_no_sign_of_life() -> None:
    class Greedy(Third):
        def end(self) -> None:
            while True:
                self.backend.allocate(1)

    with pytest.raises(AllocatorDifference, match="stood still") as caught:
        run_program(Greedy, [Allocate(3)], level="memory", isolate=True, time_limit=0.1)
    assert caught.value.program == [Create(), Allocate(3)]


@needs_fork
def test_ordinary_differences_come_across() -> None:
    found = shrink_program(Fifo, [Allocate(5), Free(5), Allocate(2)], isolate=True)
    assert found is not None
    assert found.program == [Create(), Allocate(2), Free(2), Allocate()]
    assert "allocate()" in found.expected
    check_allocator(ReferenceList, isolate=True, max_examples=40)
    with pytest.raises(TypeError, match="asks for flush"):
        check_allocator(Passthrough, isolate=True)


@needs_fork
def test_a_promised_stop_is_no_difference() -> None:
    class Stops(Passthrough):
        def __init__(self, backend: Backend, size: int) -> None:
            super().__init__(backend, size)
            self.live: set[int] = set()

        def allocate(self) -> int | None:
            entry = super().allocate()
            self.live |= {entry or 0}
            return entry

        def free(self, address: int) -> None:
            if address not in self.live:
                os.kill(os.getpid(), signal.SIGABRT)
            self.live.remove(address)
            super().free(address)

    contract = Contract(double_free="stops", foreign_free="stops")
    check_allocator(Stops, contract=contract, isolate=True, max_examples=60)
    with pytest.raises(AllocatorDifference, match=r"is not stopped|no live block"):
        check_allocator(Passthrough, contract=contract, isolate=True)


def test_a_sanitizers_report_is_told_without_addresses() -> None:
    for text, told in (
        (
            "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x60",
            "heap-use-after-free",
        ),
        ("WARNING: ThreadSanitizer: data race (pid=12)\n", "data race"),
        (
            "a.c:3:5: runtime error: load of address 0x7ffd12345678\n",
            "load of address an address",
        ),
    ):
        assert first_report(text) == told
    assert first_report("nothing") is None


@needs_compiler
@pytest.mark.parametrize("mistake", CHEAP)
def test_mistakes_in_c_are_reported_with_small_programs(mistake: str) -> None:
    with pytest.raises(AllocatorDifference, match=MISTAKES[mistake]) as caught:
        check_allocator(compiled(mistake), level="memory")
    assert len(caught.value.program) <= 4
    assert not caught.value.flaky
    assert "0x7f" not in caught.value.what
    assert f"NativeLibrary('{compiled(mistake).path}', 'pool_')" in caught.value.regression


@needs_compiler
def test_a_right_pool_in_c_is_not_reported() -> None:
    check_allocator(compiled(), contract=Contract.slab(), max_examples=90, time_limit=20)
    check_allocator(compiled(), level="memory", isolate=False, max_examples=30, time_limit=20)


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_many_programs_share_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    forks, fork = [], os.fork

    def counted() -> int:
        forks.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    trials = IsolatedTrials(Setting(compiled(), time_limit=5.0))
    try:
        examples = [Example((Allocate(2), Free(), Allocate()))] * 500
        assert trials.first_difference(examples) is None
    finally:
        trials.close()
    assert len(forks) == 1


@needs_compiler
def test_a_library_is_found_again_in_another_process(tmp_path: Path) -> None:
    library = compiled("", into=tmp_path)
    again = pickle.loads(pickle.dumps(library))
    assert isinstance(again, NativeLibrary)
    assert repr(again) == repr(library)
    fresh = NativeLibrary(library.path, "pool_", reload=True)
    check_allocator(fresh, level="memory", max_examples=20)

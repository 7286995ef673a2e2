from __future__ import annotations

import contextlib
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Contract,
    Free,
    FreeTwice,
    check_allocator,
    run_program,
)
from lookaside_sim.testing.conformance.differences import Setting
from lookaside_sim.testing.conformance.worker import serve
from lookaside_sim.testing.programs.example import Example
from tests.testing.adapters.mistakes import COMPILER, compiled
from tests.testing.allocators import Passthrough, ReferenceList
from tests.testing.conformance.test_isolated import Third
from tests.testing.conformance.test_misuse import Stops
from tests.testing.mutants import MEMORY


def served(setting: Setting, errors: Path, *examples: Example) -> tuple[Any, list[int]]:
    """What a worker answers, and what it leaves in the memory it shares."""
    here, there = multiprocessing.Pipe()
    shared = [0] * 4
    here.send(list(examples))
    if not errors.exists():
        errors.write_text("")
    with contextlib.closing(there), contextlib.closing(here):
        serve_once(there, shared, errors, setting)
        assert here.recv() == "ready"
        return here.recv(), shared


def serve_once(there: Any, shared: list[int], errors: Path, setting: Setting) -> None:
    class Once:
        """A link that ends after the first batch."""

        asked = False

        def recv(self) -> Any:
            if self.asked:
                raise EOFError
            self.asked = True
            return there.recv()

        send = staticmethod(there.send)

    link: Any = Once()
    serve(link, shared, str(errors), setting)


GOOD = Example((Allocate(2), Free()))


def test_a_batch_without_a_difference_is_answered_with_none(tmp_path: Path) -> None:
    answer, shared = served(Setting(Passthrough), tmp_path / "errors", GOOD, GOOD)
    assert answer is None
    assert shared[2] == 2
    assert shared[3] > 8


def test_a_difference_comes_as_plain_values(tmp_path: Path) -> None:
    broken = next(each for each in MEMORY if each.__name__ == "Overlap")
    answer, shared = served(Setting(broken), tmp_path / "errors", GOOD)
    what, program, expected, actual, steps, cause = answer
    assert "aligned" in what
    assert (len(program), len(steps), cause) == (2, 1, "None")
    assert set(expected) == set(actual) == {"allocate()"}
    assert shared[2] == 0


def test_what_is_wrong_with_the_check_itself_comes_as_its_error(tmp_path: Path) -> None:
    setting = Setting(Passthrough, Contract(flush="empty"))
    answer, _ = served(setting, tmp_path / "errors", GOOD)
    assert isinstance(answer, TypeError)


def test_a_stop_that_was_promised_ends_the_worker(tmp_path: Path) -> None:
    setting = Setting(Stops, Contract(double_free="stops"))
    answer, shared = served(
        setting, tmp_path / "errors", Example((Allocate(), FreeTwice())), GOOD
    )
    assert (answer, shared[1], shared[2]) == ("stopped", 1, 0)


@pytest.mark.parametrize("text", ["a note", "a.c:1:2: runtime error: shift of 70"])
def test_a_report_that_does_not_stop_is_seen_after_the_program(
    tmp_path: Path, text: str
) -> None:
    errors = tmp_path / "errors"
    errors.write_text(text)
    answer, _ = served(Setting(ReferenceList), errors, GOOD)
    assert answer == ("report" if "error" in text else None)


@pytest.fixture
def no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system without fork: workers are new processes, and get their setting by pickle."""
    monkeypatch.delattr(os, "fork", raising=False)


@pytest.mark.usefixtures("no_fork")
def test_a_crash_where_processes_cannot_fork() -> None:
    with pytest.raises(AllocatorDifference, match=r"was ended by SIGSEGV|exit code"):
        run_program(Third, [Allocate(3)], level="memory", isolate=True, time_limit=2)


@pytest.mark.usefixtures("no_fork")
def test_a_correct_allocator_where_processes_cannot_fork() -> None:
    check_allocator(ReferenceList, isolate=True, max_examples=20, time_limit=2)


@pytest.mark.usefixtures("no_fork")
@pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
def test_a_library_where_processes_cannot_fork() -> None:
    with pytest.raises(AllocatorDifference, match="exit code 0"):
        check_allocator(compiled("EXIT_AT_5"), level="memory", max_examples=20, time_limit=2)

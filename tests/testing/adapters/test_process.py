from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lookaside_sim.testing import (
    Allocate,
    AllocatorDifference,
    Backend,
    Create,
    Free,
    check_allocator,
    run_program,
    shrink_program,
)
from lookaside_sim.testing.adapters import ProcessFactory
from lookaside_sim.testing.adapters import process as process_module

ROOT = Path(__file__).parents[3]


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[ProcessFactory]:
    depth = str(getattr(request, "param", 4))
    command = [sys.executable, "-m", "tests.testing.adapters.process_allocator", depth]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        with ProcessFactory(command) as factory:
            yield factory


def test_a_correct_list_in_another_process_is_not_reported(process: ProcessFactory) -> None:
    check_allocator(process, max_examples=40)


@pytest.mark.parametrize("process", [5], indirect=True)
def test_a_broken_list_in_another_process_is_reported(process: ProcessFactory) -> None:
    with pytest.raises(AllocatorDifference, match="depth is wrong"):
        check_allocator(process)


def test_an_error_of_the_process_is_reported(process: ProcessFactory) -> None:
    made = process(Backend(32), 32)
    with pytest.raises(RuntimeError, match="no_such_call"):
        made._call("no_such_call")


def test_a_process_that_ends_is_reported_and_started_again() -> None:
    with scripted("crash") as factory:
        with pytest.raises(AllocatorDifference, match="exit code -6") as caught:
            check_allocator(factory, level="memory", max_examples=20)
        assert "on purpose" in caught.value.what
        assert caught.value.program == [Create(), Allocate(2)]
        assert "    with ProcessFactory([" in caught.value.regression
        assert not caught.value.flaky
        run_program(factory, [Allocate(), Free()], level="memory")


def test_a_process_that_hangs_is_reported() -> None:
    with scripted("hang", time_limit=0.2) as factory:
        with pytest.raises(AllocatorDifference, match=r"answer within 0\.2 seconds") as caught:
            run_program(factory, [Allocate(2)], level="memory")
        assert len(caught.value.program) == 2
        run_program(factory, [Allocate(), Free()], level="memory")


def test_a_process_may_take_its_time_to_start() -> None:
    with scripted("slow start", time_limit=0.5) as factory:
        run_program(factory, [Allocate(), Free()], level="memory")


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("hang", r"answer within 0\.2 seconds"),
        ("chatter", "answer within"),
        ("greed", "100 blocks in one call"),
    ],
)
def test_what_a_hang_needs_is_found_in_a_hurry(
    mode: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "_MOST_REQUESTS", 100)
    with scripted(mode, time_limit=0.2) as factory:
        program = [Allocate(), Free(), Allocate(2)]
        found = shrink_program(factory, program, level="memory")
        assert found is not None
        assert re.search(said, found.what)
        assert found.program == [Create(), Allocate(2)]
        assert not found.flaky
        run_program(factory, [Allocate(), Free()], level="memory")


def test_a_process_may_say_other_things() -> None:
    with scripted("talk") as factory:
        check_allocator(factory, level="memory", max_examples=20)


def scripted(mode: str, **options: float) -> ProcessFactory:
    return ProcessFactory([sys.executable, "-S", "-c", SCRIPT, mode], **options)


SCRIPT = """
import json, os, sys, time
mode, live = sys.argv[1], 0
if mode == "slow start":
    time.sleep(0.7)
def ask(message):
    print(json.dumps(message), flush=True)
    return json.loads(sys.stdin.readline())
for line in sys.stdin:
    request = json.loads(line)
    result = None
    if mode == "talk":
        print("[debug]", request)
        print("warning", file=sys.stderr)
        print("12")
    if request["call"] == "create":
        live, size = 0, request["size"]
    elif request["call"] == "allocate":
        live += 1
        if live == 2 and mode == "crash":
            print("on purpose", file=sys.stderr, flush=True)
            os.abort()
        if live == 2 and mode == "hang":
            time.sleep(60)
        while live == 2 and mode == "chatter":
            print("still here")
        while live == 2 and mode == "greed":
            ask({"need": "allocate", "size": size})
        result = ask({"need": "allocate", "size": size})["address"]
    elif request["call"] == "free":
        live -= 1
        ask({"need": "free", "address": request["address"]})
    print(json.dumps({"result": result}), flush=True)
"""

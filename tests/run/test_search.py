"""Finding steps, and walking over what changed, both ways."""

from __future__ import annotations

import random

import pytest

from lookaside_sim import BugCheck, Kernel, PoolTag
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.machine.calls import Branch, Outcome
from lookaside_sim.run import Run, record
from tests.run.helpers import nowhere

ENTRIES = 6


@pytest.fixture
def run(kernel: Kernel) -> Run:
    """Fills a list, ticks, overwrites a link, frees an entry twice."""
    with record(kernel) as made:
        lookaside = kernel.lookaside_list("drv!List")
        lookaside.initialize(size=64, tag=b"tseT")
        entries = [lookaside.allocate() or 0 for _ in range(ENTRIES)]
        for entry in entries:
            lookaside.free(entry)
        kernel.tick(3)
        kernel.read(entries[3], 8)
        kernel.write(entries[3], b"\x10")
        kernel.write(entries[3], b"\x10")
        kernel.pool.allocate(0, 32, b"Othr")
    return made


def test_find_goes_forward_and_back(run: Run) -> None:
    frees = [step.number for step in run if step.word == "free"]
    found = []
    step = run.find(word="free")
    while step is not None:
        found.append(step.number)
        step = run.find(word="free", start=step.number + 1)
    assert found == frees
    backward = []
    step = run.find(word="free", back=True)
    while step is not None:
        backward.append(step.number)
        step = run.find(word="free", start=step.number, back=True)
    assert backward == frees[::-1]


def test_find_knows_branches_routines_outcomes_addresses_and_lists(run: Run) -> None:
    full = run.find(branch=Branch.FULL)
    assert full is not None
    assert full.number == 1 + ENTRIES + 4
    entry = run[4].result
    assert isinstance(entry, int)
    about = [step.number for step in run if entry in step.arguments.values()]
    assert (run.find(address=entry) or run[0]).number == 4
    assert (run.find(address=entry, start=5) or run[0]).number == about[0]
    assert (run.find(routine="ExAllocatePoolWithTag") or run[0]).arguments["Tag"] == PoolTag(
        b"Othr"
    )
    assert run.find(outcome=Outcome.STOPPED) is None
    assert (run.find(obj="drv!List", back=True) or run[0]).number == 2 * ENTRIES
    assert run.find(obj=run[0].obj, word="alloc") == run[1]
    with pytest.raises(LookasideSimError, match=r"drv!List"):
        run.find(obj="nobody's")


def test_a_stop_is_found(kernel: Kernel) -> None:
    with pytest.raises(BugCheck), record(kernel) as run:
        kernel.read(nowhere(kernel), 4)
    assert run.find(outcome=Outcome.STOPPED) == run[0]


def test_changes_of_a_field_go_both_ways(run: Run) -> None:
    held = list(run.changes("drv!List", "ListHead.Depth"))
    assert [(old, new) for _, old, new in held] == [
        (None, 0),
        *((n, n + 1) for n in range(4)),
    ]
    assert list(run.changes(run[0].obj, "ListHead.Depth", back=True)) == held[::-1]
    assert list(run.changes(None, "Seconds")) == [(1 + 2 * ENTRIES, 0, 3)]
    after_first = list(run.changes("drv!List", "ListHead.Depth", start=held[1][0] + 1))
    assert after_first == held[2:]
    with pytest.raises(ValueError, match="MaximumDepth"):
        run.changes("drv!List", "Dpeth")


def test_history_says_who_wrote_and_who_read(run: Run) -> None:
    entry = run[4].result
    assert isinstance(entry, int)
    written = run.history(entry, 4)
    assert [access.step.word for access in written][-3:] == ["free", "write", "write"]
    assert all(access.kind == "w" for access in written)
    assert written[-2].new[:1] == b"\x10"
    assert written[-1].old == written[-1].new
    read = run.history(entry, 4, reads=True)
    assert [access.step.word for access in read if access.kind == "r"] == ["read"]
    assert list(run.accesses(entry, 4, back=True)) == written[::-1]


@pytest.mark.parametrize("number", range(2))
def test_history_is_what_looking_after_each_step_shows(number: int, kernel: Kernel) -> None:
    draw = random.Random(number)
    with record(kernel) as run:
        lookaside = kernel.lookaside_list("drv!List")
        lookaside.initialize(size=48, tag=b"tseT")
        entries: list[int] = []
        blocks: list[int] = []
        for _ in range(70):
            what = draw.randrange(5)
            if what == 0:
                entries.append(lookaside.allocate() or 0)
            elif what == 1 and entries:
                lookaside.free(entries.pop(draw.randrange(len(entries))))
            elif what == 2:
                blocks.append(kernel.pool.allocate(0, draw.choice((8, 48, 200)), b"Othr") or 0)
            elif what == 3 and blocks:
                kernel.pool.free(blocks.pop(draw.randrange(len(blocks))))
            elif what == 4 and entries:
                kernel.write(draw.choice(entries), draw.randbytes(3))
    results = [step.result for step in run if isinstance(step.result, int) and step.result]
    for address in (draw.choice(results), draw.choice(results) + 16, lookaside.address + 16):
        looked = []
        before: list[int | None] = []
        for position in range(len(run) + 1):
            now = run.machine(position).peek(address, kernel.arch.pointer_size)
            wrote = position and run[position - 1].word == "write"
            target = run[position - 1].arguments["Address"] if wrote else 0
            if position and (now != before or address - 3 < target < address + len(now)):
                looked.append(position - 1)
            before = now
        found = run.history(address, kernel.arch.pointer_size)
        assert [access.step.number for access in found] == looked
        back = list(run.accesses(address, kernel.arch.pointer_size, back=True))
        assert back == found[::-1]

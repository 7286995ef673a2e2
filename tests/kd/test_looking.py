"""No command stops, changes or crashes a machine, whatever was written over."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideSimError, NtStatusError
from lookaside_sim.kd import Session
from lookaside_sim.kd.table import COMMANDS
from lookaside_sim.run import Run, record

VALUES = (0, 1, 0xFF, 0x1000, 0xFFFF, 0x8000_0000, 0x1234_5678_9ABC_DEF0, (1 << 64) - 1)
MOVES = ("g", "g-", "p", "p-", "t", "t-", "!tt")
QUESTIONS = (
    "!lookaside {}",
    "!lookaside",
    "!slist {}",
    "!pool {} 1",
    "!poolval {}",
    "!poolused 1",
    "!poolfind * 0",
    "!poolfind * 1",
    "!pplookaside",
    "!verifier 7",
    "!irql",
    "!analyze -v",
    "dt _LOOKASIDE_LIST_EX {}",
    "dt _POOL_HEADER {}",
    "dt -r Look0",
    "db {} L40",
    "dps {} L8",
    "da {}",
    "du {}",
    "s -d {} L100 0",
    "x *!*",
    "ln {}",
    "ln poi({})",
    "? poi({}) + by({}+3)",
    ".formats poi({})",
    "lm",
    "r",
    ".time",
    "vertarget",
    ".lastevent",
)


def crowded(arch: str, chance: random.Random, **settings: Any) -> tuple[Kernel, list[int]]:
    """A machine with lists in every kind of place, and the addresses worth writing over."""
    kernel = Kernel(arch, **settings)
    driver = kernel.load_driver("a.sys")
    block = kernel.pool.allocate(0, 0x400, b"DExt") or 0
    places = [None, block, block + 0x100, driver.place_data(0x200)]
    lists = [kernel.lookaside_list(f"Look{i}", place) for i, place in enumerate(places)]
    with driver:
        lists.append(kernel.lookaside_list("Mine"))
    addresses = [kernel.registry.nonpaged.address, kernel.registry.paged.address]
    header = kernel.arch.pool_header.size
    for number, each in enumerate(lists):
        each.initialize(pool_type=number % 2, size=24 + 8 * number, tag=b"Look")
        entries = [each.allocate() or 0 for _ in range(4)]
        for entry in entries[1:]:
            each.free(entry)
        addresses += [each.address + 8 * word for word in range(12)]
        addresses += [each for entry in entries for each in (entry, entry - header)]
    blocks = [kernel.pool.allocate(i % 2, 8 + 56 * i, b"Blck") or 0 for i in range(10)]
    for block in blocks[::3]:
        kernel.pool.free(block)
    addresses += [each for block in blocks for each in (block, block - header)]
    return kernel, addresses


def corrupt(
    kernel: Kernel,
    addresses: list[int],
    chance: random.Random,
    write: Callable[[int, bytes], object],
) -> int:
    """Write over something; gives where."""
    where = chance.choice(addresses) + chance.choice((0, 0, 1, 4))
    value = chance.choice((*VALUES, *addresses)) & (1 << 64) - 1
    size = chance.choice((1, 2, 4, kernel.arch.pointer_size))
    if kernel.memory.is_mapped(where, size):
        write(where, value.to_bytes(8, "little")[:size])
    return where


def look_after_corruptions(arch: str, setting: str, machines: int, each: int) -> int:
    """Ask everything of machines that are written over; gives how many corruptions there were."""
    chance = random.Random(f"{arch} {setting}")
    settings: dict[str, Any] = {} if setting == "plain" else {setting: True}
    count = 0
    for _ in range(machines):
        kernel, addresses = crowded(arch, chance, **settings)
        shell = Session(kernel)
        for _ in range(each):
            where = corrupt(kernel, addresses, chance, kernel.memory.write)
            if chance.random() < 0.05:
                with suppress(BugCheck, LookasideSimError):
                    kernel.drivers.all[0].unload()
            if kernel.bugcheck is not None:
                break
            count += 1
            for question in chance.sample(QUESTIONS, 6):
                line = question.replace("{}", f"{where:x}")
                before = kernel.pool.rows(), kernel.seconds
                assert isinstance(shell.execute(line), str)
                assert kernel.bugcheck is None, line
                assert (kernel.pool.rows(), kernel.seconds) == before, line
    return count


@pytest.mark.parametrize("arch", ["x64", "x86"])
@pytest.mark.parametrize("setting", ["plain", "sanitizer", "small_pool_lists", "delayed_free"])
def test_no_view_stops_a_live_machine(arch: str, setting: str) -> None:
    assert look_after_corruptions(arch, setting, machines=2, each=20) > 10


def broken(arch: str, chance: random.Random, count: int) -> Run:
    """A run in which the program writes over everything, until something stumbles."""
    kernel, addresses = crowded(arch, chance)
    with suppress(BugCheck, LookasideSimError, NtStatusError), record(kernel) as run:
        for _ in range(count):
            corrupt(kernel, addresses, chance, kernel.write)
            if chance.random() < 0.2:
                lookaside = chance.choice(
                    kernel.lookaside_lists or [kernel.lookaside_list("X")]
                )
                if chance.random() < 0.5:
                    lookaside.allocate()
                else:
                    lookaside.free(chance.choice(addresses))
    return run


def travel_in_broken_runs(arch: str, runs: int, lines: int) -> None:
    """Move about in such runs, change copies, and see that the run stays as it was."""
    chance = random.Random(f"runs {arch}")
    for _ in range(runs):
        run = broken(arch, chance, 30)
        stop = run.machine(len(run)).bugcheck
        shell = Session(run)
        for _ in range(lines):
            where = f"{chance.randrange(1 << 16):x}"
            line = chance.choice(
                (
                    *QUESTIONS,
                    *MOVES[:6],
                    f"!tt {chance.randrange(101)}",
                    "ba w4 Look0.Depth",
                    "bp nt!ExFreePool",
                    "bc *",
                    "eb Look0.Depth ff",
                    "eq Look0.ListHead.Next {}",
                    ".call Look0.allocate()",
                    ".call Look1.free({})",
                    ".call tick(3)",
                    ".call Look2.flush()",
                    "k",
                    'dx @$cursession.TTD.Calls("*").Count()',
                )
            ).replace("{}", where)
            assert isinstance(shell.execute(line), str), line
        again = run.machine(len(run)).bugcheck
        assert (stop and stop.args) == (again and again.args)
        assert "RunError" not in shell.execute("!tt 0; !tt 100")


def test_no_command_changes_a_recording(arch: str) -> None:
    travel_in_broken_runs(arch, runs=4, lines=25)


def test_any_line_is_answered() -> None:
    chance = random.Random(3)
    names = [each.name for each in COMMANDS if each.name != "q"]
    pieces = [
        *names,
        "L",
        "0",
        "poi(",
        ")",
        "Look0",
        "@$t0",
        "ffff`",
        "-",
        "!",
        '"',
        ";",
        "*",
        ",",
    ]
    kernel, _ = crowded("x64", chance)
    live, recorded = Session(kernel), Session(broken("x64", chance, 5))
    for _ in range(300):
        line = "".join(
            chance.choice(pieces) + chance.choice(["", " "]) for _ in range(chance.randrange(7))
        )
        for shell in (live, recorded):
            assert isinstance(shell.execute(line), str), line
            assert kernel.bugcheck is None, line

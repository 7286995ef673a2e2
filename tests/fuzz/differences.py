"""One correct program on two machines that must not differ in what it can see.

    python -m tests.fuzz.differences [PROGRAMS [FIRST]]

Sanitizer on against off: the same addresses, fields and bytes. x64 against x86: the same counters
and depths. Recorded against replayed: the same counters, depths and tags.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from lookaside_sim import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.trace import load, record, replay, save

STEPS = 200


def run(number: int, **options: Any) -> tuple[Kernel, list[int]]:
    """Run the correct program of a number on a machine.

    Returns:
        The machine, and every address that the program got.
    """
    kernel = Kernel(**options)
    return kernel, run_on(kernel, number)


def run_on(kernel: Kernel, number: int) -> list[int]:
    """Run the correct program of a number; see `run`."""
    rng = random.Random(number)
    lists: list[LookasideList] = []
    entries: list[tuple[LookasideList, int]] = []
    blocks: list[int] = []
    got: list[int] = []
    for at in range(3):
        lookaside = kernel.lookaside_list(f"list{at}")
        # Sizes that are one block each on both machines.
        lookaside.initialize(
            pool_type=rng.choice((0, 1, 0x200)), size=rng.choice((16, 64, 400)), tag=b"zzuF"
        )
        lists.append(lookaside)
    for _ in range(STEPS):
        act = rng.random()
        if act < 0.45:
            lookaside = rng.choice(lists)
            for _ in range(rng.choice((1, 1, 1, 30))):
                entry = lookaside.allocate()
                assert entry is not None
                entries.append((lookaside, entry))
                got.append(entry)
        elif act < 0.85:
            for _ in range(min(len(entries), rng.choice((1, 1, 1, 30)))):
                lookaside, entry = entries.pop(rng.randrange(len(entries)))
                lookaside.free(entry)
        elif act < 0.9:
            block = kernel.pool.allocate(0, rng.choice((32, 64, 3000, 9000)), b"kclB")
            assert block is not None
            blocks.append(block)
            got.append(block)
        elif act < 0.94 and blocks:
            kernel.pool.free(blocks.pop(rng.randrange(len(blocks))))
        elif act < 0.98:
            kernel.tick(rng.choice((1, 3, 10)))
        else:
            rng.choice(lists).flush()
    return got


def counters(kernel: Kernel) -> list[tuple[object, ...]]:
    """What no machine may do differently."""
    lists: list[tuple[object, ...]] = [
        (
            each.name,
            each.type,
            each.size,
            each.depth,
            each.current_depth,
            each.total_allocates,
            each.allocate_misses,
            each.total_frees,
            each.free_misses,
        )
        for each in kernel.lookaside_lists
    ]
    tags: list[tuple[object, ...]] = [
        (tag, row.nonpaged_allocs, row.nonpaged_frees, row.paged_allocs, row.paged_frees)
        for tag, row in kernel.pool.tags().items()
    ]
    return lists + tags


def play(number: int, folder: Path) -> str | None:
    """Run one program in all ways.

    Args:
        number: chooses it.
        folder: where its recording goes.

    Returns:
        What differs, or None.
    """
    plain, addresses = run(number)
    sanitized, others = run(number, sanitizer=True)
    if addresses != others:
        return f"program {number}: the sanitizer gives other addresses"
    for one, other in zip(plain.lookaside_lists, sanitized.lookaside_lists, strict=True):
        if bytes(one) != bytes(other):
            return f"program {number}: the sanitizer changes {one!r}"
    if any(plain.peek(each, 16) != sanitized.peek(each, 16) for each in addresses):
        return f"program {number}: the sanitizer changes memory"
    x86, _ = run(number, arch="x86")
    if counters(plain) != counters(x86):
        return f"program {number}: x86 counts {counters(x86)}, x64 {counters(plain)}"
    recorded = Kernel()
    path = folder / f"{number}.jsonl"
    with record(recorded) as recording:
        run_on(recorded, number)
    if recording.left_out:
        return f"program {number}: the recording leaves out {recording.left_out}"
    save(path, recording.events)
    if counters(recorded) != counters(plain):
        return f"program {number}: being recorded changes {counters(recorded)}"
    done = replay(load(path))
    if counters(done.kernel) != counters(plain):
        return f"program {number}: replayed {counters(done.kernel)}, ran {counters(plain)}"
    for kernel in (plain, sanitized, x86, recorded, done.kernel):
        kernel.check()
    return None


def main() -> None:
    """Run programs and print what is found."""
    given = [int(each) for each in sys.argv[1:]]
    programs = given[0] if given else 1000
    first = given[1] if len(given) > 1 else 0
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + programs):
            wrong = play(number, Path(folder))
            if wrong is not None:
                found += 1
                print(wrong, flush=True)
    print(f"{programs} programs, {found} findings")


if __name__ == "__main__":
    main()

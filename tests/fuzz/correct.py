"""One long correct program in every mix of switches, with all invariants checked on the way.

python -m tests.fuzz.correct [OPERATIONS [FIRST]]
"""

from __future__ import annotations

import random
import sys

from lookaside_sim import Kernel
from lookaside_sim.lookaside.list import LookasideList

OPERATIONS = 1_000_000
ROUND = 5_000
"""Operations on one machine."""
_CHECKED = 500
"""Operations between two checks."""


def play(number: int, operations: int = ROUND) -> None:
    """Run the program of a number on a machine of its own.

    Args:
        number: chooses it.
        operations: how many.

    Raises:
        Exception: what no correct program can meet.
    """
    rng = random.Random(number)
    kernel = Kernel(
        rng.choice(("x64", "x86")),
        processors=rng.choice((1, 3)),
        sanitizer=rng.random() < 0.5,
        small_pool_lists=rng.random() < 0.5,
        delayed_free=rng.random() < 0.5,
        track_pool=rng.random() < 0.3,
        seed=number,
    )
    lists: list[LookasideList] = []
    for at in range(4):
        made = kernel.lookaside_list(f"list{at}")
        size = rng.choice((8, 40, 200, 900, 5000))
        made.initialize(pool_type=rng.choice((0, 1, 0x200)), size=size, tag=b"zzuF")
        lists.append(made)
    entries: list[tuple[LookasideList, int]] = []
    blocks: list[int] = []
    for done in range(operations):
        act = rng.random()
        if act < 0.4:
            lookaside = rng.choice(lists)
            entry = lookaside.allocate()
            assert entry is not None
            entries.append((lookaside, entry))
        elif act < 0.8 and entries:
            lookaside, entry = entries.pop(rng.randrange(len(entries)))
            kernel.write(entry, bytes(8))
            lookaside.free(entry)
        elif act < 0.88:
            block = kernel.pool.allocate(rng.choice((0, 1)), rng.randrange(1, 9000), b"kclB")
            assert block is not None
            blocks.append(block)
        elif act < 0.96 and blocks:
            kernel.pool.free(blocks.pop(rng.randrange(len(blocks))))
        elif act < 0.98:
            kernel.tick(rng.choice((1, 3, 10)))
        elif act < 0.99:
            rng.choice(lists).flush()
        else:
            with kernel.on_processor(rng.randrange(kernel.processors)):
                lists[0].free(lists[0].allocate())
        if done % _CHECKED == 0:
            kernel.check()
    for lookaside, entry in entries:
        lookaside.free(entry)
    for block in blocks:
        kernel.pool.free(block)
    for lookaside in lists:
        lookaside.delete()
    kernel.check()
    for tag in (b"zzuF", b"kclB"):
        assert kernel.pool.usage(tag).outstanding == 0


def main() -> None:
    """Run programs; the first that meets what it cannot ends the campaign."""
    given = [int(each) for each in sys.argv[1:]]
    operations = given[0] if given else OPERATIONS
    first = given[1] if len(given) > 1 else 0
    for number in range(first, first + operations // ROUND):
        try:
            play(number)
        except Exception as error:
            error.add_note(f"program {number}")
            raise
    print(f"{operations:,} operations, nothing found")


if __name__ == "__main__":
    main()

"""Looking only after the steps that can have changed bytes finds all that looking at each does."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from lookaside_sim import BugCheck, Kernel, LookasideSimError, Verifier
from lookaside_sim.run import Run, record
from lookaside_sim.run.suspects import suspects_of
from lookaside_sim.run.watch import Watch, bytes_at, writes_to


def some_run(chance: random.Random, *, writes: bool) -> tuple[Run, Kernel, list[int]]:
    """A run of lists and pool, some of it misused, and addresses worth watching."""
    kernel = Kernel(chance.choice(["x64", "x86"]), nonpaged_pool_bytes=32 << 12)
    held: list[tuple[int, int]] = []
    live: list[int] = []
    with suppress(BugCheck, LookasideSimError), record(kernel) as run:
        lists = [kernel.lookaside_list(f"L{number}") for number in range(2)]
        for number, each in enumerate(lists):
            each.initialize(size=24 + 40 * number, tag=b"abcd")
        for _ in range(200):
            draw = chance.random()
            which = chance.randrange(2)
            if draw < 0.3:
                held.append((which, lists[which].allocate() or 0))
            elif draw < 0.55 and held:
                which, entry = held.pop(chance.randrange(len(held)))
                for _ in range(1 + (chance.random() < 0.03)):
                    lists[which].free(entry)
            elif draw < 0.7:
                live.append(
                    kernel.pool.allocate(0, chance.choice([8, 40, 3000, 5000]), b"blck") or 0
                )
            elif draw < 0.85 and live:
                kernel.pool.free(live.pop(chance.randrange(len(live))))
            elif draw < 0.9:
                kernel.tick()
            elif draw < 0.93:
                lists[which].flush()
            elif draw < 0.95:
                lists[which].set_depth(chance.randrange(8))
            elif writes and (live or held):
                where = chance.choice([*live, *(entry for _, entry in held)])
                kernel.write(where + chance.choice([0, 8]), chance.randbytes(8))
    addresses = [each.address + at for each in lists for at in (0, 8, 0x10, 0x14, 0x28, 0x40)]
    for block in [*live[:3], *(entry for _, entry in held[:3])]:
        addresses += [block, block + 8, block - 8]
    return run, kernel, addresses


@pytest.mark.parametrize("seed", range(6))
def test_suspects_are_enough(seed: int) -> None:
    chance = random.Random(seed)
    run, kernel, addresses = some_run(chance, writes=seed % 3 == 0)
    checked = 0
    for address in chance.sample(addresses, 10):
        size = chance.choice([1, 2, 4, 8])
        suspects = suspects_of(run.rows, kernel.settings, kernel.arch, address, size)
        assert suspects is not None
        wrote = writes_to(address, size)
        look = bytes_at(address, size)
        each_one = list(Watch(run.rows, run._player, look, wrote).changes(0, back=False))
        some = Watch(run.rows, run._player, look, wrote, suspects)
        assert list(some.changes(0, back=False)) == each_one
        assert list(some.changes(len(run), back=True)) == each_one[::-1]
        checked += len(suspects) < len(run)
    assert checked > 3


@pytest.mark.parametrize(
    "settings", [{"verifier": Verifier.standard()}, {"small_pool_lists": True}, {"delayed_free": True}]
)  # fmt: skip
def test_what_may_touch_anything_makes_every_step_a_suspect(
    settings: dict[str, object],
) -> None:
    kernel = Kernel(**settings)  # type: ignore[arg-type]
    with record(kernel) as run:
        block = kernel.pool.allocate(0, 64, b"blck") or 0
    assert suspects_of(run.rows, kernel.settings, kernel.arch, block, 8) is None


def test_a_list_inside_a_block_makes_every_step_a_suspect() -> None:
    kernel = Kernel()
    with record(kernel) as run:
        block = kernel.pool.allocate(0, 512, b"blck") or 0
        kernel.lookaside_list("Inside", block).initialize(size=64, tag=b"abcd")
    assert suspects_of(run.rows, kernel.settings, kernel.arch, block, 8) is None

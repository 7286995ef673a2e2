"""Runs that the tests of the page show."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from lookaside_sim import BugCheck, Kernel, LookasideList, PoolType
from lookaside_sim.run import Run, record
from tests.stateful.test_clone_programs import MACHINES
from tests.stateful.world import World


@cache
def lifo() -> Run:
    """A list that is filled, emptied, tuned, flushed and deleted."""
    kernel = Kernel()
    with record(kernel, "last in, first out") as run:
        requests = LookasideList(kernel, "mydrv!Requests")
        requests.initialize(pool_type=PoolType.NonPagedPoolNx, size=200, tag=b"Rqst")
        first, second, third = (requests.allocate() for _ in range(3))
        run.note("For the pool nothing is freed.")
        for entry in (first, third, second):
            requests.free(entry)
        requests.free(requests.allocate())
        burst = [requests.allocate() for _ in range(80)]
        kernel.tick(3)
        for entry in burst:
            requests.free(entry)
        kernel.tick(3)
        requests.flush()
        requests.delete()
    return run


@cache
def use_after_free() -> Run:
    """A driver that writes into a request which it has given back."""
    kernel = Kernel()
    with record(kernel, "too late") as run, suppress(BugCheck):
        requests = LookasideList(kernel, "mydrv!Requests")
        requests.initialize(pool_type=PoolType.NonPagedPoolNx, size=64, tag=b"Rqst")
        first, second = requests.allocate(), requests.allocate()
        assert first is not None
        assert second is not None
        requests.free(first)
        requests.free(second)
        kernel.write(second, (0xFFFFFFFFC0000120).to_bytes(8, "little"))
        requests.allocate()
        requests.allocate()
    return run


@cache
def double_free() -> Run:
    """An entry that is on a list twice, so that the chain is a ring."""
    kernel = Kernel("x86")
    with record(kernel, "twice") as run:
        requests = LookasideList(kernel)
        requests.initialize(size=32, tag=b"Twic")
        entry, other = requests.allocate(), requests.allocate()
        requests.free(entry)
        requests.free(other)
        requests.free(entry)
        assert requests.allocate() == entry
    return run


@cache
def overrun() -> Run:
    """A block written past its end, over the header of the next, which is then freed."""
    kernel = Kernel()
    with record(kernel, "past the end") as run, suppress(BugCheck):
        blocks = [kernel.pool.allocate(0, 40, b"Some") or 0 for _ in range(4)]
        low, high = sorted(blocks)[1:3]
        kernel.write(low, b"A" * (high - low))
        kernel.pool.free(high)
    return run


def random_run(machine: str, arch: str, seed: int, steps: int, before: int = 0) -> Run:
    """What a program that does anything, misuse too, does to a machine."""
    world = _world(machine, arch, seed)
    world.run(seed + 1, before)
    if world.kernel.bugcheck is not None:
        world = _world(machine, arch, seed)
    with record(world.kernel, f"{machine} {arch} {seed}") as run:
        world.run(seed, steps)
    return run


def _world(machine: str, arch: str, seed: int) -> World:
    world = World(MACHINES[machine](arch), seed % 3 == 0)
    _ = world.kernel.io_lists  # made when they are first asked for, which is no call
    return world

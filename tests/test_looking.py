"""Whoever looks never stops the machine and never changes it, whatever was overwritten."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from lookaside_sim import InvariantError, Kernel, LookasideList, LookasideSimError, windbg
from lookaside_sim.ddi.information import (
    system_lookaside_information,
    system_pooltag_information,
)
from lookaside_sim.testing import LeakTracker

VALUES = (
    0,
    1,
    0xFF,
    0x1000,
    0xFFFF,
    0xFFFF_FFFF,
    0x8000_0000,
    0x1234_5678_9ABC_DEF0,
    (1 << 64) - 1,
)


def crowded(arch: str, **settings: bool) -> tuple[Kernel, list[LookasideList], list[int]]:
    """A machine with lists of every kind, and the addresses of what can be overwritten."""
    kernel = Kernel(arch, **settings)  # type: ignore[arg-type]
    driver = kernel.load_driver("a.sys")
    block = kernel.pool.allocate(0, 0x400, b"DExt")
    assert block is not None
    data = driver.place_data(0x200)
    places = [None, block, block + 0x100, data, None]
    lists = [kernel.lookaside_list(f"L{i}", place) for i, place in enumerate(places)]
    with driver:
        lists.append(kernel.lookaside_list("mine"))
    entries = []
    for i, each in enumerate(lists):
        each.initialize(pool_type=i % 2, size=24 + 8 * i, tag=b"Look")
        held = [each.allocate() for _ in range(4)]
        for entry in held[1:]:
            each.free(entry)
        entries += [entry for entry in held if entry is not None]
    blocks = [kernel.pool.allocate(i % 2, 8 + 56 * i, b"Blck") for i in range(12)]
    for address in blocks[::3]:
        kernel.pool.free(address)
    kernel.io_lists.free_irp(kernel.io_lists.allocate_irp(2))
    header = kernel.arch.pool_header.size
    return (
        kernel,
        lists,
        [
            *(each.address + 8 * i for each in lists for i in range(12)),
            *entries,
            *(address - header for address in blocks if address is not None),
            *(address for address in blocks if address is not None),
            kernel.registry.nonpaged.address,
            kernel.registry.paged.address,
            *(each.address for pair in kernel.io_lists.pairs for each in pair.per_processor),
            kernel.pool.nonpaged.base,
        ],
    )


def looks(
    kernel: Kernel, lists: list[LookasideList], where: int
) -> Iterator[Callable[[], object]]:
    """Everything that only looks."""
    yield lambda: kernel.lookaside_lists
    yield lambda: repr(kernel)
    yield kernel.check
    yield lambda: kernel.peek(where - 8, 64)
    yield lambda: windbg.lookasides(kernel)
    yield lambda: windbg.poolused(kernel)
    yield lambda: windbg.poolmon(kernel)
    yield lambda: windbg.pool(kernel, where)
    yield lambda: windbg.poolfind(kernel, "*")
    yield lambda: windbg.poolfind(kernel, "*", paged=True)
    yield lambda: windbg.pplookaside(kernel)
    yield lambda: windbg.verifier(kernel)
    yield lambda: system_lookaside_information(kernel)
    yield lambda: system_pooltag_information(kernel)
    yield lambda: kernel.pool.query(where)
    for each in lists:
        yield lambda each=each: repr(each)  # type: ignore[misc]
        yield lambda each=each: bytes(each)  # type: ignore[misc]
        yield lambda each=each: list(each.entries())  # type: ignore[misc]
        yield each.check
        yield lambda each=each: windbg.lookaside(each)  # type: ignore[misc]
        yield lambda each=each: (each.depth, each.first, each.total_allocates)  # type: ignore[misc]


@pytest.mark.parametrize("arch", ["x64", "x86"])
@pytest.mark.parametrize("setting", ["plain", "sanitizer", "small_pool_lists", "delayed_free"])
def test_looking_never_stops_the_machine(arch: str, setting: str) -> None:
    chance = random.Random(f"{arch} {setting}")
    for _ in range(6):
        settings = {} if setting == "plain" else {setting: True}
        kernel, lists, places = crowded(arch, **settings)
        tracker = LeakTracker(kernel)
        for _ in range(10):
            where = chance.choice(places)
            value = chance.choice([*VALUES, *places])
            size = chance.choice([1, 2, 4, kernel.arch.pointer_size])
            if kernel.memory.is_mapped(where, size):
                kernel.memory.write(where, value.to_bytes(8, "little")[:size])
            if chance.random() < 0.1:
                with suppress(LookasideSimError):
                    kernel.drivers.all[0].unload()
            for look in looks(kernel, lists, where):
                # A walk may say what is broken, and a list whose memory is gone that it is.
                with suppress(InvariantError, LookasideSimError):
                    look()
                assert kernel.bugcheck is None
            assert tracker.report(tracker.leaks())
